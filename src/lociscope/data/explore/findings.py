"""Findings about the fields of a Catalog, as data: their kinds, worst first, and the fields that they are about."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.channels import ChannelName


class FindingKind(StrEnum):
    """What a finding is about; the order is that of severity, worst first."""

    UNREADABLE = "unreadable"
    SWAPPED_CHANNELS = "swapped-channels"
    REPEATED_CHANNEL = "repeated-channel"
    MISSING_CHANNEL = "missing-channel"
    BLANK = "blank"
    """A channel without structure; a blank field has four."""
    DUPLICATES_ACROSS_PARTS = "duplicates-across-parts"
    DUPLICATES_WITH_OTHER_LABELS = "duplicates-with-other-labels"
    CONTRADICTED_LABELS = "contradicted-labels"
    DUPLICATES = "duplicates"
    SATURATED = "saturated"
    BLURRED = "blurred"
    OUTLIER = "outlier"
    FAINT_CHANNEL = "faint-channel"
    OTHER_SIZE = "other-size"
    CLASS_ABSENT = "class-absent"
    CLASS_TOO_RARE = "class-too-rare"


SEVERITY = {kind: rank for rank, kind in enumerate(FindingKind)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        kind: What it is about.
        ids: The fields; empty for a finding about a class. Those of the test Catalog are in `test_ids`.
        score: Rank within the kind, higher is worse; each kind has its own scale.
        channels: The channels concerned.
        labels: The classes concerned: the labels that the picture contradicts, or the class that is rare.
        suggested: Classes that the picture supports instead.
        figures: Measured values by name.
        test_ids: The fields of the test Catalog.
        reason: The error message of a field that cannot be read.
    """

    kind: FindingKind
    ids: tuple[str, ...] = ()
    score: float = 0.0
    channels: tuple[ChannelName, ...] = ()
    labels: tuple[int, ...] = ()
    suggested: tuple[int, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    test_ids: tuple[str, ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the finding for the JSON file, without attributes that are empty."""
        found = {"kind": str(self.kind), **{name: value for name, value in asdict(self).items() if name != "kind"}}
        return {name: value for name, value in found.items() if name in ("kind", "ids", "score") or value}


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, and within a kind by score, worst first."""
    return sorted(findings, key=lambda each: (SEVERITY[each.kind], -each.score, each.ids, each.labels))
