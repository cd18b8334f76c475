"""Describe a drift report in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lociscope.channels import CHANNELS
from lociscope.monitor.report import CauseKind, NoteKind, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.monitor.report import (
        Cause,
        DriftReport,
        LocationFinding,
        NotChecked,
        Note,
        Side,
        StatisticFinding,
    )


class Wording(NamedTuple):
    """How to describe a change of one statistic: lower, higher, its figure with unit, and decimal digits."""

    lower: str
    higher: str
    figure: str
    unit: str
    digits: int


_WORDINGS = {
    "BackgroundIntensity": Wording(
        "has a darker background", "has a brighter background", "1st percentile", " grey levels", 1
    ),
    "MedianIntensity": Wording("is darker", "is brighter", "median", " grey levels", 1),
    "BrightIntensity": Wording(
        "has dimmer bright parts", "has brighter bright parts", "99th percentile", " grey levels", 0
    ),
    "PercentMaximal": Wording("is less saturated", "is more saturated", "at full scale", " % of pixels", 2),
    "PercentMinimal": Wording(
        "shows less dark background", "shows more dark background", "at the bottom", " % of pixels", 1
    ),
    "PowerLogLogSlope": Wording(
        "is blurrier, or has less noise", "has more noise, or finer structures", "slope of the spectrum", "", 2
    ),
    "parts": Wording(
        "separates less clearly into dark and bright", "separates more clearly into dark and bright", "contrast", "", 2
    ),
    "Correlation": Wording("are less similar", "are more similar", "correlation", "", 2),
}


def describe_findings(report: DriftReport) -> list[str]:
    """Return one line for each channel, pair of channels or location that moved, the clearest first.

    Only the statistic of a channel that moved most is described; the others are counted.
    """
    subjects: dict[str, list[StatisticFinding]] = {}
    for each in sorted((each for each in report.statistics if each.moved), key=lambda each: -each.distance):
        subjects.setdefault(_name_channels(each.name), []).append(each)
    lines = [_describe_channels(name, findings) for name, findings in subjects.items()]
    if report.embedding and report.embedding.moved:
        alone = ", although no pixel statistic has" if report.statistics and not lines else ""
        lines.append(f"The embeddings of the network have moved{alone} (MMD² {report.embedding.mmd2:.2f}).")
    moved = sorted((each for each in report.locations if each.moved), key=lambda each: each.p)
    return lines + [_describe_location(each, report.fields, report.reference_fields) for each in moved]


def describe_cause(cause: Cause) -> str:
    """Return what may have changed, as a sentence that names stains."""
    names = _name_stains(cause.channels)
    value = cause.value
    match cause.kind:
        case CauseKind.MISSING_CHANNEL:
            return f"{names}: not imaged."
        case CauseKind.EMPTY_CHANNEL:
            return f"{names}: empty. Check the stain, the filter and the shutter."
        case CauseKind.SWAPPED_CHANNELS:
            return f"{names}: exchanged, as far as their statistics show. Check the names of the files' channels."
        case CauseKind.GAIN:
            return f"{names}: signal × {value:.2g}, from gain, exposure of this channel, filter or staining."
        case CauseKind.EXPOSURE:
            return f"All stains: signal × {value:.2g}, from exposure, lamp or a common gain."
        case CauseKind.OFFSET:
            return (
                f"{names}: {value:+.0f} grey levels on every pixel, from the camera's offset or stray light.".replace(
                    "-", "−"
                )
            )
        case CauseKind.BLEACHING:
            left = 100 * (value or 0)
            return f"{names}: signal falls to {left:.0f} % within the window, from bleaching or a fading lamp."
        case CauseKind.DEFOCUS:
            return f"{names}: less fine detail, from focus, a cover glass, less resolution, or smoother cells."
        case CauseKind.NOISE:
            return f"{names}: more noise."
        case CauseKind.PIXEL_SIZE:
            return "Structures have another size: check the objective, the binning and the declared pixel size."
        case CauseKind.LABEL_MIX:
            return "Other proteins: locations occur in other shares, and fields of the same location look as before."
        case CauseKind.OTHER_CELLS:
            return "The cells look different: another cell line, a treatment, fixation or staining."
        case CauseKind.NEW_PATTERN:
            return "Only the protein looks different: patterns that the reference does not have."


def describe_shift(finding: StatisticFinding) -> str:
    """Return how a statistic moved: `is darker: median 3 against 9 grey levels in the reference`."""
    wording = _WORDINGS[finding.name.partition("_")[0]]
    here, there = (f"{side[2]:.{wording.digits}f}".replace("-", "−") for side in (finding.window, finding.reference))
    if here == there:
        middle = f"{wording.figure} {there}{wording.unit} in both"
        wide = finding.window[4] - finding.window[0] > finding.reference[4] - finding.reference[0]
        plural = finding.name.startswith("Correlation")
        return f"{'vary' if plural else 'varies'} {'more' if wide else 'less'} from field to field: {middle}"
    direction = wording.lower if finding.window[2] < finding.reference[2] else wording.higher
    return f"{direction}: {wording.figure} {here} against {there}{wording.unit} in the reference"


def describe_obstacle(obstacle: NotChecked) -> str:
    """Return why a part was not compared."""
    match obstacle.reason:
        case Reason.OTHER_BUNDLE:
            window, reference = obstacle.bundles
            return f"Bundle {window[:12]} predicted the window, and bundle {reference[:12]} predicted the reference."
        case Reason.NO_STATISTICS:
            return f"{_name_sides(obstacle.sides)} none; a log and the reference of a bundle have them."
        case Reason.NO_EMBEDDINGS:
            return (
                f"{_name_sides(obstacle.sides)} none, or not of all fields. Predict with a log, or keep the "
                "embeddings in the Predictions (.parquet)."
            )
        case Reason.OTHER_LENGTH:
            return "They differ in length, so they come from two models."


def describe_note(note: Note, report: DriftReport) -> str:
    """Return a note as text."""
    match note.kind:
        case NoteKind.OTHER_BUNDLES:
            return f"{_count(note.count or 0)} of other bundles in that time left out."
        case NoteKind.SIMULATED_REFERENCE:
            return (
                "Real fields differ from simulated ones whatever the microscope does. Compare with fields of your own "
                "that you trust: a log as `reference`, up to `reference_until`."
            )
        case NoteKind.UNGROUPED:
            return (
                "Fields of one plate or specimen are similar; pass as `group` what their ids share, to count them as "
                "one."
            )
        case NoteKind.UNKNOWN_BUNDLE:
            return (
                f"Nothing records which bundle predicted the {' and the '.join(note.sides)}: locations and embeddings "
                "of two models differ whatever the fields are."
            )
        case NoteKind.REPEATED:
            return f"{note.count} rows are of fields that were predicted more than once; each field counts once."
        case NoteKind.OVERLAP:
            return f"{note.count} fields are both in the window and in the reference: they mask a shift."
        case NoteKind.NOT_FINITE:
            verb = "has" if note.count == 1 else "have"
            return f"{_count(note.count or 0)} {verb} statistics that are not finite, and count nothing."
        case NoteKind.GREEN_LEVEL:
            return "The brightness of the protein channel differs, which does not alarm: it differs between antibodies."
        case NoteKind.SMALL_WINDOW:
            return f"A window of {count_fields(report.fields, report.groups)} shows only large shifts."


def count_fields(fields: int, groups: int | None) -> str:
    """Return the number of fields, and of their groups if they are grouped."""
    return _count(fields) + ("" if groups is None else f" in {groups} groups")


def _count(fields: int) -> str:
    return f"{fields} field{'' if fields == 1 else 's'}"


def _join_stains(channels: Sequence[str]) -> str:
    return " and ".join(channel.stain for channel in CHANNELS if channel.name in channels)


def _name_stains(channels: Sequence[str]) -> str:
    """Return channels by their stains: `Microtubules (red) and nucleus (blue)`."""
    if len(channels) == len(CHANNELS):
        return "All channels"
    names = [f"{channel.stain} ({channel.name})" for channel in CHANNELS if channel.name in channels]
    text = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return text[:1].upper() + text[1:]


def _name_sides(sides: Sequence[Side]) -> str:
    return "The window and the reference have" if len(sides) > 1 else f"The {sides[0]} has"


def _name_channels(statistic: str) -> str:
    channels = statistic.split("_")[1:]
    return f"the {' and '.join(channels)} channel{'s' if len(channels) > 1 else ''} ({_join_stains(channels)})"


def _describe_channels(name: str, moved: list[StatisticFinding]) -> str:
    others = f", and {len(moved) - 1} more of its figures" if len(moved) > 1 else ""
    return f"{name[:1].upper()}{name[1:]} {describe_shift(moved[0])}{others}."


def _describe_location(finding: LocationFinding, n: int, m: int) -> str:
    less = finding.window * m < finding.reference * n
    return (
        f"{finding.label} is found {'less' if less else 'more'} often: in {finding.window} of {n} fields against "
        f"{finding.reference} of {m}."
    )
