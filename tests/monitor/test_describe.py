"""What moved, as it is said."""

from __future__ import annotations

import pytest

from lociscope.images.statistics import STATISTICS
from lociscope.monitor.describe import in_words, shift, title
from lociscope.monitor.drift import EmbeddingFinding, PlaceFinding, StatisticFinding


def finding(name: str, here: float, there: float, *, distance: float = 0.5, moved: bool = True) -> StatisticFinding:
    sides = [tuple(middle + step for step in (-2, -1, 0, 1, 2)) for middle in (here, there)]
    return StatisticFinding(name=name, window=sides[0], reference=sides[1], distance=distance, p=0.01, moved=moved)


@pytest.mark.parametrize(
    ("name", "here", "there", "said"),
    [
        ("MedianIntensity_green", 3, 9, "is darker: median 3.0 against 9.0 grey levels in the reference"),
        (
            "BackgroundIntensity_red", 9, 3,
            "has a brighter ground: 1st percentile 9.0 against 3.0 grey levels in the reference",
        ),
        (
            "PowerLogLogSlope_blue", -3.5, -3,
            "is blurrier, or has less noise: slope of the spectrum −3.50 against −3.00 in the reference",
        ),
        ("Correlation_red_blue", 0.5, 0.1, "are more alike: correlation 0.50 against 0.10 in the reference"),
        ("MedianIntensity_green", 3, 3.01, "varies less from field to field: median 3.0 grey levels in both"),
    ],
)  # fmt: skip
def test_a_shift(name: str, here: float, there: float, said: str) -> None:
    assert shift(finding(name, here, there)) == said


def test_wider_is_said_to_vary_more() -> None:
    wide = finding("Correlation_red_blue", 0, 0).model_copy(update={"window": (-9.0, -1.0, 0.0, 1.0, 9.0)})
    assert shift(wide) == "vary more from field to field: correlation 0.00 in both"


def test_every_statistic_has_words() -> None:
    for name in STATISTICS:
        assert title(name)
        assert shift(finding(name, 1, 2)) != shift(finding(name, 2, 1))


def test_a_channel_is_told_once_by_what_moved_most() -> None:
    statistics = [
        finding("MedianIntensity_green", 3, 9, distance=0.4),
        finding("BrightIntensity_green", 30, 90, distance=0.9),
        finding("MedianIntensity_red", 5, 9, moved=False),
        finding("Correlation_green_blue", 0.1, 0.4, distance=0.6),
    ]
    places = [
        PlaceFinding(number=0, label="Nucleoplasm", window=3, reference=60, p=0.02, moved=True),
        PlaceFinding(number=1, label="Nuclear membrane", window=9, reference=9, p=0.001, moved=True),
        PlaceFinding(number=2, label="Nucleoli", window=0, reference=9, p=1, moved=False),
    ]
    assert in_words(statistics, EmbeddingFinding(mmd2=0.123, p=0.003, moved=True), places, (40, 100)) == [
        "The green channel has dimmer bright parts: 99th percentile 30 against 90 grey levels in the reference, "
        "and 1 more of its figures.",
        "The green and blue channels are less alike: correlation 0.10 against 0.40 in the reference.",
        "What the network makes of the fields has moved (MMD² 0.12).",
        "Nuclear membrane is found more often: in 9 of 40 fields against 9 of 100.",
        "Nucleoplasm is found less often: in 3 of 40 fields against 60 of 100.",
    ]


def test_nothing_moved_is_nothing_said() -> None:
    still = EmbeddingFinding(mmd2=0, p=1, moved=False)
    assert in_words([finding("parts_red", 1, 2, moved=False)], still, [], (5, 5)) == []
    moved = still.model_copy(update={"moved": True})
    assert in_words([], moved, [], (5, 5)) == ["What the network makes of the fields has moved (MMD² 0.00)."]
