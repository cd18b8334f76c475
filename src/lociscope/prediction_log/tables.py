"""The tables of the prediction log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.prediction_log.marked_tables import MarkedTables, prepare_marked

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lociscope.prediction_log.database import Database

SCHEMA = 1


def define_tables() -> tuple[sa.Table, sa.Table]:
    """Define the table that marks a database as a log, and the table of predictions."""
    import sqlalchemy as sa

    metadata = sa.MetaData()
    about = sa.Table(
        "lociscope_log", metadata, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text)
    )
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    rows = sa.Table(
        "lociscope_predictions",
        metadata,
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("time", sa.String(32), nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("command", "bundle", "id", "predicted", "status")),
        sa.Column("warnings", sa.Text, nullable=False),
        sa.Column("probability", sa.LargeBinary, nullable=False),
        sa.Column("statistics", sa.LargeBinary, nullable=False),
        sa.Column("embedding", sa.LargeBinary),
    )
    return about, rows


def prepare_tables(database: Database, create: bool) -> None:
    """Create missing tables, and check that they are those of a log of a known schema; see `prepare_marked`."""
    about, rows = define_tables()
    refusal = (
        "is not a prediction log. Name the one passed as `log` or in LOCISCOPE_LOG when it was written, or a new path "
        "to create a log."
    )
    prepare_marked(database, MarkedTables(about, (rows,), SCHEMA, "Log", refusal), create)
