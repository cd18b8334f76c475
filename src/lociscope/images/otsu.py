"""Otsu's threshold: bright objects, such as nuclei, and the dark background (IEEE Trans SMC 9, 62–66, 1979)."""

from __future__ import annotations

import numpy as np

_BINS = 64


def find_bright(plane: np.ndarray) -> np.ndarray:
    """Return the pixels (y, x) of bool above Otsu's threshold of a plane (y, x) of float32, as those of nuclei."""
    low = float(plane.min())
    step = (float(plane.max()) - low) / (_BINS - 1) or 1.0
    counts = np.bincount(((plane - low) / step).astype(np.uint8).ravel(), minlength=_BINS)
    return np.asarray(plane >= find_threshold(counts, low, step)[1])


def make_histogram(counts: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return the histogram of an 8-bit plane in 64 bins over its range, its lowest value, and the width of a bin."""
    low = float(seen[0])
    step = (float(seen[-1]) - low) / (_BINS - 1) or 1.0
    return np.bincount(((seen - low) / step).astype(int), counts[seen], minlength=_BINS), low, step


def find_threshold(counts: np.ndarray, low: float, step: float) -> tuple[float, float]:
    """Return Otsu's criterion (the between-class variance as a share of the total), and his threshold."""
    centre, share = np.arange(_BINS), counts / counts.sum()
    below, mean = np.cumsum(share), np.cumsum(share * centre)
    variance = float(np.sum(share * (centre - mean[-1]) ** 2))
    inner = below[:-1] * (1 - below[:-1])
    between = (mean[-1] * below[:-1] - mean[:-1]) ** 2 / np.where(inner > 0, inner, 1)
    best = int(between.argmax())
    return float(between[best] / variance) if variance > 0 else 0.0, low + step * (best + 1)
