"""Reading fields, format by format, beside the bare decoder on the same files, and listing 100,000 files.

Goal: `read_field` reads at least 0.85 of the fields/s of the bare decoder, on one core. The decoder receives the bytes
of each file, read at once, and its planes are discarded; reading a field also identifies each plane, checks it, and
combines the four. PNG is near the goal, 16-bit PNG reaches it. TIFF does not: tifffile reads the header in Python, and
libtiff, which imagecodecs wraps, decodes LZW and deflate faster than imagecodecs' own decoders, but trusts the header
unchecked. Neither do colour JPEGs, of which Pillow decodes and copies all three colours, nor OME-Zarr, whose reference
is the decoder of the chunks alone.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_ome_tiff, write_ome_zarr, write_planes
from lociscope.simulate import simulate_field

FIELDS = int(os.environ.get("FIELDS", "8"))
ROUNDS = int(os.environ.get("ROUNDS", "15"))
FILES = int(os.environ.get("FILES", "100000"))
LEAST = 0.85

Decode = Callable[[bytes], object]
Write = Callable[[Path, str, np.ndarray], None]


def by_tifffile(**options: Any) -> Write:  # noqa: ANN401 - what tifffile takes
    """Writes one TIFF a channel."""

    def write(folder: Path, name: str, pixels: np.ndarray) -> None:
        for number, channel in enumerate(CHANNEL_NAMES):
            plane = np.ascontiguousarray(pixels[..., number])
            tifffile.imwrite(folder / f"{name}_{channel}.tif", plane, metadata=None, **options)

    return write


def jpegs(folder: Path, name: str, pixels: np.ndarray, *, colour: bool = False) -> None:
    """Writes one JPEG a channel, grey or, as the Human Protein Atlas serves them, in its colour."""
    for number, channel in enumerate(CHANNEL_NAMES):
        plane = np.ascontiguousarray(pixels[..., number])
        if colour:
            parts = {"red": (0,), "green": (1,), "blue": (2,), "yellow": (0, 1)}[channel]
            plane = np.stack([plane if part in parts else np.zeros_like(plane) for part in range(3)], axis=-1)
        Image.fromarray(plane).save(folder / f"{name}_{channel}.jpg", quality=90)


def gzipped(folder: Path, name: str, pixels: np.ndarray) -> None:
    """Writes one gzipped TIFF a channel, as the Atlas keeps its originals."""
    for number, channel in enumerate(CHANNEL_NAMES):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.ascontiguousarray(pixels[..., number]), metadata=None)
        (folder / f"{name}_{channel}.tif.gz").write_bytes(gzip.compress(buffer.getvalue(), 6))


def un_gzip(data: bytes) -> object:
    """The same two steps without lociscope."""
    return imagecodecs.tiff_decode(gzip.decompress(data))


def all_pages(data: bytes) -> object:
    """The four pages of an OME-TIFF."""
    return [imagecodecs.tiff_decode(data, index=page) for page in range(4)]


def wide(pixels: np.ndarray) -> np.ndarray:
    """The same field in 16 bits, noise in the lower eight, as cameras have it."""
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint16)
    found: np.ndarray = pixels.astype(np.uint16) * 256 + noise
    return found


FORMATS: dict[str, tuple[Write, str, Decode]] = {
    "PNG, 8 bits": (lambda f, n, p: void(write_planes(f, n, p)), "imagecodecs.png_decode", imagecodecs.png_decode),
    "PNG, 16 bits": (
        lambda f, n, p: void(write_planes(f, n, wide(p))), "imagecodecs.png_decode", imagecodecs.png_decode,
    ),
    "JPEG, grey": (jpegs, "imagecodecs.jpeg8_decode", imagecodecs.jpeg8_decode),
    "JPEG, coloured": (
        lambda f, n, p: jpegs(f, n, p, colour=True), "imagecodecs.jpeg8_decode", imagecodecs.jpeg8_decode,
    ),
    "TIFF, uncompressed": (by_tifffile(), "imagecodecs.tiff_decode", imagecodecs.tiff_decode),
    "TIFF, uncompressed, 16 bits": (
        lambda f, n, p: by_tifffile()(f, n, wide(p)), "imagecodecs.tiff_decode", imagecodecs.tiff_decode,
    ),
    "TIFF, deflate": (by_tifffile(compression="zlib"), "imagecodecs.tiff_decode", imagecodecs.tiff_decode),
    "TIFF, LZW": (by_tifffile(compression="lzw"), "imagecodecs.tiff_decode", imagecodecs.tiff_decode),
    "TIFF, tiled": (
        by_tifffile(compression="zlib", tile=(256, 256)), "imagecodecs.tiff_decode", imagecodecs.tiff_decode,
    ),
    "TIFF, gzipped": (gzipped, "gzip + imagecodecs.tiff_decode", un_gzip),
    "OME-TIFF, four channels": (
        lambda f, n, p: write_ome_tiff(f / f"{n}.ome.tif", Field(n, p, 0.32)), "imagecodecs.tiff_decode", all_pages,
    ),
    "OME-Zarr": (
        lambda f, n, p: write_ome_zarr(f / f"{n}.zarr", Field(n, p, 0.32)), "imagecodecs.zstd_decode",
        imagecodecs.zstd_decode,
    ),
}  # fmt: skip


def void(_: object) -> None:
    """Nothing."""


def files_of(folder: Path, name: str) -> list[Path]:
    """The files that hold a field's pixels."""
    zarr = folder / f"{name}.zarr" / "0" / "c"
    return sorted(zarr.rglob("0")) if zarr.is_dir() else sorted(folder.glob(f"{name}[_.]*"))


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def ratio(folder: Path, name: str) -> dict[str, object]:
    """Fields a second of lociscope and of the decoder, in turn, the best of several rounds each."""
    write, called, decode = FORMATS[name]
    for number in range(FIELDS):
        write(folder, f"f{number}", simulate_field(number, seed=3, size=512).pixels)
    sources, failures = find_fields([folder])
    if len(sources) != FIELDS or failures:
        raise RuntimeError(f"{name}: {len(sources)} fields, {failures[:1]}")
    files = [[path for path in files_of(folder, source.id) if path.is_file()] for source in sources]

    def ours() -> None:
        for source in sources:
            read_field(source)

    def bare() -> None:
        for paths in files:
            for path in paths:
                decode(path.read_bytes())

    pairs = [(seconds(ours), seconds(bare)) for _ in range(ROUNDS)]
    mine, its = (min(side) for side in zip(*pairs, strict=True))
    return {
        "beside": called,
        "fields/s": round(FIELDS / mine, 1),
        "bare": round(FIELDS / its, 1),
        "ratio": round(its / mine, 2),
    }


def listing(folder: Path) -> dict[str, object]:
    """Seconds to find the fields among many files, beside listing their names."""
    for number in range(FILES // 4):
        for channel in CHANNEL_NAMES:
            (folder / f"f{number:06d}_{channel}.png").touch()
    began = time.perf_counter()
    names = os.listdir(folder)
    listed = time.perf_counter() - began
    began = time.perf_counter()
    found, _ = find_fields([folder])
    took = time.perf_counter() - began
    return {"files": len(names), "fields": len(found), "s": round(took, 2), "os.listdir, s": round(listed, 3)}


def main() -> None:
    """Measures and prints JSON."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        for each in FORMATS:
            folder = Path(name) / each.replace(", ", "-")
            folder.mkdir()
            found[each] = ratio(folder, each)
        many = Path(name) / "many"
        many.mkdir()
        found["listing"] = listing(many)
    print(json.dumps({"least": LEAST, **found}))


if __name__ == "__main__":
    main()
