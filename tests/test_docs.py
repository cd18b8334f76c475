"""The documentation is true: its commands run, its figures are recomputed, and nothing that exists is left out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("how-to/*.md"), *DOCS.glob("networks/*.md"), ROOT / "README.md"])

_BLOCK = re.compile(r"^```(?P<kind>console|python)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_SMALLER = re.compile(r'<!-- tests: "(?P<written>[^"]+)" -> "(?P<run>[^"]+)" -->')
Load = Callable[[str], ModuleType]


class Step(NamedTuple):
    """One thing that a page tells its reader to run."""

    text: str
    arguments: list[str]


def steps_of(page: str) -> list[Step]:
    """The `$ lociscope` lines and the Python blocks of a page, in order, with the smaller numbers put in.

    A page may say `<!-- tests: "--fields 400" -> "--fields 48" -->`: the reader sees the first, the test runs
    the second. Each such note must fit a command of the page.
    """
    notes = [(note["written"], note["run"]) for note in _SMALLER.finditer(page)]
    steps: list[Step] = []
    for block in _BLOCK.finditer(page):
        if block["kind"] == "python":
            steps.append(Step(block["body"], [sys.executable, "-W", "error", "-c", block["body"]]))
            continue
        lines = block["body"].replace("\\\n", " ").splitlines()
        steps += [command(line, notes) for line in lines if line.startswith("$ lociscope ")]
    for written, _ in notes:
        assert written in page.replace(f'"{written}"', ""), f"the note about {written!r} fits no command"
    return steps


def command(line: str, notes: list[tuple[str, str]]) -> Step:
    """The process that a line of a console block stands for."""
    for written, run in notes:
        line = line.replace(written, run)
    words = shlex.split(line.removeprefix("$ "), comments=True)
    return Step(line, [sys.executable, "-m", *words])


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of_docs() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in [*DOCS.rglob("*.md"), ROOT / "README.md"])


# === Commands run ===


def test_smaller_numbers_are_put_in_and_must_fit() -> None:
    page = '<!-- tests: "--n 9" -> "--n 1" -->\n```console\n$ lociscope x \\\n  --n 9\nout\n$ ls\n```\n'
    (step,) = steps_of(page)
    assert step.arguments[1:] == ["-m", "lociscope", "x", "--n", "1"]
    with pytest.raises(AssertionError, match="fits no command"):
        steps_of('<!-- tests: "--m 9" -> "--m 1" -->')


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "NO_COLOR": "1", "MPLBACKEND": "Agg"}
    for step in steps_of(page.read_text(encoding="utf-8")):
        done = subprocess.run(
            step.arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name_of(page)}: {step.text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


# === Nothing is left out ===


def options_of(group: Any, name: str = "lociscope") -> dict[str, list[str]]:
    """The long options of every command, by the command's name."""
    if hasattr(group, "commands"):
        return {
            key: value
            for each, sub in group.commands.items()
            for key, value in options_of(sub, f"{name} {each}").items()
        }
    flags = [flag for each in group.params for flag in (*each.opts, *each.secondary_opts) if flag.startswith("--")]
    return {name: flags}


def test_every_command_and_option_is_named() -> None:
    from typer.main import get_command

    from lociscope import cli

    docs = text_of_docs()
    missing = [
        f"{command} {flag}".strip()
        for command, flags in options_of(get_command(cli.app)).items()
        for flag in ("", *flags)
        if (command if not flag else flag) not in docs
    ]
    assert not missing


def test_the_page_of_commands_is_the_command_line(load_script: Load) -> None:
    shown = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert shown == load_script("docs/_generate/commands_page").page(), (
        "python docs/_generate/commands_page.py > docs/reference/commands.md"
    )


def test_the_page_of_benchmarks_is_what_was_measured(load_script: Load) -> None:
    shown = (DOCS / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    assert shown == load_script("docs/_generate/benchmarks_page").page(), (
        "python docs/_generate/benchmarks_page.py > docs/reference/benchmarks.md"
    )


def test_every_recipe_key_is_named(load_script: Load) -> None:
    shown = (DOCS / "reference" / "recipe.md").read_text(encoding="utf-8")
    assert shown == load_script("docs/_generate/recipe_page").page(), "run docs/_generate/recipe_page.py"


def test_every_network_and_option_is_named() -> None:
    import inspect
    from importlib import import_module

    from lociscope.models import NETWORKS

    page = (DOCS / "reference" / "recipe.md").read_text(encoding="utf-8")
    for name, where in NETWORKS.items():
        row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), "")
        module, function = where.split(":")
        options = [
            each for each in inspect.signature(getattr(import_module(module), function)).parameters if each != "size"
        ]
        assert not [option for option in options if f"`{option}`" not in row], row or f"no row for {name}"


def test_every_column_of_a_catalog_and_file_of_a_bundle_is_named() -> None:
    from lociscope import labels
    from lociscope.artifacts import bundle_files, card, catalog

    page = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    files = [*bundle_files.REQUIRED, *bundle_files.OPTIONAL, *bundle_files.PAYLOADS.values(), bundle_files.MANIFEST]
    names = [*catalog.COLUMNS, *files]
    keys = list(card.Card.__struct_encode_fields__)
    nested = [name for model in (card.InputSpec, card.Decision, card.Score) for name in model.__struct_fields__]
    assert not [name for name in (*names, *keys, *nested) if f"`{name}`" not in page]
    assert all(f"{number} {name} |" in page for number, name in enumerate(labels.LABELS))


def test_every_metric_is_named() -> None:
    from lociscope.decide import metrics

    kinds = (metrics.ClassMetric, metrics.RowMetric)
    names = [each.name for each in vars(metrics).values() if isinstance(each, kinds)] + ["top_k"]
    docs = text_of_docs()
    assert len(names) > 1
    assert not [name for name in names if f"`{name}`" not in docs]


def test_every_exit_code_is_named() -> None:
    from lociscope.errors import Exit

    page = (DOCS / "reference" / "errors-and-exit-codes.md").read_text(encoding="utf-8")
    assert not [code for code in Exit if f"| {code.value} |" not in page]


SEARCHED = (
    "transfer learning", "fine-tuning", "hyperparameter", "data augmentation", "test-time augmentation",
    "receptive field", "class imbalance", "early stopping", "inference", "preprocessing", "overfit", "threshold",
    "calibration", "confusion", "heat map", "embedding", "out-of-distribution",
)  # fmt: skip
"""What a learner or an engineer searches for."""


@pytest.mark.parametrize("word", SEARCHED)
def test_searched_words_are_in_the_glossary_and_on_another_page(word: str) -> None:
    pages = {name_of(page): page.read_text(encoding="utf-8").lower() for page in DOCS.rglob("*.md")}
    found = {name for name, text in pages.items() if word in " ".join(text.split())}
    assert "docs/glossary.md" in found
    assert len(found) > 1


# === Links and figures ===


@pytest.mark.parametrize("page", [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


@pytest.mark.slow
def test_the_figures_of_the_frame_are_those_of_the_data(load_script: Load, real_data: Path) -> None:
    page = (DOCS / "frame.md").read_text(encoding="utf-8")
    figures: dict[str, str] = load_script("docs/_generate/frame_figures").figures(real_data)
    missing = [
        f"{name} = {value}"
        for name, value in figures.items()
        if not re.search(rf"(?<![\d.,]){re.escape(value)}(?!\d)", page)
    ]
    assert not missing
