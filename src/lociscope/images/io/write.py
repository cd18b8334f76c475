"""Write fields in the layout of the Kaggle competition, as OME-TIFF and as OME-Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES, CHANNELS
from lociscope.errors import MissingExtraError
from lociscope.images.scale import resize
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from lociscope.images.field import Field
    from lociscope.storage.paths import AnyPath

MIN_LEVEL = 256
"""Side in px below which a level of a pyramid is not halved again."""
_CHUNK = 1024


def write_planes(folder: AnyPath, identifier: str, pixels: np.ndarray) -> tuple[Path, ...]:
    """Write `<id>_{red,green,blue,yellow}.png`, each atomically.

    Args:
        folder: The folder for the files.
        identifier: The field's name.
        pixels: (y, x, 4) of uint8 or uint16, RGBY.

    Returns:
        The four paths, RGBY.

    Raises:
        LociscopeError: A file cannot be written.
    """
    from PIL import Image

    paths = tuple(Path(folder) / f"{identifier}_{name}.png" for name in CHANNEL_NAMES)
    for channel, path in enumerate(paths):
        with atomic_write(path) as part:
            # Level 1 takes half the time of the default; the files are a tenth larger for noisy images.
            Image.fromarray(pixels[..., channel]).save(part, format="PNG", compress_level=1)
    return paths


def write_ome_tiff(path: AnyPath, field: Field) -> None:
    """Write a field as OME-TIFF, with the stains, colours and the pixel size.

    Args:
        path: The file, by convention `<id>.ome.tif`.
        field: The field.

    Raises:
        LociscopeError: A file cannot be written.
    """
    import tifffile

    metadata: dict[str, Any] = {
        "axes": "CYX",
        "Name": field.id,
        "Channel": {"Name": [channel.stain for channel in CHANNELS], "Color": [_pack_rgba(c.colour) for c in CHANNELS]},
    }
    if field.pixel_size is not None:
        for axis in "XY":
            metadata |= {f"PhysicalSize{axis}": field.pixel_size, f"PhysicalSize{axis}Unit": "µm"}
    with atomic_write(Path(path)) as part:
        tifffile.imwrite(
            part, np.moveaxis(field.pixels, -1, 0), ome=True, photometric="minisblack", compression="zlib",
            metadata=metadata,
        )  # fmt: skip


def write_ome_zarr(path: AnyPath, field: Field) -> None:
    """Write a field as OME-Zarr 0.5: a pyramid of halved levels down to `MIN_LEVEL` px, with stains and colours.

    Args:
        path: The folder, by convention `<id>.ome.zarr`; an older one is replaced.
        field: The field.

    Raises:
        LociscopeError: A file cannot be written.
        MissingExtraError: The extra `zarr` is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("Writing OME-Zarr", "zarr") from error
    levels = [field.pixels]
    while min(levels[-1].shape[:2]) >= 2 * MIN_LEVEL:
        height, width = (side // 2 for side in levels[-1].shape[:2])
        small = resize(levels[-1], height, width)
        levels.append(
            small.astype(field.pixels.dtype) if field.pixels.dtype.kind == "f" else _round_level(small, field)
        )
    with atomic_write(Path(path)) as part:
        group = zarr.create_group(store=str(part), zarr_format=3, attributes={"ome": _make_ome_metadata(field, levels)})
        for number, level in enumerate(levels):
            planes = np.moveaxis(level, -1, 0)
            chunks = (1, min(_CHUNK, planes.shape[1]), min(_CHUNK, planes.shape[2]))
            array = group.create_array(
                str(number), shape=planes.shape, chunks=chunks, dtype=planes.dtype, dimension_names=("c", "y", "x"),
                config={"write_empty_chunks": True},
            )  # fmt: skip
            array[:] = planes


def _round_level(small: np.ndarray, field: Field) -> np.ndarray:
    result: np.ndarray = np.rint(small).astype(field.pixels.dtype)
    return result


def _make_ome_metadata(field: Field, levels: list[np.ndarray]) -> dict[str, Any]:
    """Return the metadata of OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5/."""
    unit = {} if field.pixel_size is None else {"unit": "micrometer"}
    axes = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space", **unit} for axis in "yx")]
    datasets = []
    for number, level in enumerate(levels):
        sides = [
            (field.pixel_size or 1.0) * whole / part
            for whole, part in zip(field.pixels.shape, level.shape, strict=True)
        ]
        scale = {"type": "scale", "scale": [1.0, *sides[:2]]}
        datasets.append({"path": str(number), "coordinateTransformations": [scale]})
    channels = [
        {
            "label": channel.stain,
            "color": "".join(f"{round(255 * share):02X}" for share in channel.colour),
            "active": True,
            "window": _find_window(field.pixels[..., number]),
        }
        for number, channel in enumerate(CHANNELS)
    ]
    image = {"name": field.id, "axes": axes, "datasets": datasets, "type": "mean"}
    return {"version": "0.5", "multiscales": [image], "omero": {"channels": channels}}


def _find_window(plane: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(plane, (0.5, 99.9))
    top = np.iinfo(plane.dtype).max if plane.dtype.kind == "u" else max(float(plane.max()), 1.0)
    return {"min": 0.0, "max": float(top), "start": float(low), "end": float(max(high, low + 1e-6))}


def _pack_rgba(colour: tuple[float, float, float]) -> int:
    """Return a colour as in OME-XML: red, green, blue and opacity in a signed 32-bit integer."""
    value = int.from_bytes([*(round(255 * share) for share in colour), 255], "big")
    return value - (1 << 32) if value >= 1 << 31 else value
