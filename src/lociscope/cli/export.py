"""`lociscope export`: a Run becomes a Bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lociscope.artifacts.bundle import Bundle, Reference
    from lociscope.artifacts.run import Run
    from lociscope.images.discovery.sources import FieldSource
    from lociscope.images.field import Field
    from lociscope.processes.progress import ProgressCallback

REFERENCE_SEED = 20_261_124
"""Seed of the simulated fields of a reference; a recipe that draws with the same is drawn with the next one."""


def export(
    run: Annotated[
        Path, typer.Argument(help="A finished Run, or the folder of `train --folds`: its networks are averaged.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Bundle to make.")] = Path("bundle"),
    name: Annotated[str | None, typer.Option(help="Its name in the card; by default the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, SPDX.")] = "Apache-2.0",
    limits: Annotated[str | None, typer.Option(help="What the model is not, for the card.")] = None,
    catalog: Annotated[
        Path | None, typer.Option("--catalog", "-c", help="The Catalog that the Run learned from, for its reference.")
    ] = None,
    reference: Annotated[
        int,
        typer.Option("--reference", min=0, help="Fields of the reference that `monitor` compares with; 0 for none."),
    ] = 384,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw the reference's fields.")] = 2,
) -> None:
    """Export a network as a Bundle: ONNX compared with Keras, scored, hashed, self-testing, with a reference."""
    from lociscope.artifacts.folds import open_training
    from lociscope.training import export as exporting

    opened, runs = open_training(run)
    words = exporting.DEFAULT_LIMITS if limits is None else limits
    with console.progress("measuring the reference") as tell:
        refer = _refer(opened, runs[0], catalog, reference, workers, tell)
        difference = exporting.export(opened, output, name or output.resolve().name, licence, words, refer)
    print(f"{output} (ONNX differs from Keras by {difference:.1g} at most)")
    if refer is None and reference:
        console.note("no reference.npz: name the Catalog that the Run learned from with --catalog, to monitor drift")


def _refer(
    run: Run, first: Run, catalog: Path | None, number: int, workers: int, tell: ProgressCallback
) -> Callable[[Bundle], tuple[Reference, dict[str, Any]]] | None:
    """What measures the reference of a bundle before it is written; None where its fields are not known."""
    data = first.read_recipe().data
    drawn = first.read_environment().data.kind == "simulated"
    if not number or (catalog is None and not drawn):
        return None

    def refer(bundle: Bundle) -> tuple[Reference, dict[str, Any]]:
        from lociscope.predict.predictor import Predictor
        from lociscope.predict.reference import measure_reference

        if catalog is None:
            seed = REFERENCE_SEED + (data.seed == REFERENCE_SEED)
            fields, what = _drawn(seed, number, workers), f"simulated fields, one of each specimen, of seed {seed}"
        else:
            fields, what = _held_out(run, catalog, number), f"validation fields of the Run, of Catalog '{catalog.name}'"
        return measure_reference(Predictor(bundle), _told(fields, number, tell), what)

    return refer


def _drawn(seed: int, number: int, workers: int) -> Iterator[Field]:
    """Fields as `lociscope simulate atlas` draws them, of which no training has seen one."""
    from functools import partial

    from lociscope.images.field import Field
    from lociscope.processes.workers import map_in_order
    from lociscope.simulate import simulate_field
    from lociscope.simulate.field import FIELDS_PER_SPECIMEN

    numbers = range(0, number * FIELDS_PER_SPECIMEN, FIELDS_PER_SPECIMEN)
    for made in map_in_order(partial(simulate_field, seed=seed), numbers, workers):
        yield Field(made.id, made.pixels, made.pixel_size)


def _held_out(run: Run, catalog: Path, number: int) -> Iterator[Field]:
    """Fields that the Run did not learn from, those of unlike specimens first; what cannot be read is passed over."""
    from lociscope.artifacts.catalog import Catalog
    from lociscope.images.discovery.sources import read_catalog_sources
    from lociscope.images.io.read import read_field

    table = Catalog.read(catalog)
    held = set(run.read_predictions().ids)
    seen: set[str] = set()
    first: list[FieldSource] = []
    more: list[FieldSource] = []
    for entry, source in zip(table, read_catalog_sources(table), strict=True):
        if entry.id in held:
            group = entry.specimen or entry.antibody or entry.id
            (more if group in seen else first).append(source)
            seen.add(group)
    if not seen:
        raise LociscopeError(
            f"Catalog '{catalog}' holds none of the fields that Run '{run.folder}' was validated on. "
            "Name the Catalog that it learned from.",
            code=Code.INVALID_VALUE,
        )
    found = 0
    for source in (*first, *more):
        if found == number:
            return
        try:
            yield read_field(source)
            found += 1
        except LociscopeError as error:
            console.note(f"left out of the reference: {error}")
    if not found:
        raise LociscopeError(
            f"No validation field of Catalog '{catalog}' can be read. Check its paths.", code=Code.INVALID_VALUE
        )


def _told(fields: Iterator[Field], number: int, tell: ProgressCallback) -> Iterator[Field]:
    for done, field in enumerate(fields, 1):
        yield field
        tell(done, number)
