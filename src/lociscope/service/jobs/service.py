"""Create, answer and delete jobs: their rows in the database, and their files in a folder."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lociscope.artifacts.predictions import Position
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.source_json import source_to_json
from lociscope.images.io.read import read_field
from lociscope.prediction_log.log_errors import LogError
from lociscope.service.jobs.receive import count_bytes
from lociscope.service.jobs.records import (
    ASKING,
    DELETED,
    EXPIRED,
    FAILED,
    OPEN,
    WAITING,
    Counts,
    Job,
    JobField,
    make_job_id,
)
from lociscope.service.jobs.sources import RULE_NAMES, find_job_fields, parse_job_rules
from lociscope.service.jobs.store import JobStore
from lociscope.service.picture_cache import PictureCache
from lociscope.service.settings import Settings
from lociscope.service.uploads import remove_paths
from lociscope.service.worker_pool import BusyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lociscope.images.discovery.sources import FieldSource
    from lociscope.service.jobs.database import ServiceDatabase
    from lociscope.service.jobs.sources import FoundFields

ORPHAN_SECONDS = 7200.0
"""Age at which the files of an upload without a job are removed: its process was killed while it received them."""

ASKED = frozenset({Code.UNKNOWN_CHANNEL, Code.MISSING_CHANNEL, Code.NOTHING_FOUND, Code.PIXEL_SIZE})
"""Errors that another reading of the file names may correct, so that the page asks for it."""

BUSY_SECONDS = 10


class JobService:
    """The jobs of a service, with their files.

    Args:
        store: The jobs in the database.
        settings: The folder and the limits.
    """

    def __init__(self, store: JobStore, settings: Settings) -> None:
        if settings.store is None:
            raise LociscopeError("Jobs need a folder. Pass `store`.", code=Code.INVALID_VALUE)
        self.store = store
        self._settings = settings
        self._root = settings.store / "jobs"
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._uploads = 0
        self.streams = 0
        """Number of pages that follow a job live."""

    def files(self, identifier: str) -> Path:
        """Return the folder of the uploaded files of a job."""
        return self._root / identifier / "files"

    def pictures(self, identifier: str) -> PictureCache:
        """Return the pictures made from these files."""
        reserve = partial(self.store.reserve_bytes, identifier, most=self._settings.max_stored_bytes)
        return PictureCache(self._root / identifier / "pictures", reserve)

    @contextmanager
    def reserve_upload(self) -> Iterator[None]:
        """Count one more upload during the block.

        Raises:
            BusyError: Too many are being received, or fields waiting, or files kept.
        """
        settings = self._settings
        if self._uploads >= settings.max_uploads:
            raise BusyError(f"Busy: {self._uploads} uploads are being received. Try again in a moment.", BUSY_SECONDS)
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def check_room(self) -> None:
        """Check that another job may be received.

        Raises:
            BusyError: Too many fields wait, or the kept files reach their limit.
        """
        settings = self._settings
        if (waiting := self.store.count_waiting()) >= settings.max_queue:
            raise BusyError(f"Busy: {waiting} fields are waiting. Try again later.", 60)
        if self.store.count_bytes() >= settings.max_stored_bytes:
            raise BusyError("The files of earlier jobs fill the space of this service. Delete some, or try later.", 600)

    def begin(self) -> str:
        """Create the folder of a new job, and return the job's id."""
        identifier = make_job_id()
        self.files(identifier).mkdir(parents=True, mode=0o700)
        return identifier

    def submit(self, identifier: str, texts: Mapping[str, str], owner: str, *, may_ask: bool) -> Job:
        """Find the fields of an upload and store them as a job.

        Args:
            identifier: The result of `begin`, whose folder has the files.
            texts: How the file names are read, by `RULE_NAMES`, and the `name` of the job.
            owner: The id of the key; empty for none.
            may_ask: Whether a job may be stored that asks how the names are read.

        Raises:
            LociscopeError: There is no field, or too many, or a file is refused.
        """
        folder = self.files(identifier)
        now = time.time()
        size = count_bytes(folder)
        name = texts.get("name", "").strip()[:120] or _name_upload(folder)
        rules = json.dumps({key: texts[key] for key in RULE_NAMES if texts.get(key)})
        expires = now + self._settings.keep_days * 86_400
        job = Job(identifier, owner, OPEN, name, now, expires, "", rules, Counts())
        if size == 0:
            raise LociscopeError("This upload contains no file.", code=Code.NOTHING_FOUND)
        try:
            found = self._find(folder, texts)
        except LociscopeError as error:
            if not may_ask or error.code not in ASKED:
                raise
            job = replace(job, state=ASKING, message=str(error))
            self.store.create(job, [], size)
            return job
        fields = self._to_fields(identifier, found)
        self.store.create(job, fields, size)  # from now on it is acknowledged: nothing below may fail
        return replace(job, counts=Counts(waiting=len(found.sources), failed=len(found.failures)))

    def answer(self, job: Job, texts: Mapping[str, str]) -> Job:
        """Read the names of a job that asks in another way.

        Raises:
            LociscopeError: There still is no field.
        """
        found = self._find(self.files(job.id), texts)
        rules = json.dumps({key: texts[key] for key in RULE_NAMES if texts.get(key)})
        self.store.answer(replace(job, state=OPEN, message="", rules=rules), self._to_fields(job.id, found))
        return self.get(job.id)

    def list_names(self, identifier: str, most: int = 12) -> list[str]:
        """Return the first names of the files of a job."""
        folder = self.files(identifier)
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return names[:most] + ([f"… and {len(names) - most} more"] if len(names) > most else [])

    def get(self, identifier: str) -> Job:
        """Return a job.

        Raises:
            LociscopeError: It does not exist.
        """
        job = self.store.get(identifier)
        if job is None:
            raise LociscopeError(f"There is no job {identifier[:40]!r}.", code=Code.UNKNOWN_NAME)
        return job

    def delete(self, identifier: str, state: str = DELETED) -> None:
        """Delete a job with its files and results."""
        self.store.delete(identifier, state)
        self.discard(identifier)

    def abandon(self, identifier: str) -> None:
        """Remove the files of an upload that failed, unless its job was stored and only the confirmation was lost.

        Where the database cannot tell, `sweep` removes the files of an upload without a job later.
        """
        with suppress(LogError):
            if self.store.get(identifier) is None:
                self.discard(identifier)

    def discard(self, identifier: str) -> None:
        """Remove the files of a job."""
        shutil.rmtree(self._root / identifier, ignore_errors=True)

    def sweep(self) -> int:
        """Delete jobs whose time is over, and files of uploads that were cut off; return the number of jobs."""
        expired = self.store.find_expired()
        for identifier in expired:
            self.delete(identifier, EXPIRED)
        for folder in self._root.iterdir():
            with suppress(FileNotFoundError):  # deleted just now
                if time.time() - folder.stat().st_mtime > ORPHAN_SECONDS:
                    job = self.store.get(folder.name)
                    if job is None or job.state in (EXPIRED, DELETED):
                        shutil.rmtree(folder, ignore_errors=True)
        return len(expired)

    def _find(self, folder: Path, texts: Mapping[str, str]) -> FoundFields:
        try:
            found = find_job_fields(folder, parse_job_rules(texts), self._settings.max_job_fields)
        except LociscopeError as error:
            raise LociscopeError(remove_paths(str(error), folder), code=error.code) from error
        if not found.sources:
            first = found.failures[0]
            raise LociscopeError(remove_paths(first.reason, folder), code=Code(first.code or Code.INVALID_VALUE))
        questions = [_find_question(source) for source in (found.sources[0], found.sources[-1])]
        if questions[0] is not None and questions[1] is not None:  # so the others probably have the same
            raise LociscopeError(remove_paths(str(questions[0]), folder), code=questions[0].code)
        return found

    def _to_fields(self, identifier: str, found: FoundFields) -> list[JobField]:
        folder = self.files(identifier)
        fields = [
            JobField(identifier, number, source.id, WAITING, source_to_json(source, folder), _position(source))
            for number, source in enumerate(found.sources)
        ]
        fields += [
            JobField(
                identifier, len(fields) + number, failure.id, FAILED, "{}", Position(), code=failure.code,
                reason=remove_paths(failure.reason, folder),
            )
            for number, failure in enumerate(found.failures)
        ]  # fmt: skip
        return fields


def delete_jobs_of(database: ServiceDatabase, folder: Path, owner: str) -> int:
    """Delete all jobs of a key, with their files; return their number.

    Args:
        database: The database of the service.
        folder: The folder of the service.
        owner: The id of the key.
    """
    jobs = JobService(JobStore(database), Settings(store=folder))
    found = jobs.store.list_jobs(owner, most=1 << 30)
    for job in found:
        jobs.delete(job.id)
    return len(found)


def _find_question(source: FieldSource) -> LociscopeError | None:
    """Return why a stack does not say which of its planes is which channel; None for any other field.

    The names of files are checked before; those of planes are in the files.
    """
    if len({(ref.file, ref.member) for ref in source.refs}) != 1:
        return None
    try:
        read_field(source)
    except LociscopeError as error:
        return error if error.code in ASKED else None
    except MemoryError:
        return None
    return None


def _position(source: FieldSource) -> Position:
    origin = source.origin
    return Position(origin.get("plate", ""), origin.get("well", ""), origin.get("site", ""))


def _name_upload(folder: Path) -> str:
    inside = sorted(path.name for path in folder.iterdir())
    return (inside[0] if len(inside) == 1 else f"{len(inside)} files, {inside[0]} …") if inside else "empty"
