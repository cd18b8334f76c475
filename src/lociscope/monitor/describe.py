"""What moved, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.monitor.drift import EmbeddingFinding, PlaceFinding, StatisticFinding


class Kind(NamedTuple):
    """How a statistic is spoken of: when it is lower, when it is higher, what its figures are, and their digits."""

    lower: str
    higher: str
    figure: str
    unit: str
    digits: int


_WORDS = {
    "BackgroundIntensity": Kind("has a darker ground", "has a brighter ground", "1st percentile", " grey levels", 1),
    "MedianIntensity": Kind("is darker", "is brighter", "median", " grey levels", 1),
    "BrightIntensity": Kind(
        "has dimmer bright parts", "has brighter bright parts", "99th percentile", " grey levels", 0
    ),
    "PercentMaximal": Kind("is less saturated", "is more saturated", "at full scale", " % of pixels", 2),
    "PercentMinimal": Kind("shows less dark ground", "shows more dark ground", "at the bottom", " % of pixels", 1),
    "PowerLogLogSlope": Kind(
        "is blurrier, or has less noise", "is sharper, or has more noise", "slope of the spectrum", "", 2
    ),
    "parts": Kind(
        "parts less clearly into dark and bright", "parts more clearly into dark and bright", "contrast", "", 2
    ),
    "Correlation": Kind("are less alike", "are more alike", "correlation", "", 2),
}


def in_words(
    statistics: Sequence[StatisticFinding],
    embedding: EmbeddingFinding | None,
    places: Sequence[PlaceFinding],
    fields: tuple[int, int],
) -> list[str]:
    """A sentence for each channel, two channels or place that moved, the clearest first.

    Of the statistics of one channel that moved, the one that did most is told, and the others are counted.

    Args:
        statistics: What was found of the pixels.
        embedding: What was found of the embeddings.
        places: What was found of the places.
        fields: Fields of the window, and of the reference.

    Returns:
        The sentences; none where nothing moved.
    """
    subjects: dict[str, list[StatisticFinding]] = {}
    for each in sorted((each for each in statistics if each.moved), key=lambda each: -each.distance):
        subjects.setdefault(subject(each.name), []).append(each)
    said = [_of_pixels(name, those) for name, those in subjects.items()]
    if embedding and embedding.moved:
        alone = ", though no figure of the pixels has" if statistics and not said else ""
        said.append(f"What the network makes of the fields has moved{alone} (MMD² {embedding.mmd2:.2f}).")
    moved = sorted((each for each in places if each.moved), key=lambda each: each.p)
    return said + [_of_place(each, *fields) for each in moved]


def subject(name: str) -> str:
    """What a statistic is about: `the green channel`, `the green and blue channels`."""
    channels = name.split("_")[1:]
    return f"the {' and '.join(channels)} channel{'s' if len(channels) > 1 else ''}"


def title(name: str) -> str:
    """A statistic's figure: `median`, `slope of the spectrum`."""
    return _WORDS[name.partition("_")[0]].figure


def shift(finding: StatisticFinding) -> str:
    """What a statistic did: `is darker: median 3 against 9 grey levels in the reference`."""
    kind = _WORDS[finding.name.partition("_")[0]]
    here, there = (f"{side[2]:.{kind.digits}f}".replace("-", "−") for side in (finding.window, finding.reference))
    if here == there:
        middle = f"{kind.figure} {there}{kind.unit} in both"
        wide = finding.window[4] - finding.window[0] > finding.reference[4] - finding.reference[0]
        plural = finding.name.startswith("Correlation")
        return f"{'vary' if plural else 'varies'} {'more' if wide else 'less'} from field to field: {middle}"
    lower = finding.window[2] < finding.reference[2]
    return f"{kind.lower if lower else kind.higher}: {kind.figure} {here} against {there}{kind.unit} in the reference"


def _of_pixels(name: str, moved: list[StatisticFinding]) -> str:
    others = f", and {len(moved) - 1} more of its figures" if len(moved) > 1 else ""
    return f"{name[:1].upper()}{name[1:]} {shift(moved[0])}{others}."


def _of_place(place: PlaceFinding, n: int, m: int) -> str:
    rarer = place.window * m < place.reference * n
    return (
        f"{place.label} is found {'less' if rarer else 'more'} often: in {place.window} of {n} fields against "
        f"{place.reference} of {m}."
    )
