"""API keys: made once, shown once, and stored as hashes.

A key is `lsk_`, eight characters that name it, and 256 random bits; so a plain SHA-256 cannot be reversed, which a
password would need a slow hash for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.prediction_log.log_errors import LogError
from lociscope.service.jobs.database import define_tables, open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lociscope.service.jobs.database import ServiceDatabase

PREFIX = "lsk_"
TRUST_SECONDS = 2.0
"""Time for which an answer of the database is believed: a revoked key is refused that much later."""

_MAX_NAME = 64
_KEY = re.compile(r"lsk_(?P<id>[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_MAX_CACHED = 1024


class Key(NamedTuple):
    """A key without its secret: its id, its name, and when it was made and revoked, s since 1970."""

    id: str
    name: str
    created: float
    revoked: float | None

    @property
    def is_active(self) -> bool:
        """Return whether the key is accepted."""
        return self.revoked is None


class KeyStore:
    """The keys of a service.

    Args:
        database: An open database.
        clock: Returns the time in s that measures how long an answer is believed.
    """

    def __init__(self, database: ServiceDatabase, clock: Callable[[], float] = time.monotonic) -> None:
        self.database = database
        self._keys = define_tables().keys
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}
        self._required: tuple[float, bool] = (float("-inf"), False)
        self._lock = threading.Lock()

    def add(self, name: str) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: Whose key it is, such as `screening robot`; two keys may share a name.

        Returns:
            The key, and its text, which is not stored.

        Raises:
            UsageError: The name is empty or too long.
        """
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise UsageError(
                f"`name` is {name[:80]!r}; expected 1–{_MAX_NAME} printable characters.", code=Code.INVALID_VALUE
            )
        key = Key(secrets.token_hex(4), name.strip(), time.time(), None)
        text = f"{PREFIX}{key.id}_{secrets.token_urlsafe(32)}"
        with self.database.write() as connection:
            connection.execute(self._keys.insert(), {**key._asdict(), "hash": _hash(text)})
        return key, text

    def list(self) -> list[Key]:
        """Return all keys, the oldest first, also revoked ones."""
        with self.database.read() as connection:
            rows = connection.execute(self._keys.select().order_by(self._keys.c.created)).all()
        return [Key(row.id, row.name, row.created, row.revoked) for row in rows]

    def revoke(self, identifier: str) -> Key:
        """Revoke a key by its id, or by its name where only one active key has that name.

        Raises:
            LociscopeError: No active key has it, or several have the name.
        """
        found = [key for key in self.list() if key.is_active and identifier in (key.id, key.name)]
        if len(found) != 1:
            what = "Several active keys have" if found else "No active key has"
            raise LociscopeError(
                f"{what} the id or name {identifier[:80]!r}. `lociscope keys list` shows their ids.",
                code=Code.DUPLICATE if found else Code.UNKNOWN_NAME,
            )
        revoked = found[0]._replace(revoked=time.time())
        with self.database.write() as connection:
            connection.execute(self._keys.update().where(self._keys.c.id == revoked.id).values(revoked=revoked.revoked))
        return revoked

    def is_required(self) -> bool:
        """Return whether there has ever been a key, so that requests need one; also if the last one was revoked.

        While the database is not available, the last answer counts, so that a service without keys continues.
        """
        now = self._clock()
        checked, required = self._required
        if required or now - checked < TRUST_SECONDS:
            return required
        try:
            with self.database.read() as connection:
                required = connection.execute(self._keys.select().limit(1)).first() is not None
        except LogError:
            if checked == float("-inf"):
                raise
        self._required = (now, required)
        return required

    def find(self, text: str) -> str | None:
        """Return the id of the active key with that text; None for any other text."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        now, digest = self._clock(), _hash(text)
        with self._lock:
            checked, identifier = self._known.get(digest, (float("-inf"), ""))
        if now - checked < TRUST_SECONDS:
            return identifier
        with self.database.read() as connection:
            row = connection.execute(
                self._keys.select().where(self._keys.c.id == match["id"], self._keys.c.revoked.is_(None))
            ).first()
        found = row is not None and hmac.compare_digest(str(row.hash), digest)
        with self._lock:
            self._known.pop(digest, None)
            if found:
                while len(self._known) >= _MAX_CACHED:
                    self._known.pop(next(iter(self._known)))
                self._known[digest] = (now, match["id"])
        return match["id"] if found else None


@contextmanager
def open_keys(url: str) -> Iterator[KeyStore]:
    """Open the keys of a database, which is created if needed, and close it after the block.

    Raises:
        LogError: The database cannot be opened.
        MissingExtraError: SQLAlchemy is not installed.
    """
    database = open_database(url)
    try:
        yield KeyStore(database)
    finally:
        database.close()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
