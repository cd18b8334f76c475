"""The gallery: a predicted field as a card, its picture in switchable layers and its places judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lociscope.channels import CHANNELS
from lociscope.images.render import DEFAULT_CHANNELS, render_composite
from lociscope.labels import LABELS
from lociscope.report.page import jpeg_uri
from lociscope.warnings import describe_warning

if TYPE_CHECKING:
    import numpy as np

    from lociscope.images.field import Field
    from lociscope.warnings import FieldWarning

PICTURE_SIZE = 384
"""Side of a card's picture in px: drawn at about 320, so a little finer than a plain screen."""
BARS = 5

Verdict = Literal["right", "missed", "wrong", "reported"]
SIGNS: dict[Verdict, str] = {"right": "✓", "missed": "○", "wrong": "✗", "reported": "•"}

STATUS_WORDS = {
    "ok": "At least one place reaches its threshold.",
    "unsure": "Unsure: no place reaches its threshold.",
    "negative": "Negative: none of the 28 places.",
    "unlike-training": "Unlike the fields that the model learned from.",
}


@dataclass(frozen=True, slots=True)
class GalleryField:
    """One field of the gallery.

    Attributes:
        field: Its pixels, (y, x, 4), and its name.
        truth: The labelled places; None where they are unknown.
        probability: (28,) in 0–1.
        predicted: The places decided on.
        status: As in Predictions.
        warnings: As in Predictions.
    """

    field: Field
    truth: tuple[int, ...] | None
    probability: np.ndarray
    predicted: tuple[int, ...]
    status: str
    warnings: tuple[FieldWarning, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One channel of a picture: grey, and the colour that the page tints it with."""

    name: str
    stain: str
    tint: str
    source: str
    on: bool


@dataclass(frozen=True, slots=True)
class LocationVerdict:
    """A place that was reported or is true: what became of it, and its rank among the 28."""

    name: str
    verdict: Verdict
    sign: str
    rank: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One probability against its threshold, where that is known."""

    name: str
    probability: float
    threshold: float | None
    reached: bool
    true: bool


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one field."""

    id: str
    layers: list[Layer]
    places: list[LocationVerdict]
    nothing: str
    bars: list[Bar]
    status: str
    ok: bool
    warnings: list[str]


def make_card(shown: GalleryField, thresholds: np.ndarray | None) -> Card:
    """Makes the card of a field.

    Args:
        shown: The field and what was predicted of it.
        thresholds: (28,) in 0–1, or None where they are not known.

    Returns:
        What `evaluation.html` shows of it.
    """
    return Card(
        id=shown.field.id,
        layers=make_layers(shown.field.pixels),
        places=list_verdicts(shown),
        nothing=_nothing(shown),
        bars=make_bars(shown, thresholds),
        status=STATUS_WORDS.get(shown.status, shown.status),
        ok=shown.status == "ok",
        warnings=[describe_warning(warning) for warning in shown.warnings],
    )


def make_layers(pixels: np.ndarray) -> list[Layer]:
    """The four channels as grey pictures; those of HPA's composites are on.

    Args:
        pixels: (y, x, 4), RGBY.
    """
    return [
        Layer(
            channel.name,
            channel.stain,
            "rgb({:.0f} {:.0f} {:.0f})".format(*(255 * part for part in channel.colour)),
            jpeg_uri(render_composite(pixels, PICTURE_SIZE, (i,)).max(axis=-1)),
            i in DEFAULT_CHANNELS,
        )
        for i, channel in enumerate(CHANNELS)
    ]


def list_verdicts(shown: GalleryField) -> list[LocationVerdict]:
    """The places that were reported or are true, the right ones first, then by probability."""
    ranks = (-shown.probability).argsort(kind="stable").argsort() + 1
    verdicts: dict[int, Verdict] = dict.fromkeys(shown.predicted, "reported" if shown.truth is None else "wrong")
    for label in shown.truth or ():
        verdicts[label] = "right" if label in shown.predicted else "missed"
    order = list(SIGNS)
    return [
        LocationVerdict(LABELS[label], verdict, SIGNS[verdict], int(ranks[label]))
        for label, verdict in sorted(verdicts.items(), key=lambda item: (order.index(item[1]), ranks[item[0]]))
    ]


def make_bars(shown: GalleryField, thresholds: np.ndarray | None) -> list[Bar]:
    """The likeliest places, at most `BARS`, highest first."""
    likeliest = (-shown.probability).argsort(kind="stable")[:BARS]
    return [
        Bar(
            LABELS[label],
            float(shown.probability[label]),
            None if thresholds is None else float(thresholds[label]),
            label in shown.predicted,
            label in (shown.truth or ()),
        )
        for label in likeliest.tolist()
    ]


def _nothing(shown: GalleryField) -> str:
    """What to say where no place was reported, or none is labelled."""
    if not shown.predicted:
        return "No place reported, and none is labelled: right." if shown.truth == () else "No place reported."
    return "No place is labelled." if shown.truth == () else ""
