"""The tables of a review: its fields, and each answer of each reviewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lociscope.prediction_log.marked_tables import MarkedTables, prepare_marked

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lociscope.prediction_log.database import Database

SCHEMA = 1


class Tables(NamedTuple):
    """The tables: what the database is, the fields, and the answers."""

    about: sa.Table
    items: sa.Table
    answers: sa.Table


def define_tables() -> Tables:
    """Define the tables."""
    import sqlalchemy as sa

    metadata = sa.MetaData()
    about = sa.Table(
        "lociscope_review", metadata, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text)
    )
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    items = sa.Table(
        "lociscope_review_items",
        metadata,
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("bundle", sa.String(64), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("predicted", sa.Text, nullable=False),
        sa.Column("probability", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("batch", sa.String(32), nullable=False),
        sa.Column("added", sa.String(32), nullable=False),
        sa.UniqueConstraint("id", "bundle", name="lociscope_review_items_once"),
    )
    answers = sa.Table(
        "lociscope_review_answers",
        metadata,
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("item", number, nullable=False, index=True),
        sa.Column("reviewer", sa.String(64), nullable=False, index=True),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("saw_model", sa.Boolean, nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
    )
    return Tables(about, items, answers)


def prepare_tables(database: Database, tables: Tables, create: bool) -> None:
    """Create missing tables, and check that they are those of a review of a known schema; see `prepare_marked`."""
    refusal = "is not a review. Make one with `lociscope review queue`, or name the one that it made."
    about, *others = tables
    prepare_marked(database, MarkedTables(about, tuple(others), SCHEMA, "Review", refusal), create)
