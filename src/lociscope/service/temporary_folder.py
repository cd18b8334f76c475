"""The temporary folder: whether uploads can be stored, and the answer to one that cannot."""

from __future__ import annotations

import errno
import os
import tempfile

PROBE_BYTES = 1 << 18
"""Bytes that must fit: less than an upload, so that a service with a small folder is not taken out for ever."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EIO}
_BUSY = {errno.EMFILE, errno.ENFILE}


def use_named_folder() -> None:
    """Store uploads where TMPDIR says, and nowhere else.

    Python would choose another folder, at last the working directory, if it cannot write there when it first looks.
    """
    named = next((os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), None)
    if named is not None:
        tempfile.tempdir = os.path.abspath(named)


def find_shortage() -> str:
    """Return why the temporary folder takes no upload, such as `no space left on device`; empty where it does."""
    try:
        with tempfile.TemporaryFile(prefix="lociscope-") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def describe_storage_error(error: OSError) -> tuple[int, str] | None:
    """Return the HTTP status and the message for an upload that could not be stored; None for any other error."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return (
            507,
            f"This upload cannot be stored: the temporary folder of the service says '{reason}'. Tell its operator.",
        )
    if error.errno in _BUSY:
        return 503, f"This upload cannot be stored now: {reason}. Ask again in a moment."
    return None
