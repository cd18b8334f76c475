"""The command line as a process of its own, and within this one where speed matters."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "predict" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tiny)
make_bundle, tiny_bundle = _tiny.make_bundle, _tiny.tiny_bundle


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def environment(tiny_bundle: Path) -> dict[str, str]:
    """The environment of a process: this one's, the tiny bundle, one thread, and warnings as errors."""
    mine = {"LOCISCOPE_BUNDLE": str(tiny_bundle), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    return os.environ | mine


@pytest.fixture
def process(environment: dict[str, str], tmp_path: Path) -> Callable[..., Said]:
    """`process("predict", …)` runs `python -m lociscope predict …` in a fresh process in `tmp_path`."""

    def run(*words: object, code: str | None = None, prefix: tuple[str, ...] = (), **changed: str) -> Said:
        start = ["-m", "lociscope"] if code is None else ["-c", code]
        done = subprocess.run(
            [*prefix, sys.executable, "-W", "error", *start, *map(str, words)],
            env=environment | changed, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def lociscope(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """`lociscope("predict", …)` runs the command in this process, in `tmp_path`."""
    from lociscope.cli import main

    monkeypatch.setenv("LOCISCOPE_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["lociscope", *map(str, words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run
