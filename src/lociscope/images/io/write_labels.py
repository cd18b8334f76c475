"""Write label images: as OME-TIFF, and as the labels of an OME-Zarr image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import MissingExtraError
from lociscope.images.io.write import MIN_LEVEL, write_ome_zarr
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from lociscope.images.field import Field
    from lociscope.storage.paths import AnyPath

_CHUNK = 1024


def to_smallest_type(labels: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """Return labels as uint16, or as uint32 where a number is larger."""
    return labels.astype(np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32)


def write_label_tiff(path: AnyPath, labels: NDArray[np.integer], pixel_size: float) -> None:
    """Write a label image as OME-TIFF of 16 or 32 bits.

    Args:
        path: The file, by convention `<id>.cells.ome.tif`.
        labels: (y, x), 0 or above.
        pixel_size: Side of a pixel in µm.

    Raises:
        LociscopeError: The file cannot be written.
    """
    import tifffile

    metadata: dict[str, Any] = {"axes": "YX"}
    for axis in "XY":
        metadata |= {f"PhysicalSize{axis}": pixel_size, f"PhysicalSize{axis}Unit": "µm"}
    with atomic_write(Path(path)) as part:
        tifffile.imwrite(part, to_smallest_type(labels), ome=True, compression="zlib", metadata=metadata)


def write_labelled_zarr(
    path: AnyPath,
    field: Field,
    labels: Mapping[str, NDArray[np.integer]],
    properties: Mapping[str, Iterable[Mapping[str, Any]]],
) -> None:
    """Write a field as OME-Zarr 0.5 with its label images, which napari and QuPath show on top of it.

    Args:
        path: The folder, by convention `<id>.ome.zarr`; an older one is replaced.
        field: The field.
        labels: (y, x) label images by their names.
        properties: By the same names, values of each label, with its number as `label-value`.

    Raises:
        LociscopeError: The folder cannot be written.
        MissingExtraError: The extra `zarr` is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("Writing OME-Zarr", "zarr") from error
    with atomic_write(Path(path)) as part:
        write_ome_zarr(part, field)
        root = zarr.open_group(str(part), mode="r+")
        group = root.create_group("labels", attributes={"ome": {"version": "0.5", "labels": list(labels)}})
        for name, image in labels.items():
            levels = _make_levels(to_smallest_type(image))
            about = _describe(name, levels, field.pixel_size, list(map(dict, properties.get(name, ()))))
            inner = group.create_group(name, attributes={"ome": about})
            for number, level in enumerate(levels):
                chunks = (min(_CHUNK, level.shape[0]), min(_CHUNK, level.shape[1]))
                array = inner.create_array(
                    str(number), shape=level.shape, chunks=chunks, dtype=level.dtype, dimension_names=("y", "x")
                )
                array[:] = level


def _make_levels(labels: NDArray[np.unsignedinteger]) -> list[NDArray[np.unsignedinteger]]:
    """Return the levels of the image's pyramid, each pixel with the label at its centre."""
    levels = [labels]
    while min(levels[-1].shape) >= 2 * MIN_LEVEL:
        last = levels[-1]
        rows, columns = (((np.arange(side // 2) + 0.5) * side / (side // 2)).astype(int) for side in last.shape)
        levels.append(last[np.ix_(rows, columns)])
    return levels


def _describe(
    name: str, levels: list[NDArray[np.unsignedinteger]], pixel_size: float | None, properties: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the metadata of a label image, https://ngff.openmicroscopy.org/0.5/#label-md."""
    unit = {} if pixel_size is None else {"unit": "micrometer"}
    axes = [{"name": axis, "type": "space", **unit} for axis in "yx"]
    datasets = []
    for number, level in enumerate(levels):
        scale = [(pixel_size or 1.0) * whole / part for whole, part in zip(levels[0].shape, level.shape, strict=True)]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    label: dict[str, Any] = {"source": {"image": "../../"}}
    if properties:
        label["properties"] = properties
    return {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": axes, "datasets": datasets}],
        "image-label": label,
    }
