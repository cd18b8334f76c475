"""The command line as a process of its own, and within this one where speed matters."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, NamedTuple

import pytest
from fixtures.pixels import patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Training(NamedTuple):
    """Twelve good fields and a bad one, labelled, and the words that train on them within seconds."""

    catalog: Path
    words: tuple[str, ...]


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A Catalog and the words of `lociscope train` but for `-o`."""
    from lociscope.data.importing import import_folder
    from lociscope.images.io.write import write_planes

    folder = tmp_path_factory.mktemp("training")
    rows = [f"f{number:02d},{number % 4} {20 + number % 3}\n" for number in range(13)]
    (folder / "labels.csv").write_text("Id,Target\n" + "".join(rows))
    for number in range(13):
        write_planes(folder / "fields", f"f{number:02d}", patches((32, 32, 4), number))
    (folder / "fields" / "f07_blue.png").write_text("no picture")
    catalog = folder / "catalog.parquet"
    import_folder(folder / "fields", folder / "labels.csv", folder)[0].write(catalog)
    still = ("flip=false", "shift=0", "gain=0", "noise=0", "channel_dropout=0")  # which TensorFlow need not trace
    settings = ("data.size=32", "data.valid=0.2", "network.width=0.1", "train.batch=2")
    settings += tuple(f"augment.{each}" for each in still)
    steps = ("train.epochs=3", "train.checkpoint_steps=2")
    words = [word for setting in (*settings, *steps) for word in ("-s", setting)]
    return Training(catalog, ("train", "lenet5", "-c", str(catalog), *words))


@pytest.fixture(scope="session")
def trained(training: Training, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A finished Run, and what the command said that made it; in this process, which then has TensorFlow loaded."""
    from lociscope.cli import main

    run = tmp_path_factory.mktemp("runs") / "run"
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["lociscope", *training.words, "-o", str(run)])
        with pytest.raises(SystemExit) as left:
            main()
    return run, Said(int(left.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture
def environment(tiny_bundle: Path) -> dict[str, str]:
    """The environment of a process: this one's, the tiny bundle, one thread, and warnings as errors."""
    mine = {"LOCISCOPE_BUNDLE": str(tiny_bundle), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    return os.environ | mine


@pytest.fixture
def process(environment: dict[str, str], tmp_path: Path) -> Callable[..., Said]:
    """`process("predict", …)` runs `python -m lociscope predict …` in a fresh process in `tmp_path`."""

    def run(
        *words: object, code: str | None = None, prefix: tuple[str, ...] = (), stdin: str | None = None, **changed: str
    ) -> Said:
        start = ["-m", "lociscope"] if code is None else ["-c", code]
        done = subprocess.run(
            [*prefix, sys.executable, "-W", "error", *start, *map(str, words)],
            env=environment | changed, cwd=tmp_path, input=stdin, capture_output=True, text=True, check=False,
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
