"""A drill: back up and restore a service with a log of 100,000 predictions, on SQLite and on PostgreSQL.

Claim: what is restored equals what was backed up: every row of the log and of the review, every job, every bundle. The
seconds of `deploy/backup.py`, in both directions, are reported; the databases are deleted in between. PostgreSQL is
measured where its server is installed.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.bundle import DEFAULT_BUNDLE
from lociscope.artifacts.predictions import Predictions
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.images.statistics import STATISTICS
from lociscope.prediction_log.log import open_log
from lociscope.registry.model_registry import Registry
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.store import open_review
from lociscope.service.jobs.database import open_database
from lociscope.service.keys import KeyStore

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKUP = Path(__file__).parents[1] / "deploy" / "backup.py"
ROWS, REVIEWED, PART, WIDTH = 100_000, 1_000, 2_000, 96


def fill(urls: dict[str, str], store: Path, rows: int) -> None:
    """Write a log, a review with an answer for each field, a key, files of jobs, and a registry of one bundle."""
    rng = np.random.default_rng(0)
    with open_log(urls["log"]) as log:
        for start in range(0, rows, PART):
            number = min(PART, rows - start)
            ids = [f"plate{start // 384}_{each}" for each in range(start, start + number)]
            probability = rng.random((number, 28), np.float32)
            predicted = [tuple(np.flatnonzero(row > 0.95).tolist()) for row in probability]
            embedding = rng.normal(size=(number, WIDTH)).astype(np.float32)
            made = Predictions(ids, probability, predicted, ["ok"] * number, [()] * number, embedding)
            log.add(made, rng.random((number, len(STATISTICS)), np.float32), bundle="a" * 64, command="serve")
    with open_review(urls["review"], create=True) as review:
        planes = tuple(PlaneRef(Path(f"{name}.png")) for name in ("red", "green", "blue", "yellow"))
        empty = np.zeros(28, np.float32)
        review.add([
            Item(0, f"f{k}", FieldSource(f"f{k}", planes, 0.32), "a" * 64, (0,), empty, Reason.RANDOM, REVIEWED, "b")
            for k in range(REVIEWED)
        ])  # fmt: skip
        for each in review.items():
            review.answer(Answer(each.number, "ann", Verdict.LABELLED, (each.number % 28,)))
    database = open_database(urls["database"])
    KeyStore(database).add("robot")
    database.close()
    for job in range(20):
        folder = store / "jobs" / f"{job:032x}"
        folder.mkdir(parents=True)
        (folder / "f.tif").write_bytes(rng.bytes(1 << 20))
    Registry(store.parent / "registry").add(DEFAULT_BUNDLE, who="drill", why="")


def describe(urls: dict[str, str], store: Path) -> dict[str, Any]:
    """Return hashes of everything: equal if nothing is lost, and nothing is changed."""
    hashes = {}
    with open_log(urls["log"], create=False) as log:
        read = log.read()
        parts = (read.statistics, read.predictions.probability, read.predictions.embedding)
        data = b"".join(np.ascontiguousarray(each).tobytes() for each in parts if each is not None)
        hashes["log"] = (len(read), hashlib.sha256(data + repr(read.predictions.ids).encode()).hexdigest())
    with open_review(urls["review"]) as review:
        hashes["review"] = (len(review.items()), hashlib.sha256(repr(review.answers()).encode()).hexdigest())
    database = open_database(urls["database"], create=False)
    hashes["keys"] = (len(KeyStore(database).list()), repr(KeyStore(database).list()))
    database.close()
    for name, folder in (("files", store / "jobs"), ("registry", store.parent / "registry")):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        hashes[name] = (len(files), repr(list(zip((str(each) for each in files), digests, strict=True))))
    return hashes


def run_backup(*words: object) -> float:
    """Run the program of the backup; return its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, str(BACKUP), *map(str, words)], check=True)
    return time.perf_counter() - began


def drill(place: Path, urls: dict[str, str], rows: int, plain: dict[str, str]) -> dict[str, Any]:
    """Fill, back up, delete, restore and compare."""
    store, backup, registry = place / "store", place / "backup", place / "registry"
    fill(urls, store, rows)
    before = describe(urls, store)
    named = [word for name in ("database", "log", "review") for word in (f"--{name}", plain[name])]
    words = (*named, "--registry", registry)
    seconds = run_backup(store, backup, *words)
    size = sum(path.stat().st_size for path in backup.rglob("*") if path.is_file())
    shutil.rmtree(store / "jobs")
    shutil.rmtree(registry)
    for url in plain.values():
        if "://" not in url:
            Path(url).unlink()
    if "://" in plain["log"]:
        with open_log(urls["log"]) as log:
            log.delete(matching=re.compile(""))
    restored = run_backup("--restore", backup, store, *words)
    same = describe(urls, store) == before
    return {"back up, s": round(seconds, 1), "restore, s": round(restored, 1), "MB": round(size / 1e6), "equal": same}


def find_program(name: str) -> str | None:
    """Return a program of PostgreSQL: on PATH, or the newest where Debian puts them."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(found[-1]) if found else None)


@contextmanager
def postgres(place: Path) -> Iterator[int]:
    """A server of its own, and its port; root runs it as another user."""
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    data = place / "data"
    data.mkdir()
    shutil.chown(data, user)
    place.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = [str(find_program("initdb")), "-D", str(data), "-A", "trust", "-U", "lociscope", "-E", "UTF8"]
    subprocess.run(words, user=user, cwd=data, env=environment, check=True, capture_output=True)
    settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}")
    words = [str(find_program("postgres")), "-D", str(data), *(w for each in settings for w in ("-c", each))]
    server = subprocess.Popen(words, user=user, cwd=data, env=environment, stderr=subprocess.DEVNULL)
    try:
        ready = [str(find_program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode:
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS, help="predictions in the log")
    given = parser.parse_args()
    found: dict[str, Any] = {"rows": given.rows, "reviewed fields": REVIEWED}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        urls = {kind: str(place / "store" / f"{kind}.db") for kind in ("log", "review")}
        urls["database"] = str(place / "store" / "service.sqlite")
        (place / "store").mkdir()
        found["SQLite"] = drill(place, urls, given.rows, urls)
    if find_program("postgres") is not None:
        with tempfile.TemporaryDirectory() as name, postgres(Path(name)) as port:
            place = Path(name)
            (place / "store").mkdir()
            plain = dict.fromkeys(("log", "review", "database"), f"postgresql://lociscope@127.0.0.1:{port}/postgres")
            urls = {kind: url.replace("postgresql:", "postgresql+psycopg:") for kind, url in plain.items()}
            found["PostgreSQL"] = drill(place, urls, given.rows, plain)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
