"""The database of the log: wrong URLs, other files and damaged files."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import MissingExtraError
from lociscope.prediction_log.log import PredictionLog, open_log
from lociscope.prediction_log.log_errors import LogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MADE = Predictions(["a"], np.zeros((1, 28), np.float32), [()], ["ok"], [()])
FIGURES = np.zeros((1, 34), np.float32)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PredictionLog]:
    with open_log(str(tmp_path / "log.db")) as opened:
        yield opened


def test_a_newer_schema_is_refused(tmp_path: Path, log: PredictionLog) -> None:
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("UPDATE lociscope_log SET value = '2' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(LogError, match=r"has schema 2, newer than 1, the newest this lociscope reads\. Update"):
        open_log(str(tmp_path / "log.db"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nothing://x", r"begins with 'nothing', whose driver is not installed"),
        ("postgresql+pg8000://me:secret@here/log", r"'postgresql\+pg8000', whose driver is not installed"),
        ("://", r"URL cannot be read\. Expected a path"),
        ("no/such/folder/log.db", r"cannot be opened \(unable to open database file\)\. Check the path"),
        (".", r"cannot be opened \(unable to open database file\)\. Check the path"),
    ],
)
def test_a_wrong_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LogError, match=sentence) as caught:
        open_log(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_log_is_not_created_for_reading(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"There is no log .*Name the one passed as `log`"):
        open_log(str(tmp_path / "log.db"), create=False)
    assert not list(tmp_path.iterdir())


def test_sqlalchemy_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtraError, match=r"needs the extra 'monitor'"):
        open_log(str(tmp_path / "log.db"))


@pytest.mark.parametrize("damage", [lambda data: b"no database" * 1000, lambda data: data[:4096] + b"\xff" * 4096])
def test_a_damaged_file(tmp_path: Path, log: PredictionLog, damage: Callable[[bytes], bytes]) -> None:
    log.add(MADE, FIGURES, bundle="a" * 64, command="serve")
    log.close()
    path = tmp_path / "log.db"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LogError, match=r"cannot be opened \((file is not a|database disk image is malformed)"):
        open_log(str(path))


def test_an_error_that_quotes_malformed_text(tmp_path: Path, log: PredictionLog) -> None:
    """Found by fuzzing: SQLite repeats what it cannot parse of the schema."""
    log.close()
    path = tmp_path / "log.db"
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \x96\xffBLE"))
    with pytest.raises(LogError, match=r"cannot be opened \(malformed text\)\. The file is damaged"):
        open_log(str(path))


def test_a_database_of_another_program_is_not_a_log(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    for create in (True, False):
        with pytest.raises(LogError, match="is not a prediction log"):
            open_log(str(tmp_path / "other.db"), create=create)


def test_a_log_whose_maker_was_killed_is_made_to_its_end(tmp_path: Path, log: PredictionLog) -> None:
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("DELETE FROM lociscope_log")
        connection.execute("DROP TABLE lociscope_predictions")
    connection.close()
    with pytest.raises(LogError, match="states no schema"):
        open_log(str(tmp_path / "log.db"), create=False)
    with open_log(str(tmp_path / "log.db")) as again:
        again.add(MADE, FIGURES, bundle="a" * 64, command="serve")
        assert len(again.read()) == 1


def test_the_tables_are_also_those_of_a_server(log: PredictionLog) -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    done = str(CreateTable(log._rows).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "seq BIGSERIAL NOT NULL" in done
    assert done.count("BYTEA") == 3


READ = """
import os, sys
import sqlalchemy.dialects.sqlite.pysqlite
from lociscope.errors import LociscopeError
from lociscope.prediction_log.log import open_log
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    with open_log(sys.argv[1], create=False) as log:
        print(*log.read().predictions.ids)
except LociscopeError as error:
    print(error)
"""


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that others may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        Path(folder).chmod(0o755)


def read_unprivileged(path: Path) -> subprocess.CompletedProcess[str]:
    """Run `READ` without a measurement of coverage, which would write beside the checkout, where it may not."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run([sys.executable, "-c", READ, path], env=plain, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("writer", ["gone", "at work", "killed", "its index lost", "of another journal"])
def test_a_log_is_read_without_the_right_to_write(shared_folder: Path, writer: str) -> None:
    path = shared_folder / "log of #1%?.db"
    with open_log(str(path)) as log:
        log.add(MADE, FIGURES, bundle="a" * 64, command="serve")
        if writer in ("killed", "its index lost"):
            copies = {each: each.read_bytes() for each in shared_folder.iterdir()}
        if writer != "at work":
            log.close()
        if writer == "of another journal":
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
            connection.close()
        if writer in ("killed", "its index lost"):
            for file, data in copies.items():
                file.write_bytes(data)
        if writer == "its index lost":
            path.with_name(path.name + "-shm").unlink()
        path.chmod(0o444)
        shared_folder.chmod(0o555)
        before = sorted(each.name for each in shared_folder.iterdir())
        done = read_unprivileged(path)
        assert sorted(each.name for each in shared_folder.iterdir()) == before
    if writer == "its index lost":
        assert "its last rows are in 'log of #1%?.db-wal', and neither may be written. Copy both" in done.stdout
    else:
        assert (done.stdout, done.stderr) == ("a\n", "")


def test_a_reader_leaves_nothing_that_keeps_a_writer_out(shared_folder: Path) -> None:
    path = shared_folder / "log.db"
    with open_log(str(path)) as log:
        log.add(MADE, FIGURES, bundle="a" * 64, command="serve")
    path.chmod(0o444)
    shared_folder.chmod(0o777)
    done = read_unprivileged(path)
    assert (done.stdout, done.stderr) == ("a\n", "")
    assert [each.name for each in shared_folder.iterdir()] == ["log.db"]
