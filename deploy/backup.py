"""Back up a service while it runs: the database of jobs and keys, the files of jobs, the log, the registry.

    python deploy/backup.py STORE BACKUP [--log LOG] [--registry REGISTRY]

writes the folder BACKUP, which must not exist. To restore, stop the service and copy BACKUP back:

    python deploy/backup.py --restore BACKUP STORE [--log LOG] [--registry REGISTRY]

The database is copied first, by SQLite's backup, and the files after it: a job that arrives in between leaves files
without a job, which the service removes; none leaves a job without files. With PostgreSQL, use pg_dump for the database
and the log, and this script for the rest. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

DATABASE = "service.sqlite"


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite file that others may write, with what is in its write-ahead log."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        if new.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise SystemExit(f"'{source}' is damaged; the copy '{target}' is not usable.")


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder; files that are deleted meanwhile are left out."""

    def copy(old: str, new: str) -> str:
        try:
            return str(shutil.copy2(old, new))
        except FileNotFoundError:
            return new

    shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)


def back_up(store: Path, backup: Path, log: Path | None, registry: Path | None) -> None:
    """Write a backup."""
    backup.mkdir(parents=True, mode=0o700)
    if (store / DATABASE).is_file():
        copy_database(store / DATABASE, backup / DATABASE)
    if (store / "jobs").is_dir():
        copy_folder(store / "jobs", backup / "jobs")
    if log is not None:
        copy_database(log, backup / "log.sqlite")
    if registry is not None:
        copy_folder(registry, backup / "registry")


def restore(backup: Path, store: Path, log: Path | None, registry: Path | None) -> None:
    """Copy a backup to where a stopped service expects it."""
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    for target, name in ((store / DATABASE, DATABASE), (log, "log.sqlite")):
        if target is not None and (backup / name).is_file():
            for ending in ("", "-wal", "-shm"):
                target.with_name(target.name + ending).unlink(missing_ok=True)
            copy_database(backup / name, target)
    for folder, name in ((store / "jobs", "jobs"), (registry, "registry")):
        if folder is not None and (backup / name).is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            copy_folder(backup / name, folder)


def main(words: list[str]) -> None:
    """Back up or restore, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--restore", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--registry", type=Path)
    given = parser.parse_args(words)
    (restore if given.restore else back_up)(given.source, given.target, given.log, given.registry)


if __name__ == "__main__":
    main(sys.argv[1:])
