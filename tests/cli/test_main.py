"""The command as a whole: light to start, one sentence for a mistake, and an exit code that can be relied on."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import lociscope as lociscope_package
from lociscope import cli
from lociscope.errors import Exit

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]
COMMANDS = ("demo", "train", "evaluate", "export", "predict", "simulate", "import")
LOADED = """
import json, sys
{first}
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
HELP = "from lociscope.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize(
    ("first", "words", "besides"),
    [("import lociscope", [], {"typer", "pydantic"}), (HELP, ["--help"], set()), (HELP, ["predict", "--help"], set())],
    ids=["import", "help", "help of a command"],
)
def test_to_start_is_light(process: Command, first: str, words: list[str], besides: set[str]) -> None:
    code, out, err = process(*words, code=LOADED.format(first=first))
    assert code == 0
    # typer itself looks for pydantic when it shows a command
    heavy = {
        "pydantic",
        "numpy",
        "onnxruntime",
        "pyarrow",
        "PIL",
        "scipy",
        "tensorflow",
        "keras",
        "matplotlib",
        "jinja2",
    }
    assert not set(json.loads(err)) & (heavy | besides)
    assert bool(out) == bool(words)


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS), ["simulate", "atlas"], ["import", "kaggle"]])
def test_every_command_has_help_on_stdout(lociscope: Command, words: list[str]) -> None:
    code, out, err = lociscope(*words, "-h")
    assert (code, err) == (0, "")
    assert "Usage" in out


def test_the_version(lociscope: Command) -> None:
    code, out, err = lociscope("--version")
    assert (code, err) == (0, "")
    assert out == f"lociscope {lociscope_package.__version__}\n"


def test_the_version_has_one_source() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert lociscope_package.__version__ == project["version"]


@pytest.mark.parametrize("words", [["predcit"], ["--colour"], ["simulate", "atlass"], ["train"]])
def test_wrong_usage_is_2_and_says_nothing_on_stdout(lociscope: Command, words: list[str]) -> None:
    code, out, err = lociscope(*words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_quiet_and_verbose(process: Command, write_field: WriteField) -> None:
    folder = write_field("a1")
    loud = process("-v", "predict", folder, "-o", "loud.csv")
    quiet = process("-q", "predict", folder, "-o", "quiet.csv")
    assert loud == (0, "1 field in loud.csv, 1 new\n", "lociscope: fields found: 1, to predict: 1\n")
    assert quiet == (0, "1 field in quiet.csv, 1 new\n", "")


def test_what_others_log_is_passed_on_only_where_serious() -> None:
    def record(name: str, level: int) -> logging.LogRecord:
        return logging.LogRecord(name, level, "", 0, "text", None, None)

    told = [
        (name, level)
        for name in ("lociscope.predict.batch", "PIL.PngImagePlugin")
        for level in (logging.DEBUG, logging.WARNING)
        if cli._ours_or_serious(record(name, level))
    ]
    assert told == [
        ("lociscope.predict.batch", logging.DEBUG),
        ("lociscope.predict.batch", logging.WARNING),
        ("PIL.PngImagePlugin", logging.WARNING),
    ]


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), Exit.INTERRUPTED, "interrupted. Give the same command again to resume."),
        (MemoryError(), Exit.NOTHING_DONE, "out of memory. Try fewer --workers, or a larger machine."),
        (
            PermissionError(13, "Permission denied", "x/y"),
            Exit.NOTHING_DONE,
            "Cannot use 'x/y': Permission denied. Check the path, its permissions and the space.",
        ),
    ],
)
def test_what_the_system_refuses_is_one_message(
    lociscope: Command, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: Exit, said: str
) -> None:
    def find_fields(*_: object) -> None:
        raise raised

    monkeypatch.setattr("lociscope.workflows.predict.find_fields", find_fields)
    assert lociscope("predict", "x", "-o", "out.csv") == (code, "", f"lociscope: {said}\n")


def test_a_mistake_of_ours_is_not_hidden(lociscope: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_fields(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lociscope.workflows.predict.find_fields", find_fields)
    with pytest.raises(ZeroDivisionError):
        lociscope("predict", "x", "-o", "out.csv")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_mistake(environment: dict[str, str], unbuffered: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lociscope", "--version"],
        env=environment | {"PYTHONUNBUFFERED": unbuffered}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        err = started.stderr.read()
    assert (started.returncode, err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_takes_nothing_is_reported(environment: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lociscope", "--version"],
            env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("lociscope: Cannot use the output: No space left on device.")
    assert done.stderr.count("\n") == 1


def test_a_path_is_printed_as_it_is_on_disk(
    environment: dict[str, str], write_field: WriteField, tmp_path: Path
) -> None:
    write_field("a1")
    done = subprocess.run(
        [sys.executable, "-m", "lociscope", "predict", b"fields", "-o", b"\xf6.csv"],
        env=environment | {"PYTHONIOENCODING": "utf-8:strict"}, cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1 field in \xf6.csv, 1 new\n", b"")
