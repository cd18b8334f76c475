"""`python -m lociscope` is the command `lociscope`."""

from __future__ import annotations

from lociscope.cli import main

if __name__ == "__main__":
    main()
