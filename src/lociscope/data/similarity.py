"""Find images of the same cells: flipped, rotated, cropped, encoded again, at another size.

Each field becomes a thumbnail. Its *signature* is the mean of its eight flips and turns, so that it is the same for
all of them; a field is compared with the signatures of 26 windows of every other, so that a crop is found as well.
Similar fields are then *aligned*: the symmetry and the window are searched at which the two agree best, channel by
channel. Two fields of one well agree there no better than any other two: they show other cells.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.images.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 48
"""Of a thumbnail, in px: 9 KiB a field, 280 MiB for the competition."""

MIN_SIMILARITY = 0.5
"""Similarity from which two fields are the same image; `benchmarks/duplicates.py` measures both kinds of error."""

LARGEST_CROP = 0.1
"""Share of the side that may be cropped; larger crops are found by chance only."""

_SPEC = InputSpec(height=SIDE, width=SIDE, low=0, high=100)
_COARSE, _FINE = 8, 24
_CANDIDATE = 0.85
"""Least cosine of two signatures. Of 56 real fields the worst of 10 % crops has 0.94, the best of others 0.88."""
_CLOSE = 0.7
"""Least cosine of two 8 × 8 views at their best symmetry, for the two to be aligned."""
_PAIRS = 10_000
_BLOCK = 1 << 26
"""Bytes of cosines in memory at a time."""
_STEPS = (0.02, 0.01, 0.005)
"""Distances of nearby windows: half the distance of `WINDOWS`, then less."""
_FLAT = 2.0
"""Standard deviation of a thumbnail's channel, of 255, below which it is flat."""


class Window(NamedTuple):
    """A part of a field: first row and column and side, as shares of the field's side."""

    top: float
    left: float
    side: float


class Pair(NamedTuple):
    """Two fields by their numbers, and their similarity, at most 1."""

    one: int
    other: int
    similarity: float


def _grid(side: float, steps: int) -> list[Window]:
    starts = np.linspace(0, 1 - side, steps).tolist()
    return [Window(top, left, side) for top, left in product(starts, starts)]


WINDOWS = (*_grid(1.0, 1), *_grid(1 - LARGEST_CROP / 2, 3), *_grid(1 - LARGEST_CROP, 4))
"""Windows of crops, dense enough that every crop is near one."""


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Make the thumbnail of a field.

    Args:
        pixels: (y, x, 4) of any bit depth.

    Returns:
        (48, 48, 4) of uint8, each channel stretched.
    """
    return prepare(pixels, _SPEC)


def find_similar_pairs(
    thumbnails: np.ndarray, others: np.ndarray | None = None, least: float = MIN_SIMILARITY
) -> list[Pair]:
    """Find the pairs of fields that show the same cells.

    Args:
        thumbnails: (n, 48, 48, 4) of uint8.
        others: (m, 48, 48, 4): each is searched among the first; None searches the first among themselves.
        least: Smallest similarity of a pair.

    Returns:
        The pairs, ascending: a number of `thumbnails`, one of `others` (or a larger one of `thumbnails`).
    """
    found: dict[tuple[int, int], float] = {}

    def look(whole: np.ndarray, part: np.ndarray, turned: bool) -> None:
        for window, one, other in _candidates(whole, part):
            key = (min(one, other), max(one, other)) if others is None else (other, one) if turned else (one, other)
            if found.get(key, -1.0) < least:
                found[key] = max(found.get(key, -1.0), similarity(whole[one], part[other], WINDOWS[window]))

    if not len(thumbnails) or (others is not None and not len(others)):
        return []
    look(thumbnails, thumbnails if others is None else others, False)
    if others is not None:
        look(others, thumbnails, True)
    return [Pair(*key, value) for key, value in sorted(found.items()) if value >= least]


def similarity(whole: np.ndarray, part: np.ndarray, window: Window = WINDOWS[0]) -> float:
    """Return the similarity of a field and a window of another, at the best of eight symmetries and nearby windows.

    Args:
        whole: (48, 48, 4) of uint8.
        part: The same of the other field.
        window: First window in `whole`.

    Returns:
        Mean over channels of Pearson's correlation. A channel that is flat in one of them counts as 0; a channel that
        is flat in both is ignored.
    """
    coarse = _symmetries(_views(part[None], WINDOWS[0])[0])
    symmetry = int(np.tensordot(coarse, _views(whole[None], window)[0], 3).argmax())
    sought = _symmetries(_standard(_view(part[None], WINDOWS[0], _FINE))[0])[symmetry]
    used = max(1, int(((_spread(whole) >= _FLAT) | (_spread(part) >= _FLAT)).sum()))

    def agreement(at: Window) -> float:
        return float((sought * _standard(_view(whole[None], at, _FINE))[0]).sum() / used)

    best = agreement(window)
    for step in _STEPS:
        for move in product((0, -step, step), repeat=3):
            moved = Window(*(value + by for value, by in zip(window, move, strict=True)))
            if 1 - LARGEST_CROP - _STEPS[0] <= moved.side <= 1 and _inside(moved):
                score = agreement(moved)
                if score > best:
                    best, window = score, moved
    return best


def _inside(window: Window) -> bool:
    return min(window.top, window.left) >= 0 and max(window.top, window.left) + window.side <= 1 + 1e-9


def _candidates(whole: np.ndarray, part: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield the number of a window, of its field, and of the field that nearly fills it."""
    views = _views(part, WINDOWS[0])
    signatures = _signatures(views)
    rows = max(1, _BLOCK // (4 * len(part)))
    for number, window in enumerate(WINDOWS):
        for start in range(0, len(whole), rows):
            found_views = _views(whole[start : start + rows], window)
            near = _signatures(found_views) @ signatures.T > _CANDIDATE
            if whole is part:
                np.fill_diagonal(near[:, start:], False)
            one, other = np.nonzero(near)
            for first in range(0, len(one), _PAIRS):
                some = slice(first, first + _PAIRS)
                close = _coarse_similarity(found_views[one[some]], views[other[some]]) > _CLOSE
                for a, b in zip(one[some][close].tolist(), other[some][close].tolist(), strict=True):
                    yield number, start + a, b


def _coarse_similarity(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return (n,): cosine of each two views, (n, 8, 8, 4), at the best of eight symmetries."""
    length = np.sqrt((one**2).sum((1, 2, 3)) * (other**2).sum((1, 2, 3)))
    scores = [
        np.einsum("nyxc,nyxc->n", one, np.moveaxis(turned, 2, 0)) for turned in _symmetries(np.moveaxis(other, 0, 2))
    ]
    return np.asarray(np.max(scores, axis=0) / np.maximum(length, 1e-9))


def _views(thumbnails: np.ndarray, window: Window) -> np.ndarray:
    """Return (n, 8, 8, 4): the window of each field, computed for a thousand fields at a time."""
    parts = [_standard(_view(thumbnails[at : at + 1024], window, _COARSE)) for at in range(0, len(thumbnails), 1024)]
    return np.concatenate(parts)


def _signatures(view: np.ndarray) -> np.ndarray:
    """Return (n, 40) of float32, of length 1: the mean of the view's symmetries, each distinct pixel once."""
    view = view + view[:, ::-1]
    view = view + view[:, :, ::-1]
    view = view + view.swapaxes(1, 2)
    row, column = np.triu_indices(_COARSE // 2)
    weight = np.where(row == column, 1, 2) ** 0.5
    flat = (view[:, row, column] * weight[:, None]).reshape(len(view), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9), np.float32)


def _view(thumbnails: np.ndarray, window: Window, side: int) -> np.ndarray:
    """Return (n, side, side, 4): the window, each of its pixels the mean over its area."""
    rows, columns = _means(window.top, window.side, side), _means(window.left, window.side, side)
    lines = np.tensordot(thumbnails.astype(np.float32), columns, (2, 1))  # (n, y, c, column)
    return np.tensordot(lines, rows, (1, 1)).transpose(0, 3, 2, 1)


@lru_cache(1024)
def _means(first: float, length: float, side: int) -> np.ndarray:
    """Return (side, 48): weights of the mean over each of `side` equal parts of an interval."""
    edges = (first + length * np.arange(side + 1) / side) * SIDE
    pixel = np.arange(SIDE)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.clip(inside, 0, None) * (side / (length * SIDE)), np.float32)


def _standard(view: np.ndarray) -> np.ndarray:
    """Return each channel with mean 0 and length 1; zeros where it is flat."""
    view = view - view.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((view**2).sum(axis=(1, 2), keepdims=True))
    flat = length < _FLAT * view.shape[1]
    return np.asarray(np.where(flat, 0, view / np.maximum(length, 1e-9)))


def _spread(thumb: np.ndarray) -> np.ndarray:
    return np.asarray(_view(thumb[None], WINDOWS[0], _FINE)[0].std(axis=(0, 1)))


def _symmetries(view: np.ndarray) -> np.ndarray:
    """Return (8, side, side, 4): the view, its rotations, and their mirror images."""
    turns = [np.rot90(view, quarter) for quarter in range(4)]
    return np.stack([*turns, *(turn[:, ::-1] for turn in turns)])
