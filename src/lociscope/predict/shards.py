"""The manifest of the parts of an unfinished output: which shards are complete, and their hashes."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1
NAME = "manifest.json"
"""Name of the manifest in the folder of the parts."""

logger = logging.getLogger(__name__)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder of parts: what made them, and under `shards` the hash of each by its name.

    Returns:
        The manifest; empty where there is none, or where it is damaged: each part also says what made it.

    Raises:
        LociscopeError: It is of a newer schema.
    """
    path = folder / NAME
    try:
        manifest: dict[str, Any] = dict(json.loads(path.read_text("utf-8")))
        manifest["shards"] = dict(manifest["shards"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("'%s' is damaged (%s); the parts are read without it", path, error)
        return {}
    check_schema(manifest.pop("schema", None), SCHEMA, f"'{path}'")
    return manifest


def write_manifest(folder: Path, about: Mapping[str, Any], shards: Mapping[str, str]) -> Path:
    """Write the manifest of a folder of parts, and return its path."""
    path = folder / NAME
    with atomic_write(path) as file:
        file.write_text(json.dumps({"schema": SCHEMA, **about, "shards": shards}), "utf-8")
    return path


def hash_shard(path: Path) -> str:
    """Return the SHA-256 of a part."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
