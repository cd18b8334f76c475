"""The prediction log in PostgreSQL: restarted, frozen, locked, disconnected; no row is lost or written twice."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.prediction_log import database
from lociscope.prediction_log import writer as writing
from lociscope.prediction_log.log import PredictionLog, open_log
from lociscope.prediction_log.log_errors import LogError, LogUnavailableError
from lociscope.prediction_log.rows import make_rows
from lociscope.prediction_log.writer import LogWriter
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures.postgres import Postgres

WAIT = 60


def made(*ids: str) -> Predictions:
    n = len(ids)
    embedding = np.linspace(-1, 1, 5 * n, dtype=np.float32).reshape(n, 5)
    return Predictions(
        list(ids),
        np.full((n, 28), 0.25, np.float32),
        [(1, 27)] * n,
        ["ok"] * n,
        [parse_warnings(["ü: '%s'"])] * n,
        embedding,
    )


def add(writer: LogWriter, first: int, last: int) -> list[str]:
    """Adds predictions one by one, as a service does; gives their ids."""
    ids = [f"f{number}" for number in range(first, last)]
    for name in ids:
        writer.add(made(name), np.zeros((1, 34), np.float32), bundle="b" * 64)
    return ids


def until_written(writer: LogWriter) -> None:
    ends = time.monotonic() + WAIT
    while writer._rows:
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.fixture
def log(postgres: Postgres) -> Iterator[PredictionLog]:
    with open_log(postgres.new_database()) as opened:
        yield opened


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is cut off after a second, and tried again within a quarter of one."""
    monkeypatch.setattr(database, "GRACE_SECONDS", -4)
    monkeypatch.setattr(writing, "LONGEST_PAUSE", 0.25)


def test_rows_are_read_back(log: PredictionLog) -> None:
    figures = np.arange(68, dtype=np.float32).reshape(2, 34)
    log.add(made("a", "ü/b"), figures, bundle="b" * 64, command="predict")
    read = log.read(bundle="b" * 64)
    assert (read.predictions.ids, read.predictions.warnings) == (["a", "ü/b"], [parse_warnings(["ü: '%s'"])] * 2)
    np.testing.assert_array_equal(read.statistics, figures)
    np.testing.assert_array_equal(read.predictions.probability, np.full((2, 28), 0.25))
    assert read.predictions.embedding is not None
    assert log.bundles() == {"b" * 64: 2}
    assert log.span() == (read.times[0],) * 2
    assert "127.0.0.1" in log.name


def test_several_processes_may_make_a_log_at_once(postgres: Postgres) -> None:
    url, failed = postgres.new_database(), []
    begin = threading.Barrier(6)

    def make() -> None:
        begin.wait()
        try:
            open_log(url).close()
        except LogError as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []


def test_rows_of_one_key_are_written_once(log: PredictionLog) -> None:
    rows = make_rows(made("a", "b"), np.zeros((2, 34), np.float32), bundle="b", command="serve")
    log.write(rows, "first")
    log.write(rows, "first")
    log.write(rows[:1], "second", "first")
    assert log.read().predictions.ids == ["a", "b", "a"]


def test_who_may_only_select_reads(postgres: Postgres, log: PredictionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # as in a container
    log.add(made("a"), np.zeros((1, 34), np.float32), bundle="b", command="serve")
    name = log.name.rpartition("/")[2]
    postgres.run(name, "CREATE ROLE reader LOGIN", "GRANT SELECT ON lociscope_log, lociscope_predictions TO reader")
    with open_log(postgres.url(name, "reader"), create=False) as read:
        assert read.read().predictions.ids == ["a"]
        assert read.bundles() == {"b": 1}
        with pytest.raises(LogError, match=r"permission denied for table .*Ask for the right") as caught:
            read.add(made("b"), np.zeros((1, 34), np.float32), bundle="b", command="serve")
    assert not isinstance(caught.value, LogUnavailableError)  # no sense in trying again


def test_who_may_write_needs_no_more_than_the_documented_rights(postgres: Postgres, log: PredictionLog) -> None:
    name = log.name.rpartition("/")[2]
    postgres.run(
        name,
        "CREATE ROLE writer LOGIN",
        "GRANT SELECT, INSERT, DELETE ON lociscope_log TO writer",
        "GRANT INSERT ON lociscope_predictions TO writer",
        "GRANT USAGE ON SEQUENCE lociscope_predictions_seq_seq TO writer",
    )
    with open_log(postgres.url(name, "writer")) as opened:
        for ids in (["a"], ["b", "c"]):  # one row, and several
            opened.add(made(*ids), np.zeros((len(ids), 34), np.float32), bundle="b", command="serve")
        with LogWriter(opened, "serve") as writer:
            add(writer, 0, 3)
    assert (writer.unlogged, log.read().predictions.ids) == (0, ["a", "b", "c", "f0", "f1", "f2"])


def test_a_restart_costs_nothing_and_doubles_nothing(postgres: Postgres, log: PredictionLog) -> None:
    with LogWriter(log, "serve") as writer:
        ids = add(writer, 0, 3)
        until_written(writer)
        postgres.stop()
        ids += add(writer, 3, 6)
        time.sleep(0.3)  # some attempts fail
        postgres.start()
        ids += add(writer, 6, 9)
        until_written(writer)
        postgres.kill()
        postgres.start()
        ids += add(writer, 9, 12)
    assert (writer.unlogged, writer.trouble) == (0, "")
    assert log.read().predictions.ids == ids


def test_a_server_that_is_silent_for_a_moment_costs_nothing(postgres: Postgres, log: PredictionLog) -> None:
    with LogWriter(log, "serve") as writer:
        ids = add(writer, 0, 3)
        until_written(writer)
        postgres.freeze()
        began = time.monotonic()
        ids += add(writer, 3, 300)
        assert time.monotonic() - began < 5  # nobody waited
        time.sleep(0.5)
        postgres.thaw()
    assert writer.unlogged == 0
    assert log.read().predictions.ids == ids


@pytest.mark.slow
def test_a_server_that_is_silent_for_longer_than_a_statement_may_take_doubles_nothing(
    postgres: Postgres, log: PredictionLog, short: None
) -> None:
    """What was asked before the connection was cut off is done when the server wakes, and is not done again."""
    with LogWriter(log, "serve") as writer:
        ids = add(writer, 0, 1)
        until_written(writer)
        for number in range(1, 4):
            stopping = threading.Timer(0.002 * number, postgres.freeze)  # anywhere in a transaction
            stopping.start()
            ids += add(writer, 100 * number, 100 * number + 20)
            time.sleep(1.5)  # cut off, and tried again
            stopping.join()
            postgres.thaw()
            until_written(writer)
    assert writer.unlogged == 0
    read = log.read().predictions.ids
    assert sorted(read) == sorted(ids)


def test_one_frozen_connection_doubles_nothing(
    postgres: Postgres, log: PredictionLog, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction may still be committed: the rows wait until that is settled."""
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", WAIT)
    frozen: list[int] = []
    transaction = log._database.transaction

    class Freezing:
        """Stops the server's process between the rows and their commit."""

        def __enter__(self) -> object:
            self._inner = transaction("written", 5)
            self._connection = self._inner.__enter__()
            return self._connection

        def __exit__(self, *error: object) -> None:
            if not frozen and error[0] is None:
                frozen.append(self._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
                postgres._signal(frozen[0], 19)
            self._inner.__exit__(*error)  # type: ignore[arg-type]

    monkeypatch.setattr(log._database, "transaction", lambda *_: Freezing())
    with LogWriter(log, "serve") as writer:
        add(writer, 0, 1)
        ends = time.monotonic() + WAIT
        while not writer._logged_trouble:
            assert time.monotonic() < ends
            time.sleep(0.05)
        time.sleep(0.5)  # another connection tries, and waits for the key of the frozen one
        postgres._signal(frozen[0], 18)
    monkeypatch.setattr(log._database, "transaction", transaction)
    assert writer.unlogged == 0
    assert log.read().predictions.ids == ["f0"]


def test_a_locked_table_is_an_error_in_bounded_time(
    postgres: Postgres, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("lociscope.prediction_log.log.WRITE_SECONDS", 1)
    with psycopg.connect(postgres._address(log.name.rpartition("/")[2])) as other:
        other.execute("LOCK TABLE lociscope_predictions")
        with pytest.raises(LogUnavailableError, match="statement timeout"):
            log.add(made("a"), np.zeros((1, 34), np.float32), bundle="b", command="serve")


@pytest.mark.slow
def test_a_silent_server_is_an_error_in_bounded_time(
    postgres: Postgres, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lociscope.prediction_log.log.READ_SECONDS", 5)
    with open_log(postgres.new_database() + "?connect_timeout=2") as log:
        postgres.freeze()
        with pytest.raises(LogUnavailableError, match=r"cannot be written \(no answer within 1 s\)"):
            log.add(made("a"), np.zeros((1, 34), np.float32), bundle="b", command="serve")
        with pytest.raises(LogUnavailableError, match="cannot be read"):
            log.read()
        with pytest.raises(LogUnavailableError, match="cannot be opened"):
            open_log(log.name)
