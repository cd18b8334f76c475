"""The base install is small.

Claim: what `pip install lociscope` installs, without any extra, stays below 350 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def size(folder: Path) -> int:
    """Bytes of the files below a folder, each counted once."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    """Installs the locked base into a fresh environment, weighs it, and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        environment = Path(name) / "venv"
        uv = str(CHECKOUT / ".tools" / "bin" / "uv")
        python = str(environment / "bin" / "python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
        lock = str(CHECKOUT / "requirements" / "base.txt")
        install = [uv, "pip", "install", "--quiet", "--python", python]
        subprocess.run([*install, "--require-hashes", "-r", lock], check=True)
        subprocess.run([*install, "--no-deps", str(CHECKOUT)], check=True)
        site = next((environment / "lib").glob("python*/site-packages"))
        sizes = {path.name: size(path) for path in site.iterdir() if path.is_dir()}
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:6]
        whole = size(environment)
    found = {"MB": round(whole / 1e6, 1), "goal": 350}
    print(json.dumps({**found, "largest, MB": {name: round(sizes[name] / 1e6, 1) for name in largest}}))


if __name__ == "__main__":
    main()
