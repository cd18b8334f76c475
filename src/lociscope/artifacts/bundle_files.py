"""The files of a Bundle's folder: the MANIFEST, the files that it lists, and their hashes."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.storage.file_errors import unreadable_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST = "MANIFEST"
PAYLOADS: dict[str, str] = {"network": "model.onnx", "features": "features.npz", "ensemble": "ensemble.json"}
"""The file with the model itself, by the kind of the card."""
REQUIRED = ("card.json", "selftest.npz")
OPTIONAL = ("reference.npz", "detector.npz", "model.keras")
SIGNATURE = "model.sig"
"""A signature of all files, which the MANIFEST does not list."""
REQUIRED_KEYS = "LOCISCOPE_REQUIRE_SIGNED"
"""Environment variable: public keys, separated as in PATH, one of which must have signed each bundle that is opened."""
MAX_FILE_BYTES = 1 << 30
MAX_MEMBERS = 64
MEMBER = re.compile(r"members/(?P<number>\d{1,2})/MANIFEST")


def read_file(folder: Path, name: str) -> bytes:
    """Return the contents of a file; raise a LociscopeError where it is missing, a link, or too large."""
    path = folder / name
    try:
        if not path.is_file() or path.is_symlink():
            reason, code = f"it has no file {name}", Code.WRONG_FILE
            if not folder.is_dir():
                reason, code = "the folder does not exist", Code.NOT_FOUND
            raise LociscopeError(
                f"'{folder}' is not a bundle: {reason}. Pass a folder that `lociscope export` made.", code=code
            )
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LociscopeError(
                f"'{path}' is larger than {MAX_FILE_BYTES >> 20} MiB, the most for a bundle's file. Export it again.",
                code=Code.TOO_LARGE,
            )
        return path.read_bytes()
    except OSError as error:
        raise unreadable_error(path, error) from error


def parse_manifest(folder: Path, manifest: bytes) -> dict[str, str]:
    """Return the sha256 of each listed file by name; raise a LociscopeError where a line or a file is wrong."""
    digests: dict[str, str] = {}
    for line in manifest.decode("utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        known = name in (*REQUIRED, *OPTIONAL, *PAYLOADS.values()) or MEMBER.fullmatch(name)
        if not known or len(digest) != 64 or name in digests or len(digests) > MAX_MEMBERS:
            raise LociscopeError(
                f"Bundle '{folder}': MANIFEST has the line {line[:80]!r}. Export the bundle again.", code=Code.CORRUPT
            )
        digests[name] = digest
    missing = [name for name in REQUIRED if name not in digests]
    if not missing and not set(PAYLOADS.values()) & digests.keys():
        missing = [PAYLOADS["network"]]
    if missing:
        raise incomplete_error(folder, missing[0])
    return digests


def checked(folder: Path, name: str, digest: str) -> bytes:
    """Return the contents of a file that has the listed sha256; raise a LociscopeError otherwise."""
    data = read_file(folder, name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise LociscopeError(
            f"Bundle '{folder}': {name} is not the file that was exported (its sha256 differs from the MANIFEST's): "
            "altered or truncated. Copy or export the bundle again.",
            code=Code.ALTERED,
        )
    return data


def check_unlisted(folder: Path, listed: Mapping[str, bytes]) -> None:
    """Raise a LociscopeError where the folder, or that of the members, has something that is not listed."""
    try:
        unlisted = sorted(
            {path.name for path in folder.iterdir()} - {*(name.split("/")[0] for name in listed), MANIFEST, SIGNATURE}
        )
        if "members" in {name.split("/")[0] for name in listed} and not unlisted:
            found = {f"members/{path.name}/{MANIFEST}" for path in (folder / "members").iterdir()}
            unlisted = sorted(found - {*listed})
    except OSError as error:
        raise unreadable_error(folder, error) from error
    if unlisted:
        raise LociscopeError(
            f"Bundle '{folder}': {unlisted[0]!r} is not in its MANIFEST. Remove it from the folder, or export again.",
            code=Code.REFUSED_CONTENT,
        )


def member_manifest(number: int) -> str:
    """Return the name under which the MANIFEST of an ensemble lists a member."""
    return f"members/{number}/{MANIFEST}"


def incomplete_error(folder: Path, name: str) -> LociscopeError:
    """Return the error of a MANIFEST that lacks a file."""
    return LociscopeError(
        f"Bundle '{folder}': MANIFEST does not list {name}. Export the bundle again.", code=Code.INCOMPLETE
    )
