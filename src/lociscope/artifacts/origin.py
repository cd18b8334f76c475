"""The origin of Predictions: what made them, from their Parquet file and from `.run.json` beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lociscope.storage.paths import AnyPath

KEYS = ("bundle", "views", "trainings")
"""What identifies the network."""


def read_origin(path: AnyPath) -> dict[str, Any]:
    """Read what made Predictions, as far as it is known: `bundle`, `views`, `trainings`; first from the file itself."""
    return _read_record(path) | _read_metadata(path)


def _read_metadata(path: AnyPath) -> dict[str, Any]:
    """Read the `origin` that was passed to `Predictions.write`; empty for a CSV, or a file without one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
        found = json.loads(metadata.get(b"origin", b"{}"))
    except (pa.ArrowException, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_record(path: AnyPath) -> dict[str, Any]:
    """Read the same from `.run.json` beside the file; empty where unknown."""
    path = Path(path)
    try:
        values = json.loads(path.with_name(path.stem + ".run.json").read_bytes())
        table = values.get(path.suffix, values)
        return {key: table[key] for key in KEYS if key in table}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
