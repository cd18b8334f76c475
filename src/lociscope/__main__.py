"""`python -m lociscope` is the command `lociscope`."""

from lociscope.cli import main

if __name__ == "__main__":
    main()
