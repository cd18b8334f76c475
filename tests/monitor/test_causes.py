"""Causes: each change of the microscope is named, and nothing else, on statistics with the structure of real fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.quality import PAIRS
from lociscope.images.statistics import PER_CHANNEL, STATISTICS
from lociscope.monitor import Sample, compare_samples
from lociscope.monitor.causes import find_causes, find_fading
from lociscope.monitor.report import Cause, CauseKind
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = range(len(STATISTICS))
MIDDLES = np.array(
    [
        [1, 20, 150, 0.1, 30, -2.1, 0.72],  # red: the medians of HPA's fields, about
        [1, 8, 90, 0.1, 35, -2.0, 0.68],
        [1, 4, 170, 0.1, 70, -2.8, 0.88],
        [1, 14, 140, 0.1, 30, -2.4, 0.74],
    ]
)
SPREADS = np.array([[0.2, 0.2, 0.2, 0.05, 0.2, 0.08, 0.04]] * 4)
"""Standard deviations: of the logarithm of the first five statistics, and of the others."""


def make_fields(n: int, seed: int, change: Callable[[np.ndarray], None] | None = None) -> Sample:
    """Return fields whose statistics vary as those of HPA do; `change` is applied to the planes (n, 4, 7)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (n, 4, 7)) * SPREADS
    planes = np.where(np.arange(7) < 5, MIDDLES * np.exp(noise), MIDDLES + noise)
    if change is not None:
        change(planes)
    links = rng.normal([0.25, -0.1, 0.65, 0.4, 0.4, 0.05], 0.1, (n, len(PAIRS)))
    statistics = np.concatenate([planes.reshape(n, -1), links], axis=1).astype(np.float32)
    return Sample(
        f"seed {seed}", [f"f{seed}_{number}" for number in range(n)], rng.random((n, 28)) < 0.2, statistics, None,
        "a" * 64, warnings=[()] * n,
    )  # fmt: skip


def change(statistic: str, channels: str, *, factor: float = 1, shift: float = 0) -> Callable[[np.ndarray], None]:
    def apply(planes: np.ndarray) -> None:
        for name in channels.split():
            one = planes[:, CHANNEL_NAMES.index(name), PER_CHANNEL.index(statistic)]
            one *= factor
            one += shift

    return apply


def brighter(factor: float, channels: str) -> Callable[[np.ndarray], None]:
    def apply(planes: np.ndarray) -> None:
        for name in channels.split():
            planes[:, CHANNEL_NAMES.index(name), :3] *= factor

    return apply


def raised(shift: float, channels: str) -> Callable[[np.ndarray], None]:
    def apply(planes: np.ndarray) -> None:
        for name in channels.split():
            planes[:, CHANNEL_NAMES.index(name), :3] += shift

    return apply


def exchange_red_and_blue(sample: Sample) -> Sample:
    """Return the statistics of the same fields with red and blue in each other's place."""
    assert sample.statistics is not None
    order = [2, 1, 0, 3]
    planes = sample.statistics[:, :28].reshape(-1, 4, 7)[:, order].reshape(-1, 28)
    pairs = [frozenset(pair) for pair in PAIRS]
    links = [28 + pairs.index(frozenset((order[one], order[two]))) for one, two in PAIRS]
    return replace(sample, statistics=np.concatenate([planes, sample.statistics[:, links]], axis=1))


def darkened(planes: np.ndarray) -> None:
    planes[:, 3, :3] = 0


ALL = "red green blue yellow"


@pytest.mark.parametrize(
    ("apply", "kind", "channels", "value"),
    [
        (brighter(0.6, "red"), CauseKind.GAIN, "red", 0.6),
        (brighter(1.5, "blue"), CauseKind.GAIN, "blue", 1.5),
        (brighter(0.5, ALL), CauseKind.EXPOSURE, ALL, 0.5),
        (brighter(0.5, "red blue yellow"), CauseKind.EXPOSURE, "red blue yellow", 0.5),
        (raised(10, ALL), CauseKind.OFFSET, ALL, 10),
        (raised(6, "yellow"), CauseKind.OFFSET, "yellow", 6),
        (change("PowerLogLogSlope", "red blue", shift=-0.3), CauseKind.DEFOCUS, "red blue", None),
        (change("PowerLogLogSlope", ALL, shift=0.3), CauseKind.NOISE, ALL, None),
        (change("PercentMinimal", ALL, factor=0.2), CauseKind.NOISE, ALL, None),
        (darkened, CauseKind.EMPTY_CHANNEL, "yellow", None),
    ],
)
def test_a_change_is_named(
    apply: Callable[[np.ndarray], None], kind: CauseKind, channels: str, value: float | None
) -> None:
    for seed in range(5):
        (cause,) = find_causes(make_fields(50, seed, apply), make_fields(200, 99), EVERY)
        assert (cause.kind, cause.channels) == (kind, tuple(channels.split()))
        assert cause.value == (None if value is None else pytest.approx(value, rel=0.25))


def test_nothing_is_named_where_nothing_changed() -> None:
    reference = make_fields(200, 99)
    named = [find_causes(make_fields(50, seed), reference, EVERY) for seed in range(20)]
    assert sum(map(bool, named)) <= 1


def test_exchanged_channels_are_named() -> None:
    for seed in range(5):
        window = exchange_red_and_blue(make_fields(50, seed))
        assert find_causes(window, make_fields(200, 99), EVERY) == [
            Cause(kind=CauseKind.SWAPPED_CHANNELS, channels=("red", "blue"))
        ]


def test_a_missing_channel_is_distinguished_from_an_empty_one() -> None:
    window = make_fields(50, 1, darkened)
    missing = replace(window, warnings=[(FieldWarning(WarningKind.MISSING_CHANNEL, ("yellow",)),)] * 50)
    (cause,) = find_causes(missing, make_fields(200, 99), EVERY)
    assert (cause.kind, cause.channels) == (CauseKind.MISSING_CHANNEL, ("yellow",))


def test_a_channel_that_never_was_there_has_not_changed() -> None:
    assert find_causes(make_fields(50, 1, darkened), make_fields(200, 99, darkened), EVERY) == []


def test_blur_is_not_also_called_a_weaker_signal() -> None:
    def blur(planes: np.ndarray) -> None:
        change("PowerLogLogSlope", ALL, shift=-0.5)(planes)
        brighter(0.75, ALL)(planes)

    assert [cause.kind for cause in find_causes(make_fields(50, 1, blur), make_fields(200, 99), EVERY)] == [
        CauseKind.DEFOCUS
    ]


def test_more_exposure_is_named_although_a_channel_is_saturated() -> None:
    def overexpose(planes: np.ndarray) -> None:
        brighter(1.6, ALL)(planes)
        planes[:, :, :3] = np.minimum(planes[:, :, :3], 255)

    def near_full(planes: np.ndarray) -> None:
        planes[:, 2, :3] *= 1.45
        planes[:, :, :3] = np.minimum(planes[:, :, :3], 255)

    def both(planes: np.ndarray) -> None:
        planes[:, 2, :3] *= 1.45
        overexpose(planes)

    (cause,) = find_causes(make_fields(60, 1, both), make_fields(200, 99, near_full), EVERY)
    assert (cause.kind, cause.channels) == (CauseKind.EXPOSURE, ("red", "green", "blue", "yellow"))


def test_cropped_nuclei_are_another_pixel_size() -> None:
    window = make_fields(50, 1)
    cropped: list[tuple[FieldWarning, ...]] = [(FieldWarning(WarningKind.CROPPED_CELLS, value=60),)] * 12 + [()] * 38
    causes = find_causes(replace(window, warnings=cropped), make_fields(200, 99), EVERY)
    assert [cause.kind for cause in causes] == [CauseKind.PIXEL_SIZE]


def test_bleaching_is_a_trend_within_the_window() -> None:
    def fade(planes: np.ndarray) -> None:
        planes[:, 0, :3] *= np.linspace(1, 0.5, len(planes))[:, None]

    rows = [np.array([row]) for row in range(60)]
    faded = make_fields(60, 1, fade)
    (cause,) = find_fading(faded, rows, 0.01)
    assert (cause.kind, cause.channels) == (CauseKind.BLEACHING, ("red",))
    assert cause.value == pytest.approx(0.6, abs=0.1)
    mixed = faded.take(np.random.default_rng(0).permutation(60))
    assert find_fading(mixed, rows, 0.01) == []
    assert find_fading(faded, rows[:11], 0.01) == []
    drift = compare_samples(faded, make_fields(200, 99))
    assert drift.drifted
    assert drift.causes[0].kind == CauseKind.BLEACHING
    assert CauseKind.GAIN not in [each.kind for each in drift.causes]


def test_stains_that_do_not_fade_raise_no_alarm() -> None:
    rows = [np.array([row]) for row in range(50)]
    assert sum(bool(find_fading(make_fields(50, seed), rows, 0.05)) for seed in range(60)) <= 8  # binomial of 0.05


def test_fields_of_other_bundles_show_only_brightness() -> None:
    columns = [number for number, name in enumerate(STATISTICS) if "Intensity" in name]
    blurred = make_fields(50, 1, change("PowerLogLogSlope", ALL, shift=-0.5))
    assert find_causes(blurred, make_fields(200, 99), columns) == []
    (cause,) = find_causes(make_fields(50, 1, brighter(0.5, "red")), make_fields(200, 99), columns)
    assert cause == Cause(kind=CauseKind.GAIN, channels=("red",), value=cause.value)
