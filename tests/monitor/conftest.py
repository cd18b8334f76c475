"""Samples of random figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lociscope.images.statistics import STATISTICS
from lociscope.monitor import Sample

Draw = Callable[..., Sample]


def make_sample(n: int, seed: int, bundle: str | None = "a" * 64, **columns: float) -> Sample:
    """Return n fields: figures around 10, embeddings around 0, rates of 0.3; `columns` adds to a statistic."""
    rng = np.random.default_rng(seed)
    statistics = rng.normal(10, 1, (n, len(STATISTICS))).astype(np.float32)
    for name, shift in columns.items():
        statistics[:, STATISTICS.index(name)] += shift
    embedding = rng.normal(0, 1, (n, 6)).astype(np.float32)
    return Sample(f"seed {seed}", [f"p1_w{i}_s{i % 4}" for i in range(n)], rng.random((n, 28)) < 0.3, statistics,
                  embedding, bundle)  # fmt: skip


@pytest.fixture
def draw() -> Draw:
    """`draw(n, seed, bundle=…, **columns)`."""
    return make_sample


@pytest.fixture
def reference() -> Sample:
    """A hundred fields to compare with."""
    return replace(make_sample(100, 999), name="the reference")
