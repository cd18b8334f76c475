"""Coverage-guided fuzzing of everything that reads bytes from elsewhere; no test, run by hand.

    pip install atheris        # beside lociscope; not among its dependencies
    python tests/fuzz/readers.py png --seconds 300

Anything but a LociscopeError is a finding, and so are more than 20 s or 4 GB for one input. A finding ends the run and
leaves the input in the current folder, as `crash-…`, `timeout-…` or `oom-…`; give it as --again to see the traceback.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import atheris  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

with atheris.instrument_imports(include=["lociscope", "tifffile", "PIL", "zarr", "zipfile", "gzip"]):
    import numpy as np
    import tifffile
    from PIL import Image

    from lociscope.artifacts.catalog import read_labels
    from lociscope.artifacts.predictions import Predictions
    from lociscope.errors import LociscopeError
    from lociscope.images.discovery.naming import Rules, parse_channels, parse_missing
    from lociscope.images.discovery.sources import find_fields
    from lociscope.images.field import Field
    from lociscope.images.io.container import PlaneRef, open_archive, open_member
    from lociscope.images.io.formats import read_picture
    from lociscope.images.io.write import write_ome_tiff, write_ome_zarr
    from lociscope.images.io.zarr import read_zarr
    from lociscope.images.io.zarr_layout import list_images
    from lociscope.storage.keras_files import check_keras
    from lociscope.storage.onnx_files import check_onnx
    from lociscope.warnings import parse_warnings

SIDE = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), np.uint8)
SHARED = Path("/dev/shm")
WORK = Path(tempfile.mkdtemp(dir=SHARED if SHARED.is_dir() else None))


class Target(NamedTuple):
    """What is fuzzed, and the inputs that it begins with."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Iterator[bytes]]


def encoded(kind: str, mode: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def placed(name: str, data: bytes) -> PlaneRef:
    (WORK / name).write_bytes(data)
    return PlaneRef(WORK / name)


# === Pictures ===


def png(data: bytes) -> None:
    """Every second input gets right checksums, without which little would be reached."""
    whole = with_checksums(data) if len(data) % 2 else data
    read_picture(placed("a.png", whole), colour=len(data) % 4 > 1)


def with_checksums(data: bytes) -> bytes:
    out, at = bytearray(data[:8]), 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + min(length, len(data))]
        out += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out)


def png_seeds() -> Iterator[bytes]:
    for mode in ("L", "I;16", "RGB", "P", "LA"):
        yield encoded("PNG", mode)
    yield encoded("PNG", "L", dpi=(100, 100))


def jpeg_seeds() -> Iterator[bytes]:
    for mode in ("L", "RGB", "CMYK"):
        yield encoded("JPEG", mode)
        yield encoded("JPEG", mode, progressive=True, dpi=(3, 3))


def tiff(data: bytes) -> None:
    read_picture(placed("a.tif", data), plane=None if len(data) % 3 else len(data) % 5)


def tiff_seeds() -> Iterator[bytes]:
    stack = np.moveaxis(PIXELS, -1, 0)
    names = {"axes": "CYX", "Channel": {"Name": ["Tubulin", "GFP", "DAPI", "ER"]}, "PhysicalSizeX": 0.1}
    kinds: list[tuple[np.ndarray, dict[str, Any]]] = [
        (PIXELS[..., 0], {}),
        (PIXELS[..., 0], {"compression": "zlib", "predictor": True, "resolution": (1e4, 1e4)}),
        (PIXELS[..., 0].astype(np.uint16), {"byteorder": ">", "tile": (16, 16)}),
        (PIXELS[..., :3], {"photometric": "rgb", "compression": "packbits"}),
        (PIXELS[..., 0].astype(np.float32), {"bigtiff": True}),
        (stack, {"imagej": True, "metadata": {"axes": "CYX", "unit": "micron", "Labels": list("abcd")}}),
        (stack, {"ome": True, "photometric": "minisblack", "metadata": names}),
        (np.stack([stack, stack]), {"ome": True, "photometric": "minisblack", "metadata": names | {"axes": "ZCYX"}}),
    ]
    for array, options in kinds:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        yield buffer.getvalue()
    yield encoded("TIFF", "L", compression="tiff_lzw")


def tiff_text(data: bytes) -> None:
    """Metadata as anything that somebody may write into a description."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, PIXELS[..., :2], description=data.decode("latin-1").encode("utf-8"), metadata=None)
    read_picture(placed("a.tif", buffer.getvalue()))


def tiff_text_seeds() -> Iterator[bytes]:
    path = WORK / "seed.ome.tif"
    write_ome_tiff(path, Field("a", PIXELS, 0.3))
    with tifffile.TiffFile(path) as opened_file:
        yield opened_file.pages.first.description.encode()
    yield b"ImageJ=1.53\nimages=2\nchannels=2\nunit=micron\n"
    yield b'{"shape": [12, 12, 2], "axes": "YXC", "Channel": {"Name": ["DAPI", "GFP"]}}'


# === Folders and archives ===


def zarr(data: bytes) -> None:
    """The group's metadata, then the array's, then a chunk: parted by two zero bytes."""
    group, array, chunk = (*data.split(b"\0\0", 2), b"", b"")[:3]
    folder = WORK / "a.zarr"
    for path, contents in ((folder / "zarr.json", group), (folder / "0" / "zarr.json", array)):
        if contents:
            path.write_bytes(contents)
    if chunk:
        (folder / "0" / "c" / "0" / "0" / "0").write_bytes(chunk)
    try:
        list_images(PlaneRef(folder))
        read_zarr(PlaneRef(folder))
    finally:
        restore_zarr()


def restore_zarr() -> None:
    for name in ("zarr.json", "0/zarr.json", "0/c/0/0/0"):
        shutil.copyfile(WORK / "good.zarr" / name, WORK / "a.zarr" / name)


def zarr_seeds() -> Iterator[bytes]:
    for name in ("good.zarr", "a.zarr"):
        write_ome_zarr(WORK / name, Field("a", PIXELS, 0.3))
    good = WORK / "good.zarr"
    group, array = (good / "zarr.json").read_bytes(), (good / "0" / "zarr.json").read_bytes()
    yield b"\0\0".join([group, array, (good / "0" / "c" / "0" / "0" / "0").read_bytes()])
    yield group
    yield b"\0\0" + array
    plate = {"plate": {"wells": [{"path": "A/1"}]}, "well": {"images": [{"path": "0"}]}}
    yield json.dumps({"attributes": {"ome": plate}}).encode()


def packed(data: bytes) -> None:
    path = WORK / "a.zip"
    path.write_bytes(data)
    os.utime(path, ns=(0, zlib.crc32(data)))  # the archive is held open until its time changes
    for name in open_archive(path).namelist():
        with open_member(PlaneRef(path, name)) as file:
            file.read()
    find_fields([path])


def packed_seeds() -> Iterator[bytes]:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("a_red.png", encoded("PNG", "L"))
            archive.writestr("d/b.txt", b"x" * 50)
        yield buffer.getvalue()


def gz(data: bytes) -> None:
    path = WORK / "a.tif.gz"
    path.write_bytes(data)
    with open_member(PlaneRef(path)) as file:
        file.read()


# === Text ===


def naming(data: bytes) -> None:
    """A pattern, `--channels`, `--allow-missing` and a file's name, one a line."""
    pattern, channels, missing, name = (*data.decode("utf-8", "surrogateescape").split("\n", 3), "", "", "", "")[:4]
    rules = Rules(
        parse_channels(channels) if channels else {},
        parse_missing(missing.split(",")) if missing else (),
        pattern=pattern or None,
    )
    for each in (name, f"{name}.png", f"{name}--C01.ome.tif"):
        rules.parse(each)


def naming_seeds() -> Iterator[bytes]:
    yield b"{plate}_{well}_{site}_{channel}\nred=1,green=2,blue=3,yellow=4\nyellow\nP7_A1_2_3.tif"
    yield b"\n\n\nimage--U01--V00--E02--X00--Y00--Z00--C03.ome.tif"
    yield b"\n\n\na1_DAPI.tif.gz"


def table(data: bytes) -> None:
    path = WORK / ("t.parquet" if data[:4] == b"PAR1" else "t.csv")
    path.write_bytes(data)
    for read in (Predictions.read, read_labels):
        try:
            read(path)
        except LociscopeError:
            continue


def table_seeds() -> Iterator[bytes]:
    made = Predictions(
        ["a", "b"], np.full((2, 28), 0.5, np.float32), [(1,), ()], ["ok", "unsure"], [parse_warnings(["x"]), ()]
    )
    for name in ("s.csv", "s.parquet"):
        made.write(WORK / name)
        yield (WORK / name).read_bytes()
    yield b"Id,Target\na,1 2\n"


def keras_seeds() -> Iterator[bytes]:
    model: dict[str, Any] = {"module": "keras.layers", "class_name": "Conv2D", "config": {}, "registered_name": None}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", "w")
    yield buffer.getvalue()


def onnx_seeds() -> Iterator[bytes]:
    import lociscope

    folder = Path(lociscope.__file__).parent / "default_bundle"
    yield (folder / "model.onnx").read_bytes()[:20_000]
    yield b"\x08\x08\x12\x01a\x3a\x08\x0a\x06\x0a\x01x\x12\x01y\x42\x02\x10\x11"


def registry(data: bytes) -> None:
    from lociscope.registry.model_registry import Registry

    (WORK / "registry.json").write_bytes(data)
    held = Registry(WORK)
    held.entries()
    held.path()


def log(data: bytes) -> None:
    from lociscope.prediction_log.log import open_log

    (WORK / "log.sqlite").write_bytes(data)
    with open_log(str(WORK / "log.sqlite"), create=False) as held:
        held.read()


def log_seeds() -> Iterator[bytes]:
    from lociscope.images.statistics import STATISTICS
    from lociscope.prediction_log.log import open_log

    made = Predictions(["a"], np.full((1, 28), 0.5, np.float32), [(1,)], ["ok"], [parse_warnings(["x"])])
    with open_log(str(WORK / "seed.sqlite")) as held:
        held.add(made, np.zeros((1, len(STATISTICS)), np.float32), bundle="b", command="watch")
    yield (WORK / "seed.sqlite").read_bytes()


TARGETS: dict[str, Target] = {
    "png": Target(png, png_seeds),
    "jpeg": Target(lambda data: read_picture(placed("a.jpg", data)), jpeg_seeds),
    "tiff": Target(tiff, tiff_seeds),
    "tiff_text": Target(tiff_text, tiff_text_seeds),
    "zarr": Target(zarr, zarr_seeds),
    "zip": Target(packed, packed_seeds),
    "gz": Target(gz, lambda: iter([gzip.compress(b"II*\0" + bytes(60))])),
    "naming": Target(naming, naming_seeds),
    "table": Target(table, table_seeds),
    "keras": Target(lambda data: check_keras(data, "It"), keras_seeds),
    "onnx": Target(lambda data: check_onnx(data, "It"), onnx_seeds),
    "log": Target(log, log_seeds),
    "registry": Target(registry, lambda: iter([b'{"schema": 1, "aliases": {}, "history": [], "versions": {}}'])),
}


def main() -> None:
    """Fuzzes one reader for a time."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("target", choices=TARGETS)
    words.add_argument("--seconds", type=int, default=300)
    words.add_argument("--again", type=Path, help="an input that was found")
    asked = words.parse_args()
    target = TARGETS[asked.target]
    corpus = WORK / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        try:
            target.read(data)
        except LociscopeError:
            return

    if asked.again:
        once(asked.again.read_bytes())
        return
    limits = ["-timeout=20", "-rss_limit_mb=4096", "-max_len=30000", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={asked.seconds}", *limits], once)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
