"""Run the notebooks of docs/notebooks, and write each as a page with its output.

    python docs/_generate/notebook_pages.py [NAME ...]

Each `NAME.py` there is a notebook in Jupytext's percent format. It runs in a new kernel; its text, code and output become
`NAME.md`, its pictures `NAME-1.webp` and so on. `jupytext --to ipynb NAME.py` makes a file that Jupyter, Kaggle and
Colab open. Needs the extras `train` and `report`, and the dependency group `docs`.
"""

from __future__ import annotations

import base64
import io
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
LIMIT = 1200
"""Seconds after which a cell is stopped."""
QUALITY = 75


def run(source: Path) -> tuple[Any, float]:
    """Run a notebook in an empty folder; return it with its output, and the seconds it took."""
    notebook = jupytext.read(source)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    return notebook, time.monotonic() - began


def write_page(source: Path, notebook: Any, seconds: float) -> None:  # noqa: ANN401 - a NotebookNode
    """Write a notebook's page and pictures; earlier pictures of it are removed."""
    for old in source.parent.glob(f"{source.stem}-*.webp"):
        old.unlink()
    blocks, pictures = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            blocks.append(cell.source)
            continue
        blocks.append(f"```py\n{cell.source}\n```")
        if printed := read_stdout(cell):
            blocks.append(f"```text\n{printed}\n```")
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                pictures += 1
                name = f"{source.stem}-{pictures}.webp"
                with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as image:
                    image.convert("RGB").save(source.parent / name, quality=QUALITY)
                blocks.append(f"![Output of the code above]({name})")
    minutes = max(1, round(seconds / 60))
    title, _, rest = "\n\n".join(blocks).partition("\n")
    note = (
        f'!!! note "{minutes} min on two cores"\n    This page is the output of `docs/notebooks/{source.name}`. '
        f"`jupytext --to ipynb {source.name}` makes a notebook of it, which Jupyter, Kaggle and Colab open."
    )
    (source.parent / f"{source.stem}.md").write_text(f"{title}\n\n{note}\n{rest}\n", encoding="utf-8")


def read_stdout(cell: Any) -> str:  # noqa: ANN401 - a NotebookNode
    """Return what a cell printed, without colours of the terminal and TensorFlow's remarks."""
    text = "".join(each.text for each in cell.outputs if each.output_type == "stream" and each.name == "stdout")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    return "\n".join(line for line in lines if not line.startswith("WARNING:tensorflow")).strip("\n")


def main(names: list[str]) -> int:
    """Run the named notebooks, or all."""
    sources = [FOLDER / f"{name}.py" for name in names] or sorted(FOLDER.glob("*.py"))
    for source in sources:
        notebook, seconds = run(source)
        write_page(source, notebook, seconds)
        print(f"{source.stem}: {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
