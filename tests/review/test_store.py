"""The database of a review: fields once, every answer kept, the last of each reviewer counts."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.prediction_log.log_errors import LogError
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.store import ReviewStore, open_review

if TYPE_CHECKING:
    from collections.abc import Iterator


def make_item(name: str, bundle: str = "b" * 64, reason: Reason = Reason.UNCERTAIN) -> Item:
    ref = PlaneRef(Path("/data") / f"{name}.tif", "", "DAPI")
    source = FieldSource(name, (ref, None, ref, ref), 0.32, 2, ("green",), (), (("plate", "P1"),))
    return Item(0, name, source, bundle, (3, 7), np.linspace(0, 1, 28, dtype=np.float32), reason, 90, "today")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReviewStore]:
    url = str(tmp_path / "review.db")
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    with open_review(url, create=True) as opened:
        yield opened


def answer(item: int, reviewer: str, *labels: int, verdict: Verdict = Verdict.LABELLED, note: str = "") -> Answer:
    return Answer(item, reviewer, verdict, labels, note)


def test_fields_are_read_back_and_added_once(store: ReviewStore) -> None:
    assert store.add([make_item("a"), make_item("b"), make_item("a")]) == 2
    assert store.add([make_item("b"), make_item("a", "c" * 64)]) == 1
    first, second, third = store.items()
    assert [item.id for item in (first, second, third)] == ["a", "b", "a"]
    made = make_item("a")
    assert first._replace(probability=made.probability, added="", number=0) == made
    np.testing.assert_array_equal(first.probability, made.probability)
    found = store.find("a", "c" * 64)
    assert found is not None
    assert (store.item(second.number).id, found.number) == ("b", third.number)
    assert store.find("x", "b" * 64) is None
    with pytest.raises(LociscopeError) as raised:
        store.item(99)
    assert raised.value.code == Code.NOT_FOUND


def test_the_last_answer_of_a_reviewer_counts_and_all_are_kept(store: ReviewStore, tmp_path: Path) -> None:
    store.add([make_item("a"), make_item("b")])
    store.answer(answer(1, " ann ", 7, 3, 7))
    store.answer(answer(1, "bob", verdict=Verdict.CANNOT_TELL, note="blurred"))
    store.answer(answer(1, "ann", 5))
    found = store.answers()
    assert [(each.reviewer, each.labels, each.verdict) for each in found] == [
        ("ann", (5,), Verdict.LABELLED),
        ("bob", (), Verdict.CANNOT_TELL),
    ]
    assert found[0].time.endswith("Z")
    assert store.find_answer(1, "ann") == found[0]
    assert store.find_answer(2, "ann") is None
    assert store.count("ann") == (1, 2)
    if (tmp_path / "review.db").exists():
        with sqlite3.connect(tmp_path / "review.db") as connection:
            assert connection.execute("SELECT count(*) FROM lociscope_review_answers").fetchone() == (3,)


def test_reviewers_are_led_through_the_queue(store: ReviewStore) -> None:
    store.add([make_item(name) for name in "abc"])

    def next_id(reviewer: str, reviewers: int = 1) -> str | None:
        item = store.next_item(reviewer, reviewers)
        return None if item is None else item.id

    assert next_id("ann") == "a"
    store.answer(answer(1, "ann", 3))
    assert (next_id("ann"), next_id("bob"), next_id("bob", 2)) == ("b", "b", "a")
    store.answer(answer(1, "bob", 3))
    assert next_id("cid", 2) == "b"
    for item in (2, 3):
        store.answer(answer(item, "ann", 3))
    assert (next_id("ann"), next_id("bob"), next_id("bob", 2)) == (None, None, "b")


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\nb"])
def test_an_answer_needs_a_name(store: ReviewStore, name: str) -> None:
    store.add([make_item("a")])
    with pytest.raises(UsageError, match="`reviewer` is"):
        store.answer(answer(1, name, 3))


def test_an_answer_about_no_field_or_with_an_endless_note_is_refused(store: ReviewStore) -> None:
    with pytest.raises(LociscopeError):
        store.answer(answer(1, "ann", 3))
    store.add([make_item("a")])
    with pytest.raises(UsageError, match="The note has 2001 characters"):
        store.answer(answer(1, "ann", 3, note="x" * 2001))
    assert store.answers() == []


def test_other_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="There is no"):
        open_review(str(tmp_path / "none.db"))
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE x (y)")
    with pytest.raises(LogError, match="is not a review"):
        open_review(str(tmp_path / "other.db"), create=True)
    open_review(str(tmp_path / "new.db"), create=True).close()
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("UPDATE lociscope_review SET value = '99'")
    with pytest.raises(LogError, match="99"):
        open_review(str(tmp_path / "new.db"))


def test_fields_and_reviewers_are_deleted(store: ReviewStore) -> None:
    store.add([make_item("lab1_a"), make_item("lab2_b")])
    for item in (1, 2):
        store.answer(answer(item, "ann", 3))
    store.answer(answer(2, "bob", 3))
    assert store.delete_fields(re.compile("^lab1_")) == 1
    assert [item.id for item in store.items()] == ["lab2_b"]
    assert [(each.item, each.reviewer) for each in store.answers()] == [(2, "ann"), (2, "bob")]
    assert store.delete_reviewer("ann") == 1
    assert [each.reviewer for each in store.answers()] == ["bob"]
    assert store.delete_reviewer("nobody") == 0
