"""Export a Run as a Bundle, with the reference that `monitor` compares with."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.folds import open_training
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.predict.fit_detector import MIN_KNOWN, DetectorFit, can_fit
from lociscope.predict.predictor import Predictor
from lociscope.predict.reference import measure_reference
from lociscope.processes.progress import show_nothing
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field
from lociscope.simulate.field import FIELDS_PER_SPECIMEN
from lociscope.splits.groups import group_ids
from lociscope.storage.paths import as_path
from lociscope.training.export import DEFAULT_LIMITS
from lociscope.training.trainer import get_trainer
from lociscope.workflows.out_of_distribution import KnownFields, add_detector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle, Reference
    from lociscope.artifacts.run import Run
    from lociscope.images.discovery.sources import FieldSource
    from lociscope.processes.progress import ProgressCallback, ProgressDisplay
    from lociscope.storage.paths import AnyPath

REFERENCE_SEED = 20_261_124
"""Seed of the simulated fields of a reference; a recipe with the same seed gets the next one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The result of `export_run`.

    Attributes:
        bundle: The Bundle as written.
        networks: Number of networks that it averages.
        difference: The largest difference of a probability between Keras and ONNX Runtime.
        has_reference: Whether `monitor` can compare fields with it.
        detector: The fitted out-of-distribution detector; None where the reference has fewer than 100 fields, or the
            input of the network is smaller than 64 px.
    """

    bundle: Bundle
    networks: int
    difference: float
    has_reference: bool
    detector: DetectorFit | None = None


def export_run(
    folder: AnyPath,
    output: AnyPath,
    *,
    name: str | None = None,
    licence: str = "Apache-2.0",
    limits: str = DEFAULT_LIMITS,
    catalog: AnyPath | None = None,
    reference: int = 384,
    workers: int = 1,
    progress: ProgressDisplay = show_nothing,
) -> ExportResult:
    """Export a Run, or the average of the networks of its folds, as a Bundle.

    Args:
        folder: A finished Run, or the folder of a cross-validation.
        output: The Bundle's folder.
        name: Its name in the card; None for that of the folder.
        licence: Licence of the weights.
        limits: Limitations of the model.
        catalog: The Catalog that the Run was trained on, whose validation fields are the reference. A Run that was
            trained on simulated fields needs none.
        reference: Number of fields of the reference; 0 for none.
        workers: Number of processes that simulate the reference.
        progress: Shows the progress.

    Raises:
        LociscopeError: The Run is not finished or has no network, the exported network differs from it, or the
            Catalog is another one.
    """
    folder = as_path(folder)
    output = as_path(output)
    catalog = as_path(catalog)
    run, runs = open_training(folder)
    with progress("exporting the network") as report:
        known: list[KnownFields] = []
        refer = _make_refer(run, runs[0], catalog, reference, workers, report, known)
        trainer = get_trainer(runs[0].read_recipe())
        difference = trainer.export(run, output, name or output.resolve().name, licence, limits, refer)
        bundle = read_bundle(output)
        fit = (
            add_detector(bundle, output, known[0], None, _describe_reference(bundle), report=report) if known else None
        )
    return ExportResult(bundle if fit is None else read_bundle(output), len(runs), difference, refer is not None, fit)


def _describe_reference(bundle: Bundle) -> str:
    return str((bundle.card.reference or {})["what"])


def _make_refer(
    run: Run,
    first: Run,
    catalog: Path | None,
    number: int,
    workers: int,
    report: ProgressCallback,
    known: list[KnownFields],
) -> Callable[[Bundle], tuple[Reference, dict[str, Any]]] | None:
    """Return the function that measures the reference of a Bundle; None if its fields are not known.

    The function adds to `known` what a detector learns from the fields, where they are enough for one.
    """
    data = first.read_recipe().data
    simulated = first.read_environment().data.kind == "simulated"
    if not number or (catalog is None and not simulated):
        return None

    def refer(bundle: Bundle) -> tuple[Reference, dict[str, Any]]:
        if catalog is None:
            seed = REFERENCE_SEED + (data.seed == REFERENCE_SEED)
            fields = simulate_fields(seed, number, workers)
            what = f"simulated fields, one of each specimen, of seed {seed}"
            kind: Literal["simulated", "catalog"] = "simulated"
        else:
            fields = _read_validation_fields(run, catalog, number)
            what = f"validation fields of the Run, of Catalog '{catalog.name}'"
            kind = "catalog"
        predictor = Predictor(bundle)
        if number >= MIN_KNOWN and can_fit(predictor):
            known.append(KnownFields(predictor))
            fields = known[0].observe(fields)
        return measure_reference(predictor, _report_each(fields, number, report), what, kind)

    return refer


def simulate_fields(seed: int, number: int, workers: int) -> Iterator[Field]:
    """Yield fields as `lociscope simulate atlas` simulates them, none of which was used in a training."""
    numbers = range(0, number * FIELDS_PER_SPECIMEN, FIELDS_PER_SPECIMEN)
    for made in map_in_order(partial(simulate_field, seed=seed), numbers, workers):
        yield Field(made.id, made.pixels, made.pixel_size)


def _read_validation_fields(run: Run, catalog: Path, number: int) -> Iterator[Field]:
    """Yield validation fields of the Run, of as many groups as possible; log a warning for those not readable."""
    table = Catalog.read(catalog)
    held = set(run.read_predictions().ids)
    seen: set[str] = set()
    first: list[FieldSource] = []
    more: list[FieldSource] = []
    for entry, source, group in zip(table, read_catalog_sources(table), group_ids(table), strict=True):
        if entry.id in held:
            (more if group in seen else first).append(source)
            seen.add(group)
    if not seen:
        raise LociscopeError(
            f"Catalog '{catalog}' holds none of the fields that Run '{run.folder}' was validated on. "
            "Name the Catalog that it was trained on.",
            code=Code.CONFLICT,
        )
    found = 0
    for source in (*first, *more):
        if found == number:
            return
        try:
            yield read_field(source)
            found += 1
        except LociscopeError as error:
            logger.warning("left out of the reference: %s", error)
    if not found:
        raise LociscopeError(
            f"No validation field of Catalog '{catalog}' can be read. Check its paths.", code=Code.NOT_FOUND
        )


def _report_each(fields: Iterator[Field], number: int, report: ProgressCallback) -> Iterator[Field]:
    for done, field in enumerate(fields, 1):
        yield field
        report(done, number, "measuring the reference")
