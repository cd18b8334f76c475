"""Explanations: maps of the graph and of occlusion, over the whole field; pictures of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.pixels import patches
from PIL import Image

from lociscope.artifacts.card import InputSpec
from lociscope.images.extent import join_tiles, make_tiles
from lociscope.images.field import Field
from lociscope.predict.explain import OCCLUDED, explain_field, find_excess, occlude
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.workflows.explain import explain_files, overlay, write_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return open_bundle(None, 1)


def spots(side: int = 256) -> np.ndarray:
    """Smooth structure in all channels, the protein in one bright corner only."""
    rng = np.random.default_rng(0)
    coarse = rng.random((side // 16, side // 16, 4)).repeat(16, axis=0).repeat(16, axis=1)
    made = 200 * coarse
    made[..., 1] = 5 * coarse[..., 1]
    made[: side // 4, : side // 4, 1] = 250 * rng.random((side // 8, side // 8)).repeat(2, axis=0).repeat(2, axis=1)
    return made.astype(np.uint8)


def test_the_map_is_over_the_field(shipped: Predictor) -> None:
    found = explain_field(shipped, Field("a", spots(), 164 / 256), [0, 23])
    assert found.pixels.shape == (256, 256, 4)
    assert [each.location for each in found.evidence] == [0, 23]
    for each in found.evidence:
        assert each.map.shape == (256, 256)
        assert each.map.min() >= 0
        assert each.map.max() == pytest.approx(1)
    expected = shipped.predict(Field("a", spots(), 164 / 256)).probability[0]
    assert found.evidence[1].probability == pytest.approx(expected[23], abs=1e-6)


def test_small_and_large_fields(shipped: Predictor) -> None:
    small = explain_field(shipped, Field("small", spots(128), 164 / 256), [0])
    assert small.pixels.shape[:2] == small.evidence[0].map.shape == (128, 128)
    large = explain_field(shipped, Field("large", spots(512), 164 / 256), [0])
    assert large.pixels.shape[:2] == large.evidence[0].map.shape == (512, 512)


def test_without_evidence_the_occluded_protein_is_the_map(tiny_bundle: Path) -> None:
    """The tiny model's logits are weighted means of the channels, so the loss is proportional to the hidden protein."""
    predictor = open_bundle(tiny_bundle)
    pixels = np.full((16, 16, 4), 100, np.uint8)
    pixels[:2, :2, 1] = 255
    weights = predictor.engine.run(np.stack([pixels, np.where([0, 1, 0, 0], 0, pixels).astype(np.uint8)]))
    grows = int(np.argmax(weights["probabilities"][0] - weights["probabilities"][1]))
    found = occlude(predictor.engine, pixels[None], [grows])
    assert found.shape == (1, OCCLUDED, OCCLUDED, 1)
    assert found[0, 0, 0, 0] == found.max() > 0
    assert np.ptp(found.ravel()[1:]) == pytest.approx(0, abs=1e-4)
    assert found[0, 0, 0, 0] / found[0, 1, 1, 0] == pytest.approx(2.55, rel=0.05)


def test_excess_is_above_a_deviation() -> None:
    evidence = np.zeros((1, 4, 4, 1), np.float32)
    evidence[0, 0, 0] = 16
    found = find_excess(evidence)
    assert found[0, 0, 0, 0] == pytest.approx(16 - 1 - np.sqrt(15), rel=1e-5)
    assert found.sum() == found[0, 0, 0, 0]
    assert not find_excess(np.full((1, 4, 4, 1), 3, np.float32)).any()


@pytest.mark.parametrize("shape", [(256, 256), (100, 256), (512, 256), (300, 520), (1500, 1300)])
def test_joined_tiles_are_the_field(shape: tuple[int, int]) -> None:
    spec = InputSpec(height=256, width=256, low=0, high=100)
    tiles = make_tiles(Field("a", 1 + patches((*shape, 4)), 164 / 256), spec)
    joined = join_tiles(tiles.pixels.astype(np.float32), tiles.whole.pixels.shape[:2])
    covered = np.ones(joined.shape[:2], bool) if max(shape) <= 4 * 256 else joined.any(axis=-1)
    assert tiles.whole.pixels.any(axis=-1).mean() > 0.5
    np.testing.assert_allclose(joined[covered], tiles.whole.pixels[covered], atol=1e-3)


def test_a_picture_has_a_panel_for_each_location(shipped: Predictor, tmp_path: Path) -> None:
    explanation = explain_field(shipped, Field("a", spots(), 164 / 256), [0, 23])
    write_picture(tmp_path / "a.png", explanation)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (3 * 388 - 4, 384 + 20)
    grey = overlay(explanation.pixels, np.zeros((256, 256), np.float32))
    np.testing.assert_array_equal(grey[..., 0], explanation.pixels[..., 1])
    assert (overlay(explanation.pixels, np.ones((256, 256), np.float32))[..., 0] >= 0.6 * 255 - 1).all()


def test_pictures_are_written_once_and_fields_that_fail_are_left_out(
    tiny_bundle: Path, write_field: Callable[..., Path], tmp_path: Path
) -> None:
    from lociscope.images.discovery.sources import find_fields

    folder = write_field("a 1", seed=0)
    write_field("b", seed=1)
    sources, _ = find_fields(folder)
    (folder / "b_green.png").write_bytes(b"no picture")
    predictor = open_bundle(tiny_bundle)
    out = tmp_path / "evidence"
    out.mkdir()
    assert explain_files(predictor, sources, out) == 1
    assert [path.name for path in out.iterdir()] == ["a 1.png"]
    assert explain_files(predictor, sources, out) == 0
