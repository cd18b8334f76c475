"""Trees of a file: every path ends, whoever wrote it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lociscope.decide.trees import Trees
from lociscope.labels import N_LABELS

STUMP = Trees(
    root=np.array([0], np.int32),
    label=np.array([3], np.int16),
    feature=np.array([1, -1, -1], np.int16),
    threshold=np.array([0.5, 0, 0]),
    left=np.array([1, 1, 2], np.int32),
    right=np.array([2, 1, 2], np.int32),
    unknown_left=np.array([True, False, False]),
    value=np.array([0, -1.0, 2.0]),
    base=np.zeros(N_LABELS),
)


def test_a_stump_decides() -> None:
    STUMP.check(2)
    logits = STUMP.logits(np.array([[0, 0.4], [0, 0.6], [0, np.nan]]))
    np.testing.assert_array_equal(logits[:, 3], [-1, 2, -1])


@pytest.mark.parametrize(
    "broken",
    [
        replace(STUMP, left=np.array([0, 1, 2], np.int32)),
        replace(STUMP, right=np.array([2, 0, 2], np.int32)),
        replace(STUMP, right=np.array([9, 1, 2], np.int32)),
        replace(STUMP, left=np.array([1, 1], np.int32)),
        replace(STUMP, root=np.array([3], np.int32)),
        replace(STUMP, feature=np.array([2, -1, -1], np.int16)),
    ],
    ids=["a loop", "a leaf that goes on", "beyond the end", "too few", "root", "feature"],
)
def test_paths_without_end_are_refused(broken: Trees) -> None:
    with pytest.raises(ValueError, match="the trees"):
        broken.check(2)
