"""The database of a review; SQLite, or PostgreSQL for reviewers at several machines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.source_json import source_from_json, source_to_json
from lociscope.labels import format_target, parse_target
from lociscope.prediction_log.database import READ_SECONDS, WRITE_SECONDS, Database, Store, overwrite_deleted
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.tables import define_tables, prepare_tables

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    import sqlalchemy as sa

MAX_NOTE = 2000
MAX_NAME = 64


def open_review(url: str, *, create: bool = False) -> ReviewStore:
    """Open a review.

    Args:
        url: A path (SQLite), or an SQLAlchemy URL.
        create: Whether to create it where there is none.

    Raises:
        LogError: The database cannot be used, is no review, or of a newer schema.
        MissingExtraError: SQLAlchemy is not installed.
    """
    database = Database(url, create, "Review")
    try:
        store = ReviewStore(database)
        prepare_tables(database, store.tables, create)
    except LociscopeError:
        database.close()
        raise
    return store


class ReviewStore(Store):
    """An open review; may be used from several threads, and by several processes at once.

    Every answer is kept. If a reviewer answers twice, the later answer counts.

    Args:
        database: Its database.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.tables = define_tables()

    def add(self, items: Sequence[Item]) -> int:
        """Add fields to the queue; those that are in it already, by id and bundle, stay as they are.

        Returns:
            The number of fields that were added.
        """
        import sqlalchemy as sa

        table, now = self.tables.items, _now()
        added = 0
        with self._database.transaction("written", WRITE_SECONDS) as connection:
            known = {(row.id, row.bundle) for row in connection.execute(sa.select(table.c.id, table.c.bundle))}
            for item in items:
                if (item.id, item.bundle) in known:
                    continue
                known.add((item.id, item.bundle))
                added += 1
                connection.execute(
                    table.insert(),
                    {
                        "id": item.id,
                        "bundle": item.bundle,
                        "source": source_to_json(item.source),
                        "predicted": format_target(item.predicted),
                        "probability": np.asarray(item.probability, "<f4").tobytes(),
                        "reason": item.reason,
                        "frame": item.frame,
                        "batch": item.batch,
                        "added": now,
                    },
                )
        return added

    def items(self) -> list[Item]:
        """Return all fields, in the order of the queue."""
        with self._database.transaction("read", READ_SECONDS) as connection:
            rows = connection.execute(self.tables.items.select().order_by(self.tables.items.c.number)).all()
        return [_to_item(row) for row in rows]

    def item(self, number: int) -> Item:
        """Return a field by its number.

        Raises:
            LociscopeError: There is none.
        """
        with self._database.transaction("read", READ_SECONDS) as connection:
            row = connection.execute(self.tables.items.select().where(self.tables.items.c.number == number)).first()
        if row is None:
            raise LociscopeError(f"The review has no field {number}.", code=Code.NOT_FOUND)
        return _to_item(row)

    def find(self, identifier: str, bundle: str) -> Item | None:
        """Return a field by its id and the bundle that predicted it."""
        table = self.tables.items
        with self._database.transaction("read", READ_SECONDS) as connection:
            row = connection.execute(table.select().where(table.c.id == identifier, table.c.bundle == bundle)).first()
        return None if row is None else _to_item(row)

    def next_item(self, reviewer: str, reviewers: int = 1) -> Item | None:
        """Return the first field that a reviewer should answer.

        Args:
            reviewer: Who.
            reviewers: How many reviewers each field needs; fields that have as many are skipped.
        """
        import sqlalchemy as sa

        items, answers = self.tables.items, self.tables.answers
        own = sa.select(answers.c.item).where(answers.c.reviewer == reviewer)
        done = (
            sa.select(answers.c.item)
            .group_by(answers.c.item)
            .having(sa.func.count(sa.distinct(answers.c.reviewer)) >= reviewers)
        )
        query = items.select().where(items.c.number.not_in(own), items.c.number.not_in(done)).order_by(items.c.number)
        with self._database.transaction("read", READ_SECONDS) as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else _to_item(row)

    def answer(self, answer: Answer) -> None:
        """Keep an answer.

        Raises:
            UsageError: The reviewer has no name, or the note is too long.
            LociscopeError: The field is unknown.
        """
        name = check_reviewer(answer.reviewer)
        if len(answer.note) > MAX_NOTE:
            raise UsageError(
                f"The note has {len(answer.note)} characters, expected {MAX_NOTE} or fewer.", code=Code.TOO_LARGE
            )
        self.item(answer.item)
        row = answer._asdict() | {
            "reviewer": name,
            "labels": format_target(sorted(set(answer.labels))),
            "time": _now(),
        }
        with self._database.transaction("written", WRITE_SECONDS) as connection:
            connection.execute(self.tables.answers.insert(), row)

    def answers(self) -> list[Answer]:
        """Return the answers that count: the last of each reviewer about each field, in the order of the fields."""
        table = self.tables.answers
        with self._database.transaction("read", READ_SECONDS) as connection:
            rows = connection.execute(table.select().order_by(table.c.seq)).all()
        last = {(row.item, row.reviewer): row for row in rows}
        return [_to_answer(row) for _, row in sorted(last.items())]

    def find_answer(self, item: int, reviewer: str) -> Answer | None:
        """Return the last answer of a reviewer about a field."""
        table = self.tables.answers
        query = table.select().where(table.c.item == item, table.c.reviewer == reviewer).order_by(table.c.seq.desc())
        with self._database.transaction("read", READ_SECONDS) as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else _to_answer(row)

    def count(self, reviewer: str) -> tuple[int, int]:
        """Return how many fields a reviewer has answered, and how many there are."""
        import sqlalchemy as sa

        items, answers = self.tables.items, self.tables.answers
        done = sa.select(sa.func.count(sa.distinct(answers.c.item))).where(answers.c.reviewer == reviewer)
        with self._database.transaction("read", READ_SECONDS) as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(items)).scalar_one()
            return int(connection.execute(done).scalar_one()), int(total)

    def delete_fields(self, matching: re.Pattern[str]) -> int:
        """Delete the fields in whose id a pattern is found, with their answers; return how many."""
        numbers = [item.number for item in self.items() if matching.search(item.id)]
        with self._database.transaction("written", WRITE_SECONDS) as connection:
            overwrite_deleted(connection)
            for number in numbers:
                connection.execute(self.tables.answers.delete().where(self.tables.answers.c.item == number))
                connection.execute(self.tables.items.delete().where(self.tables.items.c.number == number))
        return len(numbers)

    def delete_reviewer(self, reviewer: str) -> int:
        """Delete all answers of a reviewer; return how many."""
        table = self.tables.answers
        with self._database.transaction("written", WRITE_SECONDS) as connection:
            overwrite_deleted(connection)
            return int(connection.execute(table.delete().where(table.c.reviewer == reviewer)).rowcount)


def check_reviewer(name: str) -> str:
    """Return the name of a reviewer without spaces around it.

    Raises:
        UsageError: It is empty, too long, or not printable.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(
            f"`reviewer` is {name[:80]!r}; expected a name of 1–{MAX_NAME} printable characters.",
            code=Code.INVALID_VALUE,
        )
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _to_item(row: sa.Row[tuple[object, ...]]) -> Item:
    return Item(
        row.number,
        row.id,
        source_from_json(row.source),
        row.bundle,
        parse_target(row.predicted),
        np.frombuffer(row.probability, "<f4"),
        Reason(row.reason),
        row.frame,
        row.batch,
        row.added,
    )


def _to_answer(row: sa.Row[tuple[object, ...]]) -> Answer:
    return Answer(
        row.item, row.reviewer, Verdict(row.verdict), parse_target(row.labels), row.note, bool(row.saw_model), row.time
    )
