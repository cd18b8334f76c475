"""The settings of a service: its address, its model and its limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from lociscope.errors import Code, UsageError

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Addresses that only this machine can reach."""

_ROOT_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")

DATABASE = "service.sqlite"
"""Name of the database in the folder of a service, unless another is named."""

MIN_KEY_LENGTH = 16
"""Minimum number of characters of an API key."""


class Settings(BaseModel):
    """The settings of a service.

    Attributes:
        bundle: The bundle to serve; None is the one that ships with lociscope, or the registry's.
        registry: The registry whose alias `production` is served, also after a promotion.
        host: The address to listen at.
        port: The port; 0 takes one that is free.
        api_key: The key that a request must have; None for no key.
        public: Whether any address may be served without a key.
        allow_host: Names, besides `host`, that a request may call this service by, such as a proxy's.
        root_path: The path under which a proxy serves this service, such as `/lociscope`; empty is its root.
        max_bytes: Maximum number of bytes of a request.
        max_in_flight: Maximum number of predictions that are uploaded, waiting or running at once.
        workers: Number of threads that read and predict.
        log: The URL of the prediction log; None for no log.
        store: The folder for the files of jobs; None for a service that keeps nothing and has no jobs.
        database: The database of jobs and keys: a path (SQLite) or an SQLAlchemy URL; None is a file in `store`.
        keep_days: Days for which the files and results of a job are kept.
        max_job_bytes: Maximum number of bytes of the upload of a job.
        max_job_files: Maximum number of files of the upload of a job.
        max_job_fields: Maximum number of fields of a job.
        max_queue: Number of waiting fields from which on no further job is accepted.
        max_uploads: Maximum number of jobs that are received at once.
        max_stored_bytes: Bytes of kept files from which on no further job is accepted.
        job_workers: Number of threads that predict the fields of jobs; 0 leaves them to other processes.
        review: The review that the service shows, a path (SQLite) or an SQLAlchemy URL; None for no review.
        reviewers: How many reviewers each field needs.
        candidate: Share of the fields that the registry's alias `candidate` answers, 0–1, while it is compared with
            production; None for no candidate.
        monitor: Number of predicted fields that are compared with the reference together; None compares none.
        reference: The reference: Predictions, a bundle or a log; None for that of the bundle that predicts.
        level: The chance that a window of unchanged fields raises an alarm.
        group: Regular expression for what the ids of one plate or specimen share; such fields count as one.
        alarm: Where to send alarms: an address or a command; None for nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path | None = None
    registry: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    api_key: SecretStr | None = None
    public: bool = False
    allow_host: tuple[str, ...] = ()
    root_path: str = ""
    max_bytes: int = Field(64 << 20, ge=1)
    max_in_flight: int = Field(32, ge=1)
    workers: int = Field(2, ge=1)
    log: str | None = None
    store: Path | None = None
    database: str | None = None
    keep_days: float = Field(7.0, gt=0, le=3660)
    max_job_bytes: int = Field(1 << 30, ge=1)
    max_job_files: int = Field(10_000, ge=1)
    max_job_fields: int = Field(2_000, ge=1)
    max_queue: int = Field(20_000, ge=1)
    max_uploads: int = Field(4, ge=1)
    max_stored_bytes: int = Field(20 << 30, ge=1)
    job_workers: int = Field(1, ge=0)
    review: str | None = None
    reviewers: int = Field(1, ge=1, le=20)
    candidate: float | None = Field(None, ge=0, le=1)
    monitor: int | None = Field(None, ge=20, le=100_000)
    reference: str | None = None
    level: float = Field(0.01, ge=0.0001, le=0.5)
    group: str | None = None
    alarm: str | None = None

    @property
    def database_url(self) -> str | None:
        """Return the database of jobs and keys; None where there is neither."""
        if self.database is not None or self.store is None:
            return self.database
        return str(self.store / DATABASE)

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can reach the service."""
        return self.host in LOCAL

    @property
    def is_private(self) -> bool:
        """Return whether only this machine uses the service: other names or `public` mean a proxy in front of it."""
        return self.is_local and not self.allow_host and not self.public

    @property
    def hosts(self) -> frozenset[str] | None:
        """Return the host names that requests may use; None for any, because other machines may know it by many."""
        if not self.is_local and not self.allow_host:
            return None
        own = {*LOCAL, self.host} if self.is_local else {self.host}
        return frozenset(name.lower() for name in (*own, *self.allow_host))

    def check(self, *, has_keys: bool = False) -> Self:
        """Return the settings if they are valid.

        Args:
            has_keys: Whether the database has keys, which then protect the service.

        Raises:
            UsageError: They contradict each other, the key is short, or others could reach a service without one.
        """
        if self.bundle is not None and self.registry is not None:
            raise UsageError(
                "Both `bundle` and `registry` name a model to serve. Pass one of them.", code=Code.INVALID_VALUE
            )
        if self.candidate is not None and self.registry is None:
            raise UsageError(
                "`candidate` needs a registry, whose alias 'candidate' names the version. Pass `registry`.",
                code=Code.INVALID_VALUE,
            )
        if self.monitor is None and (self.alarm or self.reference or self.group):
            raise UsageError(
                "`alarm`, `reference` and `group` need `monitor`, the number of fields that are compared together.",
                code=Code.INVALID_VALUE,
            )
        key = self.api_key.get_secret_value() if self.api_key else ""
        if key and len(key) < MIN_KEY_LENGTH:
            raise UsageError(
                f"LOCISCOPE_API_KEY has {len(key)} characters; expected at least {MIN_KEY_LENGTH}. "
                "Make one: python -c 'import secrets; print(secrets.token_urlsafe())'.",
                code=Code.INVALID_VALUE,
            )
        if self.root_path and not _ROOT_PATH.fullmatch(self.root_path):
            raise UsageError(
                f"`root_path` is {self.root_path[:80]!r}; expected a path such as /lociscope: a slash, then letters, "
                "digits, '.', '_', '~' or '-'.",
                code=Code.INVALID_VALUE,
            )
        if not (self.is_local or key or self.public or has_keys):
            raise UsageError(
                f"`host={self.host}` lets others reach this service, and no key protects it. Set LOCISCOPE_API_KEY, "
                "make keys with `lociscope keys add`, or pass `public` to serve everyone.",
                code=Code.INVALID_VALUE,
            )
        return self
