"""How doubtful predictions are: the entropy of their probabilities."""

from __future__ import annotations

import numpy as np


def doubt(probability: np.ndarray) -> np.ndarray:
    """Return how doubtful each prediction is: the entropy of the classes' probabilities, summed.

    Args:
        probability: (n, classes) in 0–1; NaN for a class that the model does not know, which counts nothing.

    Returns:
        (n,) in bits: 0 where every probability is 0 or 1, and 1 for each class at 0.5.
    """
    p = np.clip(np.asarray(probability, np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(np.nansum(-p * np.log2(p) - (1 - p) * np.log2(1 - p), axis=1))
