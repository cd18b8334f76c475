"""Labels of 2021."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.catalog import read_labels
from lociscope.data.challenge_2021 import is_of_2021, read_labels_2021
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from pathlib import Path


def test_labels_that_stand_for_one_class_are_kept(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text("\ufeffID,Label\na,8|5|0\nb,18\nc,14|0\nd,9|0\ne,17\n", encoding="utf-8")
    assert is_of_2021(table)
    assert read_labels_2021(table) == {"a": (0, 5, 11), "b": (), "c": (0, 23), "d": None, "e": None}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,19\n", "line 2: '19' is not a label of 2021"),
        ("a,1|x\n", "line 2"),
        ("a,\n", "line 2"),
        ("a,1\na,2\n", "line 3 repeats the id 'a'"),
    ],
)
def test_wrong_labels(tmp_path: Path, rows: str, said: str) -> None:
    table = tmp_path / "train.csv"
    table.write_text(f"ID,Label\n{rows}")
    with pytest.raises(LociscopeError, match=said):
        read_labels_2021(table)


def test_other_tables_are_not_of_2021(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Id,Target\n")
    assert not is_of_2021(tmp_path / "a.csv")
    assert not is_of_2021(tmp_path / "none.csv")


def test_the_real_table_agrees_with_that_of_2018(real_data: Path) -> None:
    """Where the wider classes tell a target, it is that of 2018 in 19 of 20 fields; the others were labelled anew."""
    labels = read_labels_2021(real_data / "tables" / "hpa2021_train.csv")
    before = read_labels(real_data / "tables" / "hpa2018_train.csv")
    both = [name for name, target in labels.items() if target is not None and name in before]
    assert (len(labels), len(both)) == (21_806, 15_773)
    assert sum(labels[name] == before[name] for name in both) == 15_121
