"""Open fields as napari layers: one image layer per channel, fields of one size along a slider."""

from __future__ import annotations

import glob
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lociscope.channels import CHANNELS
from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import DEFAULT_RULES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.images.field import Field

LayerData: TypeAlias = "tuple[Any, dict[str, Any], str]"
"""What napari makes a layer of: its data, the arguments of the layer, and its kind."""

METADATA = "lociscope"
"""Key of a layer's metadata with what the files declare."""

MAX_FIELDS = 100
"""Most fields that are opened at once: 2048 px and 8 bits need 16 MiB each."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return the function that opens paths, or None where they are not fields of four channels.

    Args:
        path: What `lociscope predict` takes: a folder, an archive, an image, a Catalog; or one of a field's four
            files, which opens the field.
    """
    paths = [path] if isinstance(path, str) else list(path)
    try:
        sources = find_sources(paths)
        read_field(sources[0])  # a TIFF of something else is left to other readers
    except (LociscopeError, IndexError):
        return None
    return lambda _: make_layers(read_sources(sources))


def find_sources(paths: Sequence[str]) -> list[FieldSource]:
    """Return the fields in paths; a single file of one channel stands for its field.

    Raises:
        LociscopeError: No field was given.
    """
    parsed = DEFAULT_RULES.parse(Path(paths[0]).name)
    if len(paths) == 1 and parsed is not None and parsed.channel is not None and Path(paths[0]).is_file():
        beside = Path(paths[0]).parent.glob(f"{glob.escape(parsed.id)}*")
        named = ((each, DEFAULT_RULES.parse(each.name)) for each in beside)
        paths = [str(each) for each, name in named if name is not None and name.channel and name.id == parsed.id]
    found, failures = find_fields(list(paths))
    if found and failures:
        warnings.warn(f"{len(failures)} fields are not opened; the first: {failures[0].reason}", stacklevel=2)
    return found


def read_sources(sources: Sequence[FieldSource]) -> list[Field]:
    """Read fields; those that cannot be read, and those beyond `MAX_FIELDS`, are left out with a warning."""
    fields, reasons = [], []
    for source in sources[:MAX_FIELDS]:
        try:
            fields.append(read_field(source))
        except LociscopeError as error:
            reasons.append(str(error))
    if reasons:
        warnings.warn(f"{len(reasons)} fields cannot be read; the first: {reasons[0]}", stacklevel=2)
    if len(sources) > MAX_FIELDS:
        warnings.warn(
            f"The first {MAX_FIELDS} of {len(sources)} fields are opened. `lociscope predict` predicts all of them.",
            stacklevel=2,
        )
    return fields


def make_layers(fields: Sequence[Field]) -> list[LayerData]:
    """Return the image layers of fields: four for each size and type of pixels, (y, x) or (n, y, x)."""
    groups: dict[tuple[Any, ...], list[Field]] = {}
    for field in fields:
        groups.setdefault((field.pixels.shape, field.pixels.dtype.str, field.pixel_size, field.missing), []).append(
            field
        )
    return [layer for group in groups.values() for layer in _make_group(group)]


def _make_group(fields: list[Field]) -> list[LayerData]:
    first = fields[0]
    title = first.id if len(fields) == 1 else f"{len(fields)} fields"
    side = first.pixel_size or 1.0
    stacked = len(fields) > 1
    layers: list[LayerData] = []
    for number, channel in enumerate(CHANNELS):
        if channel.name in first.missing:
            continue
        planes = [field.pixels[..., number] for field in fields]
        data = np.stack(planes) if stacked else np.ascontiguousarray(planes[0])
        about = {"channel": channel.name, "ids": [field.id for field in fields], "pixel_size": first.pixel_size}
        options: dict[str, Any] = {
            "name": f"{title} · {channel.stain}",
            "colormap": channel.name,
            "blending": "additive",
            "contrast_limits": find_contrast(data),
            "scale": (1.0,) * stacked + (side, side),
            "metadata": {METADATA: about},
        }
        if first.pixel_size is not None:
            options["units"] = ("pixel",) * stacked + ("um", "um")
        layers.append((data, options, "image"))
    return layers


def find_contrast(data: np.ndarray) -> tuple[float, float]:
    """Return the darkest and the brightest value to show: 0.1 % and 99.9 % of the pixels, of at most a million."""
    sample = data.reshape(-1)[:: max(1, data.size // 1_000_000)]
    low, high = (float(each) for each in np.quantile(sample, (0.001, 0.999)))
    return low, max(high, low + 1.0)


def make_sample() -> list[LayerData]:
    """Return the layers of a simulated field.

    Raises:
        MissingExtraError: The extra `simulate` is not installed.
    """
    from lociscope.images.field import Field
    from lociscope.simulate.field import simulate_field

    made = simulate_field(0, size=512)
    return make_layers([Field("simulated", np.asarray(made.pixels), made.pixel_size)])
