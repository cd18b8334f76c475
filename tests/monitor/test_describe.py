"""The text of a drift report."""

from __future__ import annotations

from typing import Any

import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.statistics import STATISTICS
from lociscope.monitor.describe import (
    count_fields,
    describe_cause,
    describe_findings,
    describe_note,
    describe_obstacle,
    describe_shift,
)
from lociscope.monitor.report import (
    Cause,
    CauseKind,
    DriftReport,
    EmbeddingFinding,
    LocationFinding,
    NotChecked,
    Note,
    NoteKind,
    Part,
    Reason,
    Side,
    StatisticFinding,
)


def make_report(**values: Any) -> DriftReport:
    """Return the report of a window in which nothing moved, with some values replaced."""
    report = DriftReport(
        schema=2, window="log 'a.db'", fields=40, groups=None, reference="log 'b.db'", reference_fields=100, level=0.05,
        drifted=False, checked=[], not_checked=[], statistics=[], embedding=None, locations=[], notes=[],
    )  # fmt: skip
    return report.model_copy(update=values)


def finding(name: str, here: float, there: float, *, distance: float = 0.5, moved: bool = True) -> StatisticFinding:
    sides = [tuple(middle + step for step in (-2, -1, 0, 1, 2)) for middle in (here, there)]
    return StatisticFinding(name=name, window=sides[0], reference=sides[1], distance=distance, p=0.01, moved=moved)


@pytest.mark.parametrize(
    ("name", "here", "there", "expected"),
    [
        ("MedianIntensity_green", 3, 9, "is darker: median 3.0 against 9.0 grey levels in the reference"),
        (
            "BackgroundIntensity_red", 9, 3,
            "has a brighter background: 1st percentile 9.0 against 3.0 grey levels in the reference",
        ),
        (
            "PowerLogLogSlope_blue", -3.5, -3,
            "is blurrier, or has less noise: slope of the spectrum −3.50 against −3.00 in the reference",
        ),
        ("Correlation_red_blue", 0.5, 0.1, "are more similar: correlation 0.50 against 0.10 in the reference"),
        ("MedianIntensity_green", 3, 3.01, "varies less from field to field: median 3.0 grey levels in both"),
    ],
)  # fmt: skip
def test_describe_shift(name: str, here: float, there: float, expected: str) -> None:
    assert describe_shift(finding(name, here, there)) == expected


def test_a_wider_distribution_varies_more() -> None:
    wide = finding("Correlation_red_blue", 0, 0).model_copy(update={"window": (-9.0, -1.0, 0.0, 1.0, 9.0)})
    assert describe_shift(wide) == "vary more from field to field: correlation 0.00 in both"


def test_every_statistic_has_a_wording() -> None:
    for name in STATISTICS:
        assert describe_shift(finding(name, 1, 2)) != describe_shift(finding(name, 2, 1))


def test_a_channel_is_described_once_by_the_statistic_that_moved_most() -> None:
    statistics = [
        finding("MedianIntensity_green", 3, 9, distance=0.4),
        finding("BrightIntensity_green", 30, 90, distance=0.9),
        finding("MedianIntensity_red", 5, 9, moved=False),
        finding("Correlation_green_blue", 0.1, 0.4, distance=0.6),
    ]
    locations = [
        LocationFinding(number=0, label="Nucleoplasm", window=3, reference=60, p=0.02, moved=True),
        LocationFinding(number=1, label="Nuclear membrane", window=9, reference=9, p=0.001, moved=True),
        LocationFinding(number=2, label="Nucleoli", window=0, reference=9, p=1, moved=False),
    ]
    embedding = EmbeddingFinding(mmd2=0.123, p=0.003, moved=True)
    assert describe_findings(make_report(statistics=statistics, embedding=embedding, locations=locations)) == [
        "The green channel (protein) has dimmer bright parts: 99th percentile 30 against 90 grey levels in the "
        "reference, and 1 more of its figures.",
        "The green and blue channels (protein and nucleus) are less similar: correlation 0.10 against 0.40 in the "
        "reference.",
        "The embeddings of the network have moved (MMD² 0.12).",
        "Nuclear membrane is found more often: in 9 of 40 fields against 9 of 100.",
        "Nucleoplasm is found less often: in 3 of 40 fields against 60 of 100.",
    ]


def test_nothing_that_moved_gives_no_lines() -> None:
    still = EmbeddingFinding(mmd2=0, p=1, moved=False)
    statistics = [finding("parts_red", 1, 2, moved=False)]
    assert describe_findings(make_report(statistics=statistics, embedding=still)) == []
    moved = still.model_copy(update={"moved": True})
    assert describe_findings(make_report(embedding=moved)) == ["The embeddings of the network have moved (MMD² 0.00)."]
    (line,) = describe_findings(make_report(statistics=statistics, embedding=moved))
    assert "although no pixel statistic has" in line


@pytest.mark.parametrize(
    ("reason", "sides", "expected"),
    [
        (
            Reason.OTHER_BUNDLE, (),
            "Bundle aaaaaaaaaaaa predicted the window, and bundle bbbbbbbbbbbb predicted the reference.",
        ),
        (
            Reason.NO_STATISTICS, (Side.WINDOW,),
            "The window has none; a log and the reference of a bundle have them.",
        ),
        (
            Reason.NO_EMBEDDINGS, (Side.WINDOW, Side.REFERENCE),
            "The window and the reference have none, or not of all fields. Predict with a log, or keep the embeddings "
            "in the Predictions (.parquet).",
        ),
        (Reason.OTHER_LENGTH, (), "They differ in length, so they come from two models."),
    ],
)  # fmt: skip
def test_describe_obstacle(reason: Reason, sides: tuple[Side, ...], expected: str) -> None:
    bundles = ("a" * 64, "b" * 64) if reason is Reason.OTHER_BUNDLE else ()
    obstacle = NotChecked(part=Part.EMBEDDINGS, reason=reason, sides=sides, bundles=bundles)
    assert describe_obstacle(obstacle) == expected


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        (Note(kind=NoteKind.GREEN_LEVEL), "The brightness of the protein channel differs, which does not alarm"),
        (Note(kind=NoteKind.NOT_FINITE, count=2), "2 fields have statistics that are not finite"),
        (Note(kind=NoteKind.OTHER_BUNDLES, count=1), "1 field of other bundles in that time left out."),
        (Note(kind=NoteKind.SIMULATED_REFERENCE), "Real fields differ from simulated ones"),
        (Note(kind=NoteKind.UNGROUPED), "Fields of one plate or specimen are similar; pass as `group`"),
        (
            Note(kind=NoteKind.UNKNOWN_BUNDLE, sides=(Side.WINDOW, Side.REFERENCE)),
            "Nothing records which bundle predicted the window and the reference:",
        ),
        (Note(kind=NoteKind.REPEATED, count=90), "90 rows are of fields that were predicted more than once;"),
        (Note(kind=NoteKind.OVERLAP, count=3), "3 fields are both in the window and in the reference:"),
        (Note(kind=NoteKind.SMALL_WINDOW), "A window of 40 fields shows only large shifts."),
    ],
)
def test_describe_note(note: Note, expected: str) -> None:
    assert describe_note(note, make_report()).startswith(expected)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (Cause(kind=CauseKind.GAIN, channels=("red",), value=0.7), "Microtubules (red): signal × 0.7, from gain"),
        (Cause(kind=CauseKind.EXPOSURE, channels=("red", "blue"), value=1.5), "All stains: signal × 1.5,"),
        (
            Cause(kind=CauseKind.OFFSET, channels=("green", "blue"), value=-12),
            "Protein (green) and nucleus (blue): −12 grey levels",
        ),
        (Cause(kind=CauseKind.BLEACHING, channels=("red",), value=0.4), "Microtubules (red): signal falls to 40 %"),
        (
            Cause(kind=CauseKind.SWAPPED_CHANNELS, channels=("red", "green", "blue")),
            "Microtubules (red), protein (green) and nucleus (blue): exchanged",
        ),
        (Cause(kind=CauseKind.DEFOCUS, channels=CHANNEL_NAMES), "All channels: less fine detail"),
    ],
)  # fmt: skip
def test_describe_cause(cause: Cause, expected: str) -> None:
    assert describe_cause(cause).startswith(expected)


def test_no_cause_and_no_statistic_is_called_sharper() -> None:
    texts = [describe_cause(Cause(kind=kind, channels=("red",), value=2)) for kind in CauseKind]
    texts += [describe_shift(finding(name, 2, 1)) for name in STATISTICS]
    assert len({*texts[: len(CauseKind)]}) == len(CauseKind)
    assert not any("sharp" in text for text in texts)


def test_count_fields() -> None:
    assert [count_fields(1, None), count_fields(40, 8)] == ["1 field", "40 fields in 8 groups"]
