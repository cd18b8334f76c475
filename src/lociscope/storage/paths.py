"""Paths as users of the Python interface pass them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, overload

if TYPE_CHECKING:
    from collections.abc import Iterable

AnyPath: TypeAlias = str | os.PathLike[str]
"""A path as text, or an object with `__fspath__`."""


@overload
def as_path(path: AnyPath) -> Path: ...
@overload
def as_path(path: None) -> None: ...
def as_path(path: AnyPath | None) -> Path | None:
    """Return a `Path`; None stays None."""
    return None if path is None else Path(path)


def as_paths(paths: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """Return the `Path`s of one path or of several."""
    return [Path(each) for each in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
