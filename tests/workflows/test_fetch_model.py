"""Published models: from a folder or a server, never with another hash."""

from __future__ import annotations

import csv
import hashlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.convert.gapnet import LABEL_MAP, array_shapes, build_onnx, check_arrays, read_checkpoint
from lociscope.convert.published import GAPNET_PL, PublishedModel, check_files, find_published
from lociscope.errors import Code
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.raw import scale_raw
from lociscope.labels import N_LABELS
from lociscope.predict.predictor import open_bundle
from lociscope.workflows.fetch_model import fetch_model

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.file_server import FileServer

KNOWN = sorted(number for number in LABEL_MAP if number is not None)


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Random weights of the published shapes."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(0, 1 / max(float(np.prod(shape[:-1])), 1.0) ** 0.5, shape).astype(np.float32)
        for name, shape in array_shapes().items()
    }


def publish(folder: Path, arrays: dict[str, np.ndarray]) -> PublishedModel:
    """A published model of these weights, as an npz file in a folder."""
    folder.mkdir(exist_ok=True)
    stored: dict[str, Any] = dict(arrays)
    np.savez(folder / "gapnet_pl.npz", **stored)
    digest = hashlib.sha256((folder / "gapnet_pl.npz").read_bytes()).hexdigest()
    return replace(GAPNET_PL, converted={"gapnet_pl.npz": digest})


def test_the_graph_is_the_network(arrays: dict[str, np.ndarray]) -> None:
    import onnxruntime

    side = 64
    session = onnxruntime.InferenceSession(
        build_onnx(arrays, side).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    crop = np.random.default_rng(1).normal(size=(1, 4, side, side)).astype(np.float32)
    scores, embedding = session.run(["scores", "embedding"], {"crop": crop})
    x, averages = crop[0].transpose(1, 2, 0).astype(np.float64), []
    for number, stride in enumerate((2, 2, 1, 1, 1, 1, 1, 1), start=1):
        kernel, bias = arrays[f"ConvLayer-{number}.W_conv"], arrays[f"ConvLayer-{number}.b_conv"]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(1, 1), (1, 1), (0, 0)]), (3, 3), (0, 1))
        x = selu(np.einsum("yxcij,ijck->yxk", windows[::stride, ::stride], kernel) + bias)
        if number in (1, 5):
            rows, columns, maps = x.shape
            x = x.reshape(rows // 2, 2, columns // 2, 2, maps).max(axis=(1, 3))
        if number in (1, 5, 8):
            averages.append(x.mean(axis=(0, 1)))
    y = np.concatenate(averages)
    for number in (1, 2):
        y = selu(y @ arrays[f"FC-{number}.W_dense"] + arrays[f"FC-{number}.b_dense"])
    np.testing.assert_allclose(embedding[0], y, atol=1e-4)
    np.testing.assert_allclose(scores[0], y @ arrays["FC-3.W_dense"] + arrays["FC-3.b_dense"], atol=1e-4)


def selu(x: np.ndarray) -> np.ndarray:
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@pytest.mark.slow
def test_a_folder_becomes_a_bundle(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    model = publish(tmp_path / "files", arrays)
    made = fetch_model(model, tmp_path / "bundle", folder=tmp_path / "files")
    card = made.bundle.card
    assert (card.licence, card.input.normalisation, card.classes) == ("BSD-2-Clause", "standardise", tuple(KNOWN))
    assert card.input.pixel_size == pytest.approx(0.08, abs=2e-4)
    assert sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir()) < 12e6
    predictor = open_bundle(tmp_path / "bundle")
    prepared = predictor.prepare(field(512), with_warnings=False)
    assert prepared.pixels.shape == (4, 1024, 1024, 4)
    (row,) = predictor.run([prepared]).probability
    assert np.flatnonzero(~np.isnan(row)).tolist() == KNOWN


def field(side: int) -> Field:
    return Field("a", np.random.default_rng(0).integers(0, 256, (side, side, 4), np.uint8))


def test_other_files_are_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "files"
    model = publish(folder, arrays)
    assert check_files(model, folder) == "converted"
    whole = (folder / "gapnet_pl.npz").read_bytes()
    for broken in (whole[:-10], whole + b"x"):
        (folder / "gapnet_pl.npz").write_bytes(broken)
        with raises_code(Code.ALTERED):
            fetch_model(model, tmp_path / "bundle", folder=folder)
    shutil.rmtree(folder)
    folder.mkdir()
    with raises_code(Code.NOT_FOUND):
        fetch_model(model, tmp_path / "bundle", folder=folder)
    for name in model.files:
        (folder / name).write_bytes(b"cut short")
    with raises_code(Code.ALTERED):
        fetch_model(model, tmp_path / "bundle", folder=folder)
    with raises_code(Code.UNKNOWN_NAME):
        find_published("gapnet")
    assert not (tmp_path / "bundle").exists()


def test_arrays_of_another_network(arrays: dict[str, np.ndarray]) -> None:
    for wrong in (
        {**arrays, "FC-3.b_dense": np.zeros(12)},
        {**arrays, "FC-3.b_dense": np.full(13, np.nan)},
        {name: values for name, values in arrays.items() if name != "FC-1.W_dense"},
    ):
        with raises_code(Code.WRONG_FILE):
            check_arrays(wrong, "it")


def write_checkpoint(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    """The arrays as a checkpoint of TensorFlow, with a variable of the optimiser; returns its prefix."""
    import tensorflow as tf

    names = [f"model/{name.replace('.', '/')}" for name in arrays] + ["model/FC-1/W_dense/Momentum"]
    values = [*arrays.values(), arrays["FC-1.W_dense"]]
    prefix = folder / "gapnet-pl.ckpt"
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    (folder / "gapnet-pl.ckpt.meta").write_bytes(b"the graph, which is not read")
    return prefix


@pytest.mark.slow
def test_the_checkpoint_is_read_with_tensorflow(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    prefix = write_checkpoint(tmp_path, arrays)
    read = read_checkpoint(prefix)
    for name, expected in arrays.items():
        np.testing.assert_array_equal(read[name], expected)
    (tmp_path / "gapnet-pl.ckpt.index").write_bytes(b"no index")
    with raises_code(Code.CORRUPT):
        read_checkpoint(prefix)


@pytest.mark.slow
def test_a_download_that_was_cut_off_is_resumed_and_becomes_a_bundle(
    arrays: dict[str, np.ndarray], file_server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "published").mkdir()
    write_checkpoint(tmp_path / "published", arrays)
    file_server.files = {name: (tmp_path / "published" / name).read_bytes() for name in GAPNET_PL.files}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in file_server.files.items()}
    model = replace(GAPNET_PL, base=file_server.url, files=hashes)
    file_server.cuts = 1
    with raises_code(Code.UNAVAILABLE):
        fetch_model(model, tmp_path / "bundle")
    first = next(iter(model.files))
    half = (tmp_path / "bundle.download" / f"{first}.part").stat().st_size
    assert half == len(file_server.files[first]) // 2
    made = fetch_model(model, tmp_path / "bundle")
    assert file_server.asked == [None, f"bytes={half}-", None, None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "published"]  # the downloads are removed
    assert made.bundle.card.classes == tuple(KNOWN)
    file_server.files[first] = file_server.files[first][:-1] + b"x"
    with raises_code(Code.ALTERED):
        fetch_model(model, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_the_published_network_answers_as_its_authors_do(real_data: Path, tmp_path: Path) -> None:
    fetch_model("gapnet-pl", tmp_path / "bundle", folder=real_data / "observer")
    with (real_data / "observer" / "expected_hpa2018.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[:8]
    names = list(rows[0])[1:]
    wanted = {row["Id"] for row in rows}
    sources, _ = find_fields([real_data / "hpa2018" / "train"])
    found = open_bundle(tmp_path / "bundle").predict([source for source in sources if source.id in wanted])
    for row in rows:
        given = found.probability[found.ids.index(row["Id"])]
        expected = np.full(N_LABELS, np.nan)
        for name, number in zip(names, LABEL_MAP, strict=True):
            if number is not None:
                expected[number] = float(row[name])
        np.testing.assert_allclose(given, expected, atol=0.01)


def test_raw_pixels_are_not_clipped() -> None:
    pixels = np.zeros((32, 32, 4), np.uint16)
    pixels[16, 16] = 60_000
    same = scale_raw(pixels, 32, 32)
    np.testing.assert_allclose(same[16, 16], 60_000 * 255 / 65535, rtol=1e-6)
    assert (scale_raw(pixels, 64, 64) >= 0).all()  # where cubic convolution overshoots
    grey = pixels // 4 + 20_000
    larger = scale_raw(grey, 64, 64)
    assert larger.shape == (64, 64, 4)
    assert larger.mean() == pytest.approx(float(scale_raw(grey, 32, 32).mean()), rel=1e-4)
    smaller = scale_raw(pixels, 16, 16)
    assert smaller.sum() == pytest.approx(same.sum() / 4, rel=0.01)
    floats = scale_raw(pixels.astype(np.float32) / 1000 - 7, 32, 32)
    np.testing.assert_allclose(floats[16, 16], 255)
