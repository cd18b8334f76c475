"""A batch of files beside what its decoder and its network alone would allow, and beside a plain loop.

    python benchmarks/batch.py [--fields 2000] [--large 200] [--rounds 3]

`predict_files`, start included, on four PNG files of 512 px a field, and on four JPEG files of 2048 px. `decoding` is
Pillow alone, `network` the bundle's network alone, each on all cores: for the network the faster of calls side by side
and of one call on all cores. A batch that only decodes and computes the network would reach the `bound`, 1/(1/decoding
+ 1/network). The plain loop opens the files with Pillow, shrinks them and calls `predict` of the same network in Keras,
field by field. All sides take turns.

Claims: the batch reaches 0.75 of the bound (goal 0.90) for both, and 5 times the plain loop. `ms` is the processor time
of the parts of a field on one thread; what is not decoding or network is what the ratio to the bound lacks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes
from lociscope.predict.predictor import open_bundle
from lociscope.processes.threads import count_cores
from lociscope.simulate import simulate_field
from lociscope.workflows.predict import predict_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lociscope.images.discovery.field_source import FieldSource

FIELDS, LARGE = 56, 8
"""Fields that differ; the others are the same files under other names."""


def write_pngs(folder: Path, number: int) -> None:
    """Write one field as four PNG files of 512 px."""
    write_planes(folder, f"f{number}", simulate_field(number, seed=3, size=512).pixels)


def write_jpegs(folder: Path, number: int) -> None:
    """Write one field as four JPEG files of 2048 px, with grain."""
    rng, pixels = np.random.default_rng(number), simulate_field(number, seed=3, size=512).pixels
    for index, channel in enumerate(CHANNEL_NAMES):
        plane = np.asarray(Image.fromarray(pixels[..., index]).resize((2048, 2048), Image.Resampling.BICUBIC))
        grain = np.clip(plane + rng.normal(0, 2, plane.shape), 0, 255).astype(np.uint8)
        Image.fromarray(grain).save(folder / f"f{number}_{channel}.jpg", quality=90)


def make_folder(folder: Path, write: Callable[[Path, int], None], different: int, fields: int) -> Path:
    """Write fields, and link them under further names."""
    folder.mkdir()
    for number in range(min(different, fields)):
        write(folder, number)
    for path in list(folder.iterdir()):
        name, _, rest = path.name.partition("_")
        for copy in range(1, -(-fields // different)):
            if int(name[1:]) + copy * different < fields:
                (folder / f"{name}x{copy}_{rest}").hardlink_to(path)
    return folder


def decode(source: FieldSource) -> None:
    """Decode the four planes of a field."""
    for ref in source.planes:
        if ref is not None:
            with Image.open(ref.file) as picture:
                np.asarray(picture)


def rate(work: Callable[[], object], fields: int) -> float:
    """Fields a second."""
    start = time.perf_counter()
    work()
    return fields / (time.perf_counter() - start)


def rate_network(inputs: np.ndarray, fields: int) -> float:
    """Fields a second of the network alone on all cores."""
    cores = count_cores()
    alone, together = open_bundle(threads=1), open_bundle(threads=cores)

    def side_by_side() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda _: alone.engine.run(inputs), range(fields // len(inputs))))

    def one_by_one() -> None:
        for _ in range(fields // len(inputs)):
            together.engine.run(inputs)

    return max(rate(side_by_side, fields), rate(one_by_one, fields))


def plain_loop(sources: Sequence[FieldSource]) -> Callable[[], object]:
    """Return what one would write first: Pillow, a resize, and `predict` of Keras."""
    from lociscope.models.small import small

    network = small(256)
    size = (network.input_shape[2], network.input_shape[1])

    def loop() -> None:
        for source in sources:
            planes = [
                np.asarray(Image.open(ref.file).resize(size, Image.Resampling.BOX)) for ref in source.planes if ref
            ]
            network.predict(np.stack(planes, axis=-1)[None].astype(np.float32) / 255, verbose=0)

    return loop


def find_parts(sources: Sequence[FieldSource]) -> dict[str, float]:
    """Return the processor time of the parts of a field, ms."""
    predictor = open_bundle(threads=1)
    fields = [read_field(source) for source in sources]
    prepared = [predictor.prepare(field) for field in fields]
    works: dict[str, tuple[Callable[..., object], Sequence[object]]] = {
        "decoding": (decode, sources),
        "reading": (read_field, sources),
        "preprocessing and warnings": (predictor.prepare, fields),
        "network": (lambda each: predictor.run([each]), prepared),
    }
    found = {}
    for name, (work, items) in works.items():
        rounds = []
        for _ in range(5):
            start = time.thread_time()
            for item in items:
                work(item)
            rounds.append(1000 * (time.thread_time() - start) / len(items))
        found[name] = round(min(rounds), 2)
    return found


def measure(folder: Path, scratch: Path, rounds: int, *, plain: bool) -> dict[str, object]:
    """Return the rates of a folder, the median of the rounds."""
    sources = find_fields([folder])[0]
    n = len(sources)
    predictor = open_bundle(threads=1)
    inputs = np.concatenate([predictor.prepare(read_field(source)).pixels for source in sources[:16]])
    few = sources[: min(n, 64)]
    loop = plain_loop(few) if plain else None
    rows: dict[str, list[float]] = {}

    def decode_all() -> None:
        with ThreadPoolExecutor(count_cores()) as pool:
            list(pool.map(decode, sources))

    for number in range(rounds):
        found = {
            "decoding": rate(decode_all, n),
            "network": rate_network(inputs, 16 * max(1, n // 16)),
            "batch": rate(lambda out=scratch / f"{folder.name}{number}.csv": predict_files(folder, out), n),  # type: ignore[misc]
        }
        found["bound"] = 1 / (1 / found["decoding"] + 1 / found["network"])
        found["batch ÷ bound"] = found["batch"] / found["bound"]
        if loop is not None:
            found["plain loop"] = rate(loop, len(few))
            found["batch ÷ plain loop"] = found["batch"] / found["plain loop"]
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    medians = {name: float(f"{np.median(values):.3g}") for name, values in rows.items()}
    return {"fields": n, **medians, "ms": find_parts(sources[:16])}


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=2000)
    parser.add_argument("--large", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        pngs = make_folder(scratch / "png", write_pngs, FIELDS, args.fields)
        jpegs = make_folder(scratch / "jpeg", write_jpegs, LARGE, args.large)
        found = {
            "cores": count_cores(),
            "least": 0.75,
            "PNG, 512 px": measure(pngs, scratch, args.rounds, plain=True),
            "JPEG, 2048 px": measure(jpegs, scratch, args.rounds, plain=False),
        }
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
