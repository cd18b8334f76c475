"""Simulated networks: truth with rare classes, and members that see it more or less well."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest


class Networks(NamedTuple):
    """Truth (n, classes) of bool and probabilities (members, n, classes)."""

    truth: np.ndarray
    members: np.ndarray


def simulate(n: int, classes: int = 6, seed: int = 0, noise: tuple[float, ...] = (0.8, 0.8, 1.0, 30.0)) -> Networks:
    """Members see a class's log odds with independent noise; the last sees next to nothing and is too sure of it."""
    rng = np.random.default_rng(seed)
    rate = np.linspace(0.02, 0.4, classes)
    clear = rng.normal(scale=2, size=(n, classes)) + np.log(rate / (1 - rate))
    truth = rng.random((n, classes)) < 1 / (1 + np.exp(-clear))
    seen = np.stack([clear + rng.normal(scale=each, size=clear.shape) for each in noise])
    return Networks(truth, np.clip(1 / (1 + np.exp(-np.clip(seen, -30, 30))), 1e-5, 1 - 1e-5))


@pytest.fixture(scope="session")
def networks() -> Networks:
    """600 fields, 6 classes, 3 networks that see and one that does not."""
    return simulate(600)


@pytest.fixture(scope="session")
def new_fields() -> Networks:
    """4,000 other fields of the same networks."""
    return simulate(4000, seed=1)
