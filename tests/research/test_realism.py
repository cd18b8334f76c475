"""Tests of research/realism.py: the two shapes that simulated fields must share with real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ALL = np.ones((128, 128), bool)


@pytest.fixture
def realism(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("research/realism")


def test_parallel_lines_are_coherent_and_noise_is_not(realism: ModuleType) -> None:
    y, x = np.mgrid[:128, :128]
    lines = np.sin(2 * np.pi * (0.6 * y + 0.8 * x) / 8)
    noise = np.random.default_rng(0).normal(size=(128, 128))
    assert realism.coherence(lines, ALL) > 0.95
    assert realism.coherence(noise, ALL) < 0.4


def test_crossing_lines_have_no_direction(realism: ModuleType) -> None:
    y, x = np.mgrid[:128, :128]
    lines = np.sin(2 * np.pi * y / 8) + np.sin(2 * np.pi * x / 8)
    assert realism.coherence(lines, ALL) < 0.3


@pytest.mark.parametrize("ratio", [1, 2.5])
def test_the_aspect_is_that_of_an_ellipse(realism: ModuleType, ratio: float) -> None:
    y, x = np.mgrid[-64:64, -64:64]
    cells = ((y / 16) ** 2 + (x / (16 * ratio)) ** 2 < 1).astype(int)
    assert realism.aspects(cells) == [pytest.approx(ratio, rel=0.03)]


def test_cells_at_the_border_and_fragments_do_not_count(realism: ModuleType) -> None:
    cells = np.zeros((128, 128), int)
    cells[:40, 20:40], cells[60:64, 60:64] = 1, 2
    assert realism.aspects(cells) == []
