from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.simulate.canvas import Canvas
from lociscope.simulate.cell_lines import cell_line
from lociscope.simulate.patterns.texture import background, follow_microtubules, grain
from lociscope.simulate.structures import build_scene

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


def make_scene(size: int = 192, pixel_size: float = 0.4) -> Scene:
    rng = np.random.default_rng(4)
    return build_scene(rng, Canvas(size, pixel_size), cell_line("U-2 OS", rng))


@pytest.mark.parametrize("pixel_size", [0.08, 0.32, 0.64])
def test_the_grain_of_a_stain_has_mean_1_at_every_scale(pixel_size: float) -> None:
    scene = make_scene()
    scene.canvas = Canvas(256, pixel_size)
    assert grain(scene, np.random.default_rng(0), 0.15).mean() == pytest.approx(1, abs=0.05)


def test_background_is_dark_outside_cells() -> None:
    scene = make_scene()
    light = background(scene, np.random.default_rng(0))
    assert light[scene.owner == 0].max() == 0
    assert light[scene.owner > 0].mean() > 0.05


def test_threads_start_on_microtubules_of_their_cell() -> None:
    scene = make_scene()
    counts = np.full(len(scene.cells), 40.0)
    tracks, cell = follow_microtubules(scene, np.random.default_rng(1), scene.cytoplasm, counts, 3, 0.0)
    assert tracks.shape == (len(cell), 10, 2)
    assert len(cell) > 0
    points = scene.microtubules[scene.microtubule_cell == cell[0]].reshape(-1, 2)
    assert np.hypot(*(points - tracks[0, 0]).T).min() < 0.01


def test_threads_of_an_empty_density_are_none() -> None:
    scene = make_scene()
    counts = np.full(len(scene.cells), 40.0)
    tracks, _ = follow_microtubules(scene, np.random.default_rng(1), scene.canvas.blank(), counts, 3, 0.1)
    assert len(tracks) == 0


def test_threads_keep_their_light_at_every_scale() -> None:
    track = np.array([[[4.0, 4.0], [12.0, 9.0]]])
    light = [Canvas(size, 16 / size).threads(track, 0.15).mean() for size in (32, 64, 256)]
    assert light == pytest.approx([light[0]] * 3, rel=0.03)
