"""The gallery: a card for each predicted field, with its channels as layers and its locations compared to the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lociscope.channels import CHANNELS
from lociscope.images.extent import find_pixel_size
from lociscope.images.render import DEFAULT_CHANNELS, render_planes
from lociscope.labels import LABELS
from lociscope.report.page import jpeg_uri
from lociscope.warnings import describe_warning

if TYPE_CHECKING:
    from lociscope.images.field import Field
    from lociscope.warnings import FieldWarning

SCALES_UM = (100, 50, 20, 10, 5, 2, 1)
"""Lengths of scale bars, µm."""
MAX_BAR = 0.3
"""Longest scale bar, as a share of the width."""
PICTURE_SIZE = 384
"""Side of the image on a card in px; shown at about 320 px, so slightly finer than a standard screen."""
BARS = 5

Verdict = Literal["correct", "missed", "wrong", "reported"]
SIGNS: dict[Verdict, str] = {"correct": "✓", "missed": "○", "wrong": "✗", "reported": "•"}

STATUS_TEXTS = {
    "ok": "At least one location reaches its threshold.",
    "unsure": "Unsure: no location reaches its threshold.",
    "negative": "Negative: none of the 28 locations.",
    "unlike-training": "Out-of-distribution: unlike the training fields.",
}


@dataclass(frozen=True, slots=True)
class GalleryField:
    """One field of the gallery.

    Attributes:
        field: Its pixels, (y, x, 4), and its name.
        truth: The labelled locations; None where they are unknown.
        probability: (28,) in 0–1; NaN for a class that the model does not know.
        predicted: The reported locations.
        status: As in Predictions.
        warnings: As in Predictions.
        evidence: Where the evidence for a location is; None without a model.
    """

    field: Field
    truth: tuple[int, ...] | None
    probability: np.ndarray
    predicted: tuple[int, ...]
    status: str
    warnings: tuple[FieldWarning, ...]
    evidence: EvidencePicture | None = None


@dataclass(frozen=True, slots=True)
class EvidencePicture:
    """The evidence for a location: (y, x, 3) of uint8, the protein in grey with the evidence in orange."""

    location: int
    pixels: np.ndarray


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A scale bar: its length in per cent of the image's width, its text, and whether the pixel size is known."""

    width: float
    text: str
    known: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """One channel of an image: a grey image, and the colour of the page for it."""

    name: str
    stain: str
    tint: str
    source: str
    on: bool


@dataclass(frozen=True, slots=True)
class LocationVerdict:
    """A location that is reported or labelled: whether it is correct, and its rank among the 28."""

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
    """The contents of the page for one field."""

    id: str
    layers: list[Layer]
    locations: list[LocationVerdict]
    remark: str
    bars: list[Bar]
    status: str
    ok: bool
    warnings: list[str]
    bar: ScaleBar
    evidence: str | None
    evidence_of: str


def make_card(item: GalleryField, thresholds: np.ndarray | None) -> Card:
    """Make the card of a field.

    Args:
        item: The field and its prediction.
        thresholds: (28,) in 0–1, or None where they are not known.

    Returns:
        The values that `evaluation.html` shows.
    """
    return Card(
        id=item.field.id,
        layers=make_layers(item.field.pixels),
        locations=list_verdicts(item),
        remark=_describe_empty(item),
        bars=make_bars(item, thresholds),
        status=STATUS_TEXTS.get(item.status, item.status),
        ok=item.status == "ok",
        warnings=[describe_warning(warning) for warning in item.warnings],
        bar=make_scale_bar(item.field),
        evidence=None if item.evidence is None else jpeg_uri(item.evidence.pixels),
        evidence_of="" if item.evidence is None else LABELS[item.evidence.location],
    )


def make_scale_bar(field: Field) -> ScaleBar:
    """Return the scale bar of a field: the longest round number of µm up to `MAX_BAR` of its width.

    Where the pixel size is not declared, it is assumed to be that of the Human Protein Atlas, and the text says so.
    """
    width_um = field.pixels.shape[1] * find_pixel_size(field)
    length = next((each for each in SCALES_UM if each <= MAX_BAR * width_um), SCALES_UM[-1])
    known = field.pixel_size is not None
    return ScaleBar(round(100 * length / width_um, 2), f"{length} µm{'' if known else ' (assumed)'}", known)


def make_layers(pixels: np.ndarray) -> list[Layer]:
    """Return the four channels as grey images; those of HPA composites are switched on.

    Args:
        pixels: (y, x, 4), RGBY.
    """
    planes = render_planes(pixels, PICTURE_SIZE)
    return [
        Layer(
            channel.name,
            channel.stain,
            "rgb({:.0f} {:.0f} {:.0f})".format(*(255 * part for part in channel.colour)),
            jpeg_uri(np.ascontiguousarray(planes[..., i])),
            i in DEFAULT_CHANNELS,
        )
        for i, channel in enumerate(CHANNELS)
    ]


def list_verdicts(item: GalleryField) -> list[LocationVerdict]:
    """Return the locations that are reported or labelled, correct ones first, then by probability."""
    ranks = (-item.probability).argsort(kind="stable").argsort() + 1
    verdicts: dict[int, Verdict] = dict.fromkeys(item.predicted, "reported" if item.truth is None else "wrong")
    for label in item.truth or ():
        verdicts[label] = "correct" if label in item.predicted else "missed"
    order = list(SIGNS)
    return [
        LocationVerdict(LABELS[label], verdict, SIGNS[verdict], int(ranks[label]))
        for label, verdict in sorted(verdicts.items(), key=lambda item: (order.index(item[1]), ranks[item[0]]))
    ]


def make_bars(item: GalleryField, thresholds: np.ndarray | None) -> list[Bar]:
    """Return the likeliest locations, at most `BARS`, highest first."""
    likeliest = (-item.probability).argsort(kind="stable")[:BARS]  # NaN, a class that the model does not know, is last
    return [
        Bar(
            LABELS[label],
            float(item.probability[label]),
            None if thresholds is None else float(thresholds[label]),
            label in item.predicted,
            label in (item.truth or ()),
        )
        for label in likeliest.tolist()
        if item.probability[label] >= 0
    ]


def _describe_empty(item: GalleryField) -> str:
    """Return a remark where no location is reported, or none is labelled."""
    if not item.predicted:
        return "No location reported, and none is labelled: correct." if item.truth == () else "No location reported."
    return "No location is labelled." if item.truth == () else ""
