"""Findings about pixels, channels and duplicates: planted faults are found, and other fields are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.explore.channels import MIN_FIELDS, find_swapped, measure_channels
from lociscope.data.explore.findings import Finding, FindingKind, sort_findings
from lociscope.data.explore.inspect import InspectedField, Inspection, inspect_field, measure_clipped
from lociscope.data.explore.judge import judge_fields
from lociscope.data.explore.outliers import score_outliers
from lociscope.images.field import Field
from lociscope.images.scale import resize
from lociscope.warnings import FieldWarning, WarningKind

SIDE = 256
COARSENESS = (40, 20, 8, 64)
"""Spots a side of each channel: every channel has another texture."""


@cache
def pixels(seed: int) -> np.ndarray:
    """A field whose channels differ in texture."""
    rng = np.random.default_rng(seed)
    planes = [resize(rng.random((spots, spots, 1)).astype(np.float32) ** 3, SIDE, SIDE) for spots in COARSENESS]
    return np.asarray(np.concatenate(planes, axis=-1) * 180 + 10 + rng.normal(0, 1, (SIDE, SIDE, 4))).astype(np.uint8)


@cache
def inspected(seed: int) -> InspectedField:
    return inspect_field(Field(str(seed), pixels(seed)), None)[0]


def inspect(changed: np.ndarray) -> InspectedField:
    return inspect_field(Field("changed", changed), None)[0]


def judge(*changed: np.ndarray, targets: dict[int, tuple[int, ...]] | None = None) -> list[Finding]:
    """The findings about 24 good fields and some changed ones, which come last."""
    fields = [*(inspected(seed) for seed in range(24)), *map(inspect, changed)]
    entries = [Entry(f"f{row}", (targets or {}).get(row, (0,))) for row in range(len(fields))]
    catalog = Catalog.from_entries(entries, folder=None)  # type: ignore[arg-type] # no path is used
    return sort_findings(judge_fields(catalog, Inspection(list(range(len(fields))), fields, []), None))


def test_good_fields_have_no_findings() -> None:
    assert judge() == []


def test_blank_channels_are_found_at_any_level_of_noise() -> None:
    rng = np.random.default_rng(0)
    black, noisy = pixels(30).copy(), pixels(31).copy()
    black[...] = 0
    noisy[..., 1] = rng.normal(20, 4, (SIDE, SIDE)).clip(0, 255)
    found = [each for each in judge(black, noisy) if each.kind == FindingKind.BLANK]
    assert [(each.ids, each.channels) for each in found] == [
        (("f24",), ("red", "green", "blue", "yellow")),
        (("f25",), ("green",)),
    ]


@pytest.mark.parametrize("percent", [6, 30])
def test_a_clipped_channel_is_found(percent: int) -> None:
    changed = pixels(32).astype(float)
    changed[..., 2] *= 255 / np.percentile(changed[..., 2], 100 - percent)
    [found] = judge(changed.clip(0, 255).astype(np.uint8))
    assert (found.kind, found.ids, found.channels) == (FindingKind.SATURATED, ("f24",), ("blue",))
    assert found.figures["clipped_percent_blue"] == pytest.approx(percent, abs=1.5)


def test_clipped_pixels_pile_up_at_the_limit() -> None:
    fading = np.sort(np.random.default_rng(0).exponential(20, 20_000))
    assert measure_clipped(fading) < 0.3
    assert measure_clipped(np.minimum(fading, 60)) == pytest.approx(100 * np.exp(-3), abs=0.5)
    assert measure_clipped(np.minimum(fading, 60).astype(np.uint8)) == pytest.approx(100 * np.exp(-3), abs=0.5)
    assert measure_clipped(np.sort(np.append(fading, [60_000.0] * 5))) < 0.3  # hot pixels
    assert measure_clipped((fading // 40).astype(np.uint8)) == 0  # few levels
    assert measure_clipped(np.full(100, 7.0)) == 0


def test_a_blurred_field_is_found() -> None:
    changed = pixels(33).astype(float)
    for _ in range(12):
        changed = (changed + np.roll(changed, 1, 0) + np.roll(changed, 1, 1) + np.roll(changed, (1, 1), (0, 1))) / 4
    found = judge(changed.astype(np.uint8))
    assert found[0].kind == FindingKind.BLURRED
    assert found[0].ids == ("f24",)


@pytest.mark.parametrize("width", [2, 8])
def test_strong_blur_is_found_although_rounding_flattens_the_spectrum(width: float) -> None:
    from scipy.ndimage import gaussian_filter

    changed = gaussian_filter(pixels(36).astype(np.float32), (width, width, 0)).round().astype(np.uint8)
    [found] = [each for each in judge(changed) if each.kind == FindingKind.BLURRED]
    assert found.ids == ("f24",)


def test_empty_fields_are_no_copies_of_each_other() -> None:
    rng = np.random.default_rng(1)
    empty = [rng.normal(4, 1, (SIDE, SIDE, 4)).clip(0, 255).astype(np.uint8) for _ in range(2)]
    black = np.zeros((SIDE, SIDE, 4), np.uint8)
    found = judge(*empty, black, black)
    assert {each.ids for each in found if each.kind == FindingKind.BLANK} == {("f24",), ("f25",), ("f26",), ("f27",)}
    assert not [each for each in found if each.kind == FindingKind.DUPLICATES]


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0)])
def test_swapped_channels_are_found_and_named(order: tuple[int, ...]) -> None:
    found = judge(pixels(34)[..., list(order)])
    names = ("red", "green", "blue", "yellow")
    assert found[0].kind == FindingKind.SWAPPED_CHANNELS
    assert found[0].ids == ("f24",)
    assert found[0].channels == tuple(name for number, name in enumerate(names) if order[number] != number)


def test_too_few_fields_teach_nothing_about_channels() -> None:
    few = [measure_channels(pixels(seed)) for seed in range(3)]
    assert find_swapped(["a", "b", "c"], few, np.ones(3, bool)) == []
    assert MIN_FIELDS > 3


def test_duplicates_are_grouped_and_their_labels_compared() -> None:
    copies = pixels(3)[::-1].copy(), np.rot90(pixels(5))
    found = {each.kind: each for each in judge(*copies, targets={3: (4,)})}
    assert found[FindingKind.DUPLICATES_WITH_OTHER_LABELS].ids == ("f3", "f24")
    assert found[FindingKind.DUPLICATES].ids == ("f5", "f25")
    assert found[FindingKind.DUPLICATES].figures["similarity"] > 0.95


def test_another_size_is_a_finding_where_one_is_usual() -> None:
    [found] = [each for each in judge(pixels(35)[:200]) if each.kind == FindingKind.OTHER_SIZE]
    assert (found.ids, found.figures) == (("f24",), {"height": 200, "width": 256})


def test_missing_channels_are_findings() -> None:
    field = inspect_field(Field("a", pixels(1), missing=("yellow",)), None)[0]
    assert FieldWarning(WarningKind.MISSING_CHANNEL, ("yellow",)) in field.warnings
    catalog = Catalog.from_entries([Entry("a")], folder=None)  # type: ignore[arg-type]
    found = judge_fields(catalog, Inspection([0], [field], []), None)
    assert (FindingKind.MISSING_CHANNEL, ("yellow",)) in [(each.kind, each.channels) for each in found]


def test_a_vector_far_from_all_others_is_an_outlier() -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (200, 8))
    vectors[17] = 9
    scores = score_outliers(vectors)
    assert scores.argmax() == 17
    assert scores[17] > 4 > np.sort(scores)[-2]
    assert score_outliers(vectors[:5]).tolist() == [0] * 5
    assert np.isfinite(score_outliers(np.zeros((50, 3)))).all()
