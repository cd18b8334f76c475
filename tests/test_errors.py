"""Errors: codes, exit codes, remedies and names of parameters."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from lociscope import errors
from lociscope.errors import Code, Exit, LociscopeError, MissingExtraError, UsageError, name_parameters, suggest


@pytest.mark.parametrize(
    ("received", "known", "message"),
    [
        ("epoch", ["batch", "epochs"], " Did you mean 'epochs'?"),
        ("EPOCHS", ["Epochs", "batch"], " Did you mean 'Epochs'?"),
        ("zzz", ["b", "a"], " Known: a, b."),
    ],
)
def test_suggestions_for_a_misspelt_name(received: str, known: list[str], message: str) -> None:
    assert suggest(received, iter(known)) == message


def test_exit_codes() -> None:
    assert LociscopeError("x").exit_code is Exit.NOTHING_DONE
    assert UsageError("x").exit_code is Exit.USAGE
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 130]


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtraError("Training", "train")
    assert str(error) == "Training needs the extra 'train'. Install it: pip install 'lociscope[train]'."
    assert error.exit_code is Exit.NOTHING_DONE


def test_an_error_survives_another_process() -> None:
    for error in (UsageError("x", code=Code.CONFLICT), MissingExtraError("Training", "train")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.code) == (type(error), str(error), error.code)


def test_every_error_that_is_raised_has_a_code() -> None:
    source, lacking = Path(errors.__file__).parent, []
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("LociscopeError", "UsageError"):
                lacking += [] if any(each.arg == "code" for each in node.keywords) else [f"{path}:{node.lineno}"]
    assert not lacking


def test_the_page_lists_every_code() -> None:
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Code").body
    texts = [ast.literal_eval(node.value) for node in body if isinstance(node, ast.Expr)][1:]
    expected = [f"| `{code}` | {text} |" for code, text in zip(Code, texts, strict=True)]
    page = (Path(__file__).parents[1] / "docs/reference/errors-and-exit-codes.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `")] == expected


def test_parameters_are_named_as_their_reader_knows_them() -> None:
    text = "Pass `pixel_size`, not `other`."
    assert name_parameters(text, {"pixel_size": "--pixel-size"}) == "Pass --pixel-size, not `other`."


@pytest.mark.parametrize(
    ("assignment", "rendered"),
    [("{name} {value}", "Pass missing yellow."), ("{name}={value}", "Pass missing=yellow.")],
)
def test_parameters_keep_their_value(assignment: str, rendered: str) -> None:
    names = {"allow_missing": "missing"}
    assert name_parameters("Pass `allow_missing=yellow`.", names, assignment) == rendered


def test_every_code_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    assert not [code for code in Code if f"| `{code}` |" not in page]
