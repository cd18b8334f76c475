"""`lociscope demo`: the whole story in miniature, each step as its own command does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lociscope.cli import console
from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog

Result = TypeVar("Result")
HELD_FOR_TEST = 0.2
"""Share of the fields that the training never sees."""
HELD_FOR_VALIDATION = 0.15
"""Share of the others on which epoch and threshold are chosen."""

BATCH = 16
"""Small, so that few fields give many steps."""


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path("demo"),
    data: Annotated[Path | None, typer.Option(help="Tell the story on these fields instead of simulated ones.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Their labels, a CSV Id,Target.")] = None,
    fields: Annotated[int, typer.Option(min=10, help="Simulated fields to draw.")] = 500,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training fields.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="Seed of fields, split and training.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw and threads that read.")] = 2,
) -> None:
    """Tell the whole story in miniature: draw fields, train LeNet-5, export, predict new fields, report."""
    if labels is not None and data is None:
        raise UsageError(
            "--labels belongs to --data. Name the folder of the fields with --data.", code=Code.INVALID_LABELS
        )
    output.mkdir(parents=True, exist_ok=True)
    story = _Story(output, seed, workers)
    catalog = story.own(fields) if data is None else story.theirs(data, labels)
    run = story.train(catalog, epochs)
    bundle = story.export(run)
    predictions = story.predict(catalog, bundle)
    print(story.report(run, bundle, predictions))


@dataclass(frozen=True, slots=True)
class _Story:
    """The steps, each of which is left alone where an earlier call has finished it."""

    folder: Path
    seed: int
    workers: int

    def own(self, fields: int) -> Path:
        """Draws an atlas and imports it."""
        from lociscope.data.importing import import_kaggle
        from lociscope.simulate.atlas import write_atlas

        atlas = self.folder / "atlas"
        with console.progress("drawing cells") as tell:
            self._step(
                f"draw {fields} simulated fields",
                lambda: write_atlas(
                    atlas, fields=fields, size=256, seed=self.seed, workers=self.workers, progress=tell
                ),
            )
        return self._step("import them", lambda: self._split(import_kaggle(atlas, self.folder)[0]))

    def theirs(self, data: Path, labels: Path | None) -> Path:
        """Imports the fields of somebody else."""
        from lociscope.data.importing import import_folder, import_kaggle

        if labels is None and not (data / "train.csv").is_file():
            raise UsageError(
                f"'{data}' has no train.csv. Name the labels of its fields with --labels CSV.", code=Code.INVALID_LABELS
            )
        return self._step(
            f"import '{data}'",
            lambda: self._split(
                (import_kaggle(data, self.folder) if labels is None else import_folder(data, labels, self.folder))[0]
            ),
        )

    def train(self, catalog: Path, epochs: int) -> Path:
        """Trains LeNet-5."""
        from lociscope.artifacts.recipe import Recipe
        from lociscope.workflows.train import fit_run

        run = self.folder / "run"
        recipe = Recipe.read("lenet5", {"train.epochs": epochs, "train.seed": self.seed, "train.batch": BATCH})
        self._step(
            "train LeNet-5", lambda: fit_run(recipe, catalog, run, workers=self.workers, progress=console.progress)
        )
        return run

    def export(self, run: Path) -> Path:
        """Exports the bundle."""
        from lociscope.artifacts.bundle import MANIFEST
        from lociscope.artifacts.run import Run

        bundle = self.folder / "bundle"
        if not (bundle / MANIFEST).is_file():
            from lociscope.training.export import export_bundle

            limits = "A demonstration: trained for minutes on few fields. Not for use."
            self._step("export the bundle", lambda: export_bundle(Run.open(run), bundle, "demo", "Apache-2.0", limits))
        return bundle

    def predict(self, catalog: Path, bundle: Path) -> Path:
        """Predicts the fields that the training never saw, as `lociscope predict` would."""
        from lociscope.artifacts.catalog import Catalog
        from lociscope.images.discovery.sources import read_catalog_sources
        from lociscope.predict.batch import predict_to_file
        from lociscope.predict.output import OutputOptions
        from lociscope.predict.predictor import open_bundle

        out = self.folder / "predictions.parquet"
        unseen = read_catalog_sources(Catalog.read(catalog).filter("split", "test"))
        self._step(
            f"predict {len(unseen)} fields that it never saw",
            lambda: predict_to_file(open_bundle(bundle), unseen, out, OutputOptions(), workers=self.workers),
        )
        return out

    def report(self, run: Path, bundle: Path, predictions: Path) -> Path:
        """Scores the predictions and writes the page."""
        from lociscope.artifacts.catalog import Catalog
        from lociscope.artifacts.predictions import Predictions
        from lociscope.artifacts.run import Run
        from lociscope.workflows.evaluate import read_thresholds, write_report

        catalog = Catalog.read(self.folder / "catalog.parquet").filter("split", "test")
        labels = {entry.id: entry.target for entry in catalog if entry.target is not None}
        made = Predictions.read(predictions)
        notes = ["A miniature: minutes of training on few fields. It shows the way, not what the method can do."]

        def write() -> None:
            write_report(
                made,
                labels,
                catalog,
                self.folder,
                title="lociscope in miniature",
                what=f"{len(made)} fields that the training never saw",
                thresholds=read_thresholds(bundle),
                run=Run.open(run),
                notes=notes,
            )

        self._step("write the report", write)
        return self.folder / "report.html"

    def _split(self, catalog: Catalog) -> Path:
        """Parts the fields by specimen into train, valid and test, and keeps the Catalog."""
        import numpy as np

        from lociscope.artifacts.catalog import Catalog
        from lociscope.splits.folds import hold_out

        entries = list(catalog)
        groups = [entry.specimen or entry.id for entry in entries]
        split = np.where(hold_out(groups, HELD_FOR_TEST, self.seed), "test", "train")
        rest = np.flatnonzero(split == "train")
        split[rest[hold_out([groups[row] for row in rest], HELD_FOR_VALIDATION, self.seed + 1)]] = "valid"
        path = self.folder / "catalog.parquet"
        Catalog.from_entries(
            (replace(entry, split=str(side)) for entry, side in zip(entries, split, strict=True)), self.folder
        ).write(path)
        return path

    def _step(self, what: str, work: Callable[[], Result]) -> Result:
        """Does a step and says how long it took."""
        started = time.monotonic()
        result = work()
        console.note(f"{time.monotonic() - started:6.1f} s  {what}")
        return result
