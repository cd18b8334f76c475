"""Back up a service while it runs: jobs and keys, the files of jobs, the log, the registry, the review.

    python deploy/backup.py STORE BACKUP [--database URL] [--log URL] [--review URL] [--registry FOLDER]

writes the folder BACKUP, which must not exist. To restore, stop the service and copy BACKUP back:

    python deploy/backup.py --restore BACKUP STORE [--database URL] [--log URL] [--review URL] [--registry FOLDER]

A URL is a path or sqlite:///PATH, copied by SQLite's backup, or postgresql://USER:PASSWORD@HOST/NAME, of which pg_dump
copies the tables of lociscope in one snapshot; --database is by default the file in the store. The databases are
copied first, and the files after them: a job that arrives in between leaves files without a job, which the service
removes; none leaves a job without files. Only the standard library is needed, and for PostgreSQL its programs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

DATABASE = "service.sqlite"
FOLDERS = ("jobs", "review")
"""Folders of the store whose files cannot be made again."""

TABLES = {
    "service": ("lociscope_service", "lociscope_jobs", "lociscope_job_fields", "lociscope_keys"),
    "log": ("lociscope_log", "lociscope_predictions"),
    "review": ("lociscope_review", "lociscope_review_items", "lociscope_review_answers"),
}


class Source(NamedTuple):
    """A database: its name in the backup, and its path (SQLite) or URL (PostgreSQL)."""

    name: str
    url: str

    @property
    def path(self) -> Path | None:
        """Return the file of an SQLite database; None for a server."""
        if "://" not in self.url:
            return Path(self.url)
        if self.url.startswith("sqlite:///"):
            return Path(unquote(self.url.removeprefix("sqlite:///").partition("?")[0]))
        return None


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite file that others may write, with what is in its write-ahead log."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        if new.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise SystemExit(f"'{source}' is damaged; the copy '{target}' is not usable.")


def run_postgres(program: str, url: str, *words: str) -> None:
    """Run a program of PostgreSQL for a database; the password is in its environment, which others cannot see."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgresql"):
        raise SystemExit(f"'{parts.scheme}://' is neither SQLite nor PostgreSQL: use the tools of that database.")
    values = {
        "PGHOST": parts.hostname,
        "PGPORT": None if parts.port is None else str(parts.port),
        "PGUSER": None if parts.username is None else unquote(parts.username),
        "PGPASSWORD": None if parts.password is None else unquote(parts.password),
        "PGDATABASE": unquote(parts.path.lstrip("/")) or None,
    } | {f"PG{key.upper()}": value for key, value in parse_qsl(parts.query) if key.startswith("ssl")}
    found = shutil.which(program)
    if found is None:
        raise SystemExit(f"'{program}' is not installed. Install the client programs of PostgreSQL.")
    environment = os.environ | {key: value for key, value in values.items() if value is not None}
    done = subprocess.run([found, "--no-password", *words], env=environment, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise SystemExit(f"{program} failed for database '{values['PGDATABASE']}' of {parts.hostname}.")


def dump(source: Source, backup: Path) -> None:
    """Write a copy of a database into the backup; one that was not made yet is left out."""
    if source.path is None:
        tables = [f"--table={table}" for table in TABLES[source.name]]
        target = f"--file={backup / source.name}.pgdump"
        run_postgres("pg_dump", source.url, "--format=custom", "--no-owner", *tables, target)
    elif source.path.is_file():
        copy_database(source.path, backup / f"{source.name}.sqlite")


def load(source: Source, backup: Path) -> None:
    """Put a database of the backup in the place of the present one."""
    copy, dumped = backup / f"{source.name}.sqlite", backup / f"{source.name}.pgdump"
    if source.path is None:
        if dumped.is_file():
            words = ("--clean", "--if-exists", "--no-owner", "--exit-on-error", "--single-transaction")
            run_postgres(
                "pg_restore", source.url, f"--dbname={urlsplit(source.url).path.lstrip('/')}", *words, str(dumped)
            )
    elif copy.is_file():
        for ending in ("", "-wal", "-shm"):
            source.path.with_name(source.path.name + ending).unlink(missing_ok=True)
        copy_database(copy, source.path)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder; files that are deleted meanwhile are left out."""

    def copy(old: str, new: str) -> str:
        try:
            return str(shutil.copy2(old, new))
        except FileNotFoundError:
            return new

    shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)


def back_up(store: Path, backup: Path, sources: list[Source], registry: Path | None) -> None:
    """Write a backup."""
    backup.mkdir(parents=True, mode=0o700)
    for source in sources:
        dump(source, backup)
    for name in FOLDERS:
        if (store / name).is_dir():
            copy_folder(store / name, backup / "store" / name)
    if registry is not None:
        copy_folder(registry, backup / "registry")


def restore(backup: Path, store: Path, sources: list[Source], registry: Path | None) -> None:
    """Copy a backup to where a stopped service expects it."""
    if not backup.is_dir():
        raise SystemExit(f"'{backup}' is not a backup folder, or does not exist.")
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    for source in sources:
        load(source, backup)
    folders = [(store / name, backup / "store" / name) for name in FOLDERS]
    for folder, copy in (*folders, *([(registry, backup / "registry")] if registry is not None else [])):
        if copy.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            copy_folder(copy, folder)


def main(words: list[str]) -> None:
    """Back up or restore, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--restore", action="store_true")
    parser.add_argument("--database")
    parser.add_argument("--log")
    parser.add_argument("--review")
    parser.add_argument("--registry", type=Path)
    given = parser.parse_args(words)
    store = given.target if given.restore else given.source
    urls = {"service": given.database or str(store / DATABASE), "log": given.log, "review": given.review}
    sources = [Source(name, url) for name, url in urls.items() if url]
    (restore if given.restore else back_up)(given.source, given.target, sources, given.registry)


if __name__ == "__main__":
    main(sys.argv[1:])
