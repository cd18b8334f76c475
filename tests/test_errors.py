"""The errors' remedies and exit codes."""

from __future__ import annotations

import pytest

from lociscope.errors import Exit, LociscopeError, MissingExtraError, UsageError, nearest


@pytest.mark.parametrize(
    ("received", "known", "said"),
    [
        ("epoch", ["batch", "epochs"], " Did you mean 'epochs'?"),
        ("EPOCHS", ["Epochs", "batch"], " Did you mean 'Epochs'?"),
        ("zzz", ["b", "a"], " Known: a, b."),
    ],
)
def test_a_misspelt_name_meets_its_neighbour(received: str, known: list[str], said: str) -> None:
    assert nearest(received, iter(known)) == said


def test_exit_codes() -> None:
    assert LociscopeError("x").exit_code is Exit.NOTHING_DONE
    assert UsageError("x").exit_code is Exit.USAGE
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 130]


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtraError("Training", "train")
    assert str(error) == "Training needs the extra 'train'. Install it: pip install 'lociscope[train]'."
    assert error.exit_code is Exit.NOTHING_DONE
