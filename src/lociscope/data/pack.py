"""Packing: every field decoded, scaled and stored once, as memory-mapped arrays that training reads."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.extent import one_tile
from lociscope.images.read import read_field
from lociscope.images.sources import Failure, of_catalog
from lociscope.labels import N_LABELS
from lociscope.storage import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lociscope.bundle import InputSpec
    from lociscope.catalog import Catalog

SCHEMA = 1
Progress = "Callable[[int, int], None]"


class Prepared(NamedTuple):
    """A field ready to be packed: its name, its group, (h, w, 4) of uint8, and its class numbers."""

    id: str
    group: str
    pixels: np.ndarray
    target: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of an array that stays on disk: what is asked for is read, and nothing else.

    Attributes:
        array: The whole array, memory-mapped.
        rows: (n,) of int: which rows, in order.
    """

    array: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.rows), *self.array.shape[1:])

    def __getitem__(self, numbers: "np.ndarray | slice") -> np.ndarray:
        """Reads the rows of these numbers."""
        return np.asarray(self.array[self.rows[numbers]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401
        return np.asarray(self.array[self.rows], dtype)


@dataclass(frozen=True, slots=True)
class Packed:
    """n prepared fields.

    Attributes:
        ids: Their names.
        groups: What they must not be parted by: specimen, antibody, or the field itself.
        x: (n, h, w, 4) of uint8; memory-mapped where they lie on disk, and then read as they are asked for.
        y: (n, 28) of uint8.
        sha256: Hash over names, pixels and labels.
    """

    ids: list[str]
    groups: list[str]
    x: np.ndarray | Rows
    y: np.ndarray
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> "Packed":
        """The fields of the given row numbers; pixels that lie on disk stay there."""
        x = Rows(self.x, rows) if isinstance(self.x, np.memmap) else self.x[rows]
        return Packed([self.ids[row] for row in rows], [self.groups[row] for row in rows], x, self.y[rows], self.sha256)


def pack(
    folder: "Path",
    key: dict[str, Any],
    total: int,
    fields: "Callable[[], Iterable[Prepared]]",
    spec: "InputSpec",
    progress: "Callable[[int, int], None] | None" = None,
) -> Packed:
    """Packs fields into a folder, or opens what was packed there with the same key.

    Args:
        folder: Where to keep them; made whole or not at all.
        key: What the result depends on; another key in the folder is refused.
        total: The most fields that will come.
        fields: Called to give the fields, where they are not packed yet.
        spec: Height and width of each.
        progress: Called with (done, total).

    Returns:
        The packed fields.

    Raises:
        LociscopeError: The folder holds fields of another key, no field came, or the place cannot be written.
    """
    if (folder / "pack.json").is_file():
        return _open(folder, key)
    with replacing(folder) as part:
        part.mkdir()
        shape = (total, spec.height, spec.width, len(CHANNEL_NAMES))
        x = np.lib.format.open_memmap(part / "x.npy", "w+", np.uint8, shape)
        y = np.zeros((total, N_LABELS), np.uint8)
        ids, groups = [], []
        for row, field in enumerate(fields()):
            x[row] = field.pixels
            y[row, list(field.target)] = 1
            ids.append(field.id)
            groups.append(field.group)
            if progress:
                progress(row + 1, total)
        if not ids:
            raise LociscopeError("No field could be read, so there is nothing to train on. Check the Catalog's paths.")
        x.flush()
        np.save(part / "y.npy", y)
        about = {"schema": SCHEMA, "key": key, "ids": ids, "groups": groups, "sha256": _hash(ids, x, y)}
        (part / "pack.json").write_text(json.dumps(about), encoding="utf-8")
    return _open(folder, key)


def _open(folder: "Path", key: dict[str, Any]) -> Packed:
    about = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    if about["key"] != json.loads(json.dumps(key)):
        raise LociscopeError(f"'{folder}' holds fields packed for another recipe or Catalog. Name another folder.")
    n = len(about["ids"])
    x = np.load(folder / "x.npy", mmap_mode="r", allow_pickle=False)[:n]
    y = np.load(folder / "y.npy", allow_pickle=False)[:n]
    return Packed(about["ids"], about["groups"], x, y, about["sha256"])


def _hash(ids: list[str], x: np.ndarray, y: np.ndarray) -> str:
    digest = hashlib.sha256("\n".join(ids).encode())
    for row in range(len(ids)):
        digest.update(x[row].tobytes())
    digest.update(y[: len(ids)].tobytes())
    return digest.hexdigest()


def prepare_catalog(catalog: "Catalog", spec: "InputSpec", failures: list[Failure]) -> "Iterator[Prepared]":
    """Reads and prepares a Catalog's labelled fields.

    Args:
        catalog: Fields with labels.
        spec: What the network wants.
        failures: Filled with the fields that cannot be read; the others go on.

    Yields:
        The fields, in the Catalog's order.
    """
    for entry, source in zip(catalog, of_catalog(catalog), strict=True):
        try:
            pixels = one_tile(read_field(source), spec)
        except LociscopeError as error:
            failures.append(Failure(entry.id, str(source.planes[0]), str(error)))
            continue
        yield Prepared(entry.id, entry.specimen or entry.antibody or entry.id, pixels, entry.target or ())
