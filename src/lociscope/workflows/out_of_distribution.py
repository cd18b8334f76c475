"""Fit the out-of-distribution detector of a bundle, which gives fields the status `unlike-training`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lociscope.artifacts.bundle import read_bundle, write_bundle
from lociscope.artifacts.card import OutOfDistribution
from lociscope.data.unlike_pictures import make_pictures
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.predict.fit_detector import (
    FALSE_ALARMS,
    MIN_KNOWN,
    DetectorFit,
    Rows,
    can_fit,
    fit_detector,
    make_variants,
    measure_rows,
)
from lociscope.predict.out_of_distribution import encode_detector
from lociscope.predict.predictor import Predictor
from lociscope.processes.progress import ProgressCallback, ignore_progress, show_nothing
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field
from lociscope.simulate.field import FIELDS_PER_SPECIMEN
from lociscope.storage.paths import as_path, as_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.storage.paths import AnyPath

SEED = 20_261_124
PICTURES = 100
"""Generated pictures of each kind."""
_BASES = 50


@dataclass(slots=True)
class KnownFields:
    """Measures fields while another consumer reads them, with variants of each: crops, and empty channels."""

    predictor: Predictor
    parts: list[Rows] = dataclass_field(default_factory=list)
    bases: list[np.ndarray] = dataclass_field(default_factory=list)

    def observe(self, fields: Iterable[Field]) -> Iterator[Field]:
        """Yield the fields."""
        for number, field in enumerate(fields):
            rows = measure_rows(self.predictor, make_variants(field, number))
            self.parts.append(replace(rows, group=np.full(len(rows), number)))
            if len(self.bases) < _BASES:
                self.bases.append(field.pixels)
            yield field


def fit_out_of_distribution(
    bundle: AnyPath | None,
    output: AnyPath,
    known: AnyPath | Sequence[AnyPath] = (),
    *,
    rules: Rules = DEFAULT_RULES,
    false_alarms: float = FALSE_ALARMS,
    fields: int = 384,
    workers: int = 1,
    progress: ProgressDisplay = show_nothing,
) -> DetectorFit:
    """Fit the detector of a bundle and write it into a copy, or into the bundle itself.

    Args:
        bundle: The bundle; None is the one that ships with lociscope. An earlier detector is replaced.
        output: The folder of the new bundle; it may be that of `bundle`.
        known: Folders, zips, picture files, Catalogs of fields that the bundle should know: real ones. They set the
            threshold; without any, simulated fields do.
        rules: How their file names are parsed.
        false_alarms: Share of known fields that may be marked, 0–1.
        fields: Number of simulated fields, at least `MIN_KNOWN`.
        workers: Number of processes that simulate.
        progress: Shows the progress.

    Returns:
        The detector and its scores.

    Raises:
        UsageError: `false_alarms` or `fields` is out of range.
        LociscopeError: The bundle or a source cannot be read, or the input of its model is too small.
    """
    if not 0 < false_alarms < 1:
        raise UsageError(
            f"The false-alarm rate is {false_alarms}; expected 0–1, such as 0.04.", code=Code.INVALID_VALUE
        )
    if fields < MIN_KNOWN:
        raise UsageError(
            f"{fields} simulated fields are too few; expected {MIN_KNOWN} or more.", code=Code.INVALID_VALUE
        )
    opened = read_bundle(as_path(bundle))
    predictor = Predictor(opened)
    _check_input(predictor)
    sources = as_paths(known) if known else []
    with progress("fitting the detector") as report:
        real = _read_known(predictor, sources, rules, report) if sources else None
        collected = KnownFields(predictor)
        for done, _ in enumerate(collected.observe(_simulate(fields, workers)), 1):
            report(done, fields)
        what = ", ".join("/".join(path.parts[-2:]) for path in sources) or f"simulated fields of seed {SEED}"
        return add_detector(opened, as_path(output), collected, real, what, false_alarms, report)


def add_detector(
    bundle: Bundle,
    output: Path,
    known: KnownFields,
    real: Rows | None,
    what: str,
    false_alarms: float = FALSE_ALARMS,
    report: ProgressCallback = ignore_progress,
) -> DetectorFit:
    """Fit a detector and write the bundle with it.

    Args:
        bundle: The bundle without it.
        output: Where to write.
        known: Fields like those of the training.
        real: Other known fields, which set the threshold.
        what: Which fields set the threshold, for the card.
        false_alarms: Share of known fields that may be marked.
        report: Called with (done, total) for the generated pictures.
    """
    pictures = make_pictures(known.bases, PICTURES)
    unlike = measure_rows(known.predictor, _generate(pictures, report))
    fit = fit_detector(Rows.join(known.parts), real, unlike, false_alarms)
    described = OutOfDistribution(
        false_alarms=false_alarms,
        threshold=round(fit.detector.threshold, 4),
        fields=len(fit.held_out),
        what=what,
        detected=round(fit.unlike, 4),
    )
    card = msgspec.structs.replace(bundle.card, out_of_distribution=described)
    extra = {"detector.npz": encode_detector(fit.detector)}
    if bundle.reference is not None:
        extra["reference.npz"] = bundle.reference
    if (keras := bundle.folder / "model.keras").exists():
        extra["model.keras"] = keras.read_bytes()
    write_bundle(output, card, bundle.model, bundle.selftest, extra, [member.folder for member in bundle.members])
    return fit


def _check_input(predictor: Predictor) -> None:
    if not can_fit(predictor):
        spec = predictor.bundle.card.input
        raise LociscopeError(
            f"Bundle '{predictor.bundle.folder}' has an input of {spec.height} × {spec.width} px, too small to "
            "recognise other pictures. Use a model with an input of 64 px or more.",
            code=Code.INVALID_VALUE,
        )


def _read_known(predictor: Predictor, sources: list[Path], rules: Rules, report: ProgressCallback) -> Rows:
    """Measure real fields; one that cannot be read is an error, since nobody would notice that it is missing."""
    found: list[FieldSource] = []
    for source in sources:  # each by itself: a field may occur in two of them
        some, failures = find_fields([source], rules)
        if failures:
            raise LociscopeError(f"{failures[0].reason} Correct or remove '{failures[0].path}'.", code=Code.UNREADABLE)
        found += some

    def read() -> Iterator[Field]:
        for done, source in enumerate(found, 1):
            yield read_field(source)
            report(done, len(found))

    return measure_rows(predictor, read())


def _simulate(number: int, workers: int) -> Iterator[Field]:
    numbers = range(0, number * FIELDS_PER_SPECIMEN, FIELDS_PER_SPECIMEN)
    for made in map_in_order(partial(simulate_field, seed=SEED), numbers, workers):
        yield Field(made.id, made.pixels, made.pixel_size)


def _generate(pictures: Sequence[Callable[[], Field]], report: ProgressCallback) -> Iterator[Field]:
    for done, generate in enumerate(pictures, 1):
        yield generate()
        report(done, len(pictures))
