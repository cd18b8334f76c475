"""The temporary folder: whether uploads can be stored, and the error if not."""

from __future__ import annotations

import errno
import os
import tempfile

PROBE_BYTES = 1 << 18
"""Bytes that must fit: fewer than an upload, so that a service with a small folder can become ready again."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EIO}
_BUSY = {errno.EMFILE, errno.ENFILE}


def use_named_folder() -> None:
    """Store uploads only in the folder that TMPDIR names.

    If Python cannot write there at first, it would use another folder, finally the working directory.
    """
    named = next((os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), None)
    if named is not None:
        tempfile.tempdir = os.path.abspath(named)


def find_shortage() -> str:
    """Return why the temporary folder cannot store an upload, such as `no space left on device`; empty if it can."""
    try:
        with tempfile.TemporaryFile(prefix="lociscope-") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def describe_storage_error(error: OSError) -> tuple[int, str] | None:
    """Return the HTTP status and the error message for an upload that cannot be stored; None for other errors."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return (
            507,
            f"This upload cannot be stored: the temporary folder of the service reports '{reason}'. Tell its operator.",
        )
    if error.errno in _BUSY:
        return 503, f"This upload cannot be stored now: {reason}. Try again in a moment."
    return None
