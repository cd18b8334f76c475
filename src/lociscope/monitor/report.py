"""The result of a drift check as data: kinds, counts and figures. `lociscope.monitor.describe` renders them as text."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from lociscope.channels import ChannelName

SCHEMA = 3
"""Version of `DriftReport`. Version 1 had text in place of kinds, and called locations places; version 2 had no causes,
and called every significant difference moved, however small."""


class Part(StrEnum):
    """What a check compares; the value is its name in reports."""

    LOCATIONS = "locations"
    PIXELS = "pixel statistics"
    INPUT_PIXELS = "pixel statistics at the scale of the input"
    """The pixel statistics that depend on the input size of the model."""
    EMBEDDINGS = "embeddings"


class Side(StrEnum):
    """The two samples of a comparison."""

    WINDOW = "window"
    REFERENCE = "reference"


class Reason(StrEnum):
    """Why a part was not compared."""

    OTHER_BUNDLE = "other-bundle"
    """The window and the reference were predicted by different bundles."""
    NO_STATISTICS = "no-statistics"
    """`sides` has no pixel statistics."""
    NO_EMBEDDINGS = "no-embeddings"
    """`sides` has no embeddings, or not of all its fields."""
    OTHER_LENGTH = "other-length"
    """The embeddings differ in length, so they come from different models."""


class NoteKind(StrEnum):
    """What a reader should know about a check."""

    OTHER_BUNDLES = "other-bundles"
    """`count` rows of the log were left out because another bundle predicted them."""
    SIMULATED_REFERENCE = "simulated-reference"
    """The window drifted from a reference of simulated fields, as real fields always do."""
    UNGROUPED = "ungrouped"
    """The window drifted, and fields were not grouped by plate or specimen."""
    UNKNOWN_BUNDLE = "unknown-bundle"
    """Nothing records which bundle predicted `sides`."""
    REPEATED = "repeated"
    """`count` rows repeat a field that was predicted before."""
    OVERLAP = "overlap"
    """`count` fields are both in the window and in the reference."""
    SMALL_WINDOW = "small-window"
    """The window has so few fields that only large shifts are detected."""
    NOT_FINITE = "not-finite"
    """`count` fields were left out because their figures are not finite."""
    GREEN_LEVEL = "green-level"
    """The brightness of the protein channel moved, which alone is no drift: it differs between antibodies."""


class CauseKind(StrEnum):
    """What may have changed, from how the statistics moved together."""

    MISSING_CHANNEL = "missing-channel"
    """`channels` were not imaged."""
    EMPTY_CHANNEL = "empty-channel"
    """`channels` were imaged and show nothing."""
    SWAPPED_CHANNELS = "swapped-channels"
    """The statistics of `channels` fit better when the channels are exchanged."""
    GAIN = "gain"
    """The signal of `channels` is `value` times as strong: detector gain, filter, or staining."""
    EXPOSURE = "exposure"
    """The signal of all stained channels is about `value` times as strong: exposure time, lamp, or a common gain."""
    OFFSET = "offset"
    """`value` grey levels were added to every pixel of `channels`: camera offset, stray light, medium."""
    BLEACHING = "bleaching"
    """The signal of `channels` falls within the window, to `value` times its start: bleaching, or a fading lamp."""
    DEFOCUS = "defocus"
    """`channels` lack fine detail: out of focus."""
    NOISE = "noise"
    """`channels` have more noise."""
    PIXEL_SIZE = "pixel-size"
    """Structures have another size: another objective or pixel size than declared."""
    LABEL_MIX = "label-mix"
    """Other proteins: the locations occur in other shares, and fields of the same location look as before."""
    OTHER_CELLS = "other-cells"
    """The stains of the cell look different: another cell line, a treatment, or another fixation."""
    NEW_PATTERN = "new-pattern"
    """The protein looks different and nothing else does: patterns that the reference does not have."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NotChecked(_Frozen):
    """A part that was not compared, or not completely."""

    part: Part
    reason: Reason
    sides: tuple[Side, ...] = ()
    bundles: tuple[str, ...] = Field((), description="sha256 of the window's bundle and of the reference's.")


class Note(_Frozen):
    """A remark about a check."""

    kind: NoteKind
    count: int | None = None
    sides: tuple[Side, ...] = ()


class Cause(_Frozen):
    """What may have changed."""

    kind: CauseKind
    channels: tuple[ChannelName, ...] = ()
    value: float | None = Field(None, description="How much; `CauseKind` says in which unit.")


class Finding(_Frozen):
    """The result of one test."""

    p: float = Field(description="Corrected for all tests.")
    moved: bool = Field(description="Whether p is at most the level, and the difference is not negligible.")


class StatisticFinding(Finding):
    """The comparison of one pixel statistic: the quantiles (5, 25, 50, 75, 95 %) of both samples."""

    name: str
    window: tuple[float, ...]
    reference: tuple[float, ...]
    distance: float = Field(description="Largest difference of the cumulative distributions, 0–1.")


class EmbeddingFinding(Finding):
    """The comparison of the embeddings by their maximum mean discrepancy."""

    mmd2: float


class LocationFinding(Finding):
    """The comparison of how many fields are assigned one location."""

    number: int
    label: str
    window: int
    reference: int
    estimate: float | None = Field(
        None, description="Share of the window's fields with this location, if only the mix of locations has changed."
    )


class DriftReport(_Frozen):
    """The result of a drift check, which `lociscope monitor check --json` prints."""

    schema_: int = Field(SCHEMA, alias="schema")
    window: str
    fields: int
    groups: int | None = Field(None, description="Groups of fields that belong together, if fields were grouped.")
    reference: str
    reference_fields: int
    level: float
    drifted: bool = Field(description="Whether anything has moved besides the brightness of the protein channel.")
    causes: list[Cause] = Field([], description="What may have changed, the most certain first.")
    checked: list[Part] = Field(description="What was compared: locations, pixel statistics, embeddings.")
    not_checked: list[NotChecked] = Field(description="What of these was not compared, and why.")
    statistics: list[StatisticFinding]
    embedding: EmbeddingFinding | None
    locations: list[LocationFinding]
    notes: list[Note]
