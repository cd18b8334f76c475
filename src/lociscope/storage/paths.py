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
    return path if path is None or isinstance(path, Path) else Path(path)


def as_paths(paths: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """Return the `Path`s of one path or of several."""
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    return [each if isinstance(each, Path) else Path(each) for each in several]
