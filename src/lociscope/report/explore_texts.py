"""What each kind of finding means, and what to do about it, for readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lociscope.channels import CHANNELS
from lociscope.data.explore.findings import FindingKind
from lociscope.labels import LABELS
from lociscope.report.page import number

if TYPE_CHECKING:
    from lociscope.data.explore.findings import Finding


class KindText(NamedTuple):
    """A kind in words: its name, what it means, and what to do."""

    title: str
    meaning: str
    remedy: str


KINDS: dict[FindingKind, KindText] = {
    FindingKind.UNREADABLE: KindText(
        "Fields that cannot be read",
        "A file is missing or damaged, or its format is not supported.",
        "Fetch the files again, or remove the fields from the Catalog: training stops at them or leaves them out.",
    ),
    FindingKind.SWAPPED_CHANNELS: KindText(
        "Channels that seem swapped",
        "Two channels look like each other’s in the other fields.",
        "Look at the four channels. If they are swapped, correct the Catalog’s columns, or the files’ names.",
    ),
    FindingKind.REPEATED_CHANNEL: KindText(
        "Channels with the same pixels",
        "Two channels hold the same image: one was exported or copied twice.",
        "Export the missing channel again; else remove the field.",
    ),
    FindingKind.MISSING_CHANNEL: KindText(
        "Missing channels",
        "The files lack a channel; it was taken as black.",
        "Import the missing files. If the stain was not made, train with channel dropout and `--allow-missing`.",
    ),
    FindingKind.BLANK: KindText(
        "Blank channels",
        "A channel holds nothing but a constant or noise.",
        "Remove the field if the protein, the nuclei or all channels are blank: its label cannot be learned from it.",
    ),
    FindingKind.DUPLICATES_ACROSS_PARTS: KindText(
        "Duplicates across training and test data",
        "The same cells are in two parts of the split, so that a score would measure memory.",
        "Split again with `lociscope split --find-duplicates`, or remove the fields from the training data.",
    ),
    FindingKind.DUPLICATES_WITH_OTHER_LABELS: KindText(
        "Duplicates with different labels",
        "The same cells have different labels; at least one is wrong.",
        "Decide which label is right, and give it to all of them, or remove them.",
    ),
    FindingKind.CONTRADICTED_LABELS: KindText(
        "Labels that the picture contradicts",
        "The model is confident that a label is absent, and that another location is present. The model can be wrong.",
        "Look at the field. Correct the label where it is wrong; keep it where the model is.",
    ),
    FindingKind.DUPLICATES: KindText(
        "Near-duplicates",
        "Fields show the same cells: copied, flipped, rotated, cropped or encoded again.",
        "Keep one of each group, or keep groups on one side of the split: `lociscope split --find-duplicates`.",
    ),
    FindingKind.SATURATED: KindText(
        "Saturated channels",
        "Bright pixels are clipped: their structure is lost, and intensities cannot be compared.",
        "Image again with a shorter exposure. Keep the field if its pattern is still recognizable.",
    ),
    FindingKind.BLURRED: KindText(
        "Blurred fields",
        "The channels have far less fine structure than those of the other fields: out of focus, or enlarged.",
        "Remove the field if its locations differ in fine structure, such as nucleoli and their fibrillar center.",
    ),
    FindingKind.OUTLIER: KindText(
        "Fields that resemble no other",
        "Their pixels or their embedding are far from those of every other field.",
        "Look at them: dirt, another magnification or stain, a damaged file, or simply a rare pattern worth keeping.",
    ),
    FindingKind.FAINT_CHANNEL: KindText(
        "Faint channels",
        "A channel shows little but noise.",
        "Keep the field if its location is still visible.",
    ),
    FindingKind.OTHER_SIZE: KindText(
        "Fields of another size or type",
        "Nine of ten fields have one size and one type of pixels; these have another.",
        "Give their pixel size in the column `pixel_size` (µm), unless they show the same area.",
    ),
    FindingKind.CLASS_ABSENT: KindText(
        "Locations without a field",
        "No field has this label: a network cannot learn it, and macro-F1 leaves it out or counts it as 0.",
        "Add fields that show it (HPA has more), or state that the model does not know this location.",
    ),
    FindingKind.CLASS_TOO_RARE: KindText(
        "Locations too rare to learn or to judge",
        "With fewer than 10 fields a location can hardly be learned, with fewer than 20 its score is mostly chance.",
        "Add fields, set `repeat_threshold` in the recipe, and read the score of this location with its interval.",
    ),
}
"""The text of each kind."""


def describe_finding(finding: Finding) -> str:
    """Return what is particular to one finding, as a phrase or a sentence."""
    stains = " and ".join(channel.stain for channel in CHANNELS if channel.name in finding.channels)
    figures, kind = finding.figures, finding.kind
    if kind == FindingKind.UNREADABLE:
        return finding.reason
    if kind == FindingKind.SWAPPED_CHANNELS:
        return f"{stains}; log odds {number(figures['log_odds'], 1)}"
    if kind == FindingKind.SATURATED:
        return f"{stains}; up to {number(max(figures.values()), 1)} % of the pixels"
    if kind in (FindingKind.BLURRED, FindingKind.OUTLIER):
        return f"{number(figures['deviations'], 1)} robust standard deviations from the other fields"
    if kind == FindingKind.CONTRADICTED_LABELS:
        wrong, instead = LABELS[finding.labels[0]], LABELS[finding.suggested[0]]
        return (
            f"labelled {wrong} (probability {number(figures['probability_of_label'])}); the picture suggests "
            f"{instead} ({number(figures['probability_of_suggested'])})"
        )
    if "similarity" in figures:
        return f"similarity {number(figures['similarity'])}"
    if kind == FindingKind.OTHER_SIZE:
        return f"{figures['height']:.0f} × {figures['width']:.0f} px"
    if finding.labels:
        name, fields, groups = LABELS[finding.labels[0]], int(figures["fields"]), int(figures["groups"])
        of = "" if groups == fields else f" of {groups} groups"
        return f"{name}: {fields} field{'' if fields == 1 else 's'}{of}"
    return stains
