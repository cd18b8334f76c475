"""Predict the cells of many fields into a table: resumable, and fields whose cells cannot be predicted are listed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lociscope.artifacts.cell_table import cell_schema
from lociscope.artifacts.predictions import Position, Predictions
from lociscope.images.discovery.field_source import Failure
from lociscope.labels import LABELS
from lociscope.predict.cell_masks import check_formats, write_masks
from lociscope.predict.cell_output import CellOutput
from lociscope.predict.cell_source import load_cells
from lociscope.predict.cells import CellPredictions, predict_cells
from lociscope.predict.fingerprint import compute_fingerprint, hash_files
from lociscope.predict.loading import thread_pool
from lociscope.predict.predictor import batched
from lociscope.predict.test_time_augmentation import N_VIEWS
from lociscope.processes.ahead import map_ahead
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.storage.parquet import to_list_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.images.segmentation.label_images import LabelPattern
    from lociscope.predict.cell_masks import MaskFormat
    from lociscope.predict.cell_source import SegmentedField
    from lociscope.predict.predictor import Predictor
    from lociscope.storage.paths import AnyPath

FIELDS_PER_PART = 16
"""Fields whose cells are written at once: the most that a kill loses."""
METHOD = 1
"""Raised when cells are found or predicted in another way, so that an older table is not continued."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CellOptions:
    """How cells are found, and what is written besides the table.

    Attributes:
        labels: The paths of label images; None finds the cells in the reference channels.
        masks: The formats of label images and outlines to write into `OUT.masks/`.
    """

    labels: LabelPattern | None = None
    masks: tuple[MaskFormat, ...] = ()


@dataclass(slots=True)
class CellResult:
    """What a prediction of cells did.

    Attributes:
        cells: Number of cells in the table.
        new: Number of fields whose cells were predicted now.
        empty: Fields in which no cell was found.
        failures: Fields whose cells could not be predicted.
    """

    cells: int = 0
    new: int = 0
    empty: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class PredictedField(NamedTuple):
    """A field whose cells are predicted.

    Attributes:
        segmented: The field and its cells.
        cells: Their predictions.
        row: The field's row in the Predictions of the fields.
    """

    segmented: SegmentedField
    cells: CellPredictions
    row: int


def predict_cells_to_file(
    predictor: Predictor,
    sources: Sequence[FieldSource],
    out: AnyPath,
    fields: Predictions,
    options: CellOptions,
    *,
    workers: int = 2,
    progress: ProgressCallback = ignore_progress,
) -> CellResult:
    """Predict the cells of fields that are predicted already, or resume an earlier call.

    Args:
        predictor: The open bundle.
        sources: The fields.
        out: The table of the fields, `.csv` or `.parquet`; the files of the cells are beside it (`CellOutput`).
        fields: The Predictions of the fields; sources without a row are skipped.
        options: How cells are found, and what is written.
        workers: Number of threads that read, segment and predict fields.
        progress: Called with (done, total).

    Returns:
        What was done.

    Raises:
        LociscopeError: The table was made by another bundle or with other options, or cannot be written.
        MissingExtraError: A library that finds cells or writes masks is not installed.
    """
    check_formats(options.masks)
    output = CellOutput(Path(out), _identify(predictor, options))
    answers = {name: row for row, name in enumerate(fields.ids)}
    sources = [source for source in sources if source.id in answers]
    fingerprints = {source.id: _mark(source, options.labels) for source in sources}
    done = output.read_done(fingerprints)
    todo = [source for source in sources if source.id not in done]
    logger.info("fields with cells to predict: %d of %d", len(todo), len(sources))
    result = CellResult()
    if todo or not output.table.exists():
        output.prepare()

    def predict(source: FieldSource) -> PredictedField | Failure:
        loaded = load_cells(source, predictor.bundle.card.input, options.labels)
        if isinstance(loaded, Failure):
            return loaded
        row = answers[source.id]
        return PredictedField(loaded, predict_cells(predictor, loaded, fields.probability[row]), row)

    with thread_pool(workers) as pool:
        made = _count(map_ahead(pool, predict, todo, 2 * workers), result, len(todo), progress)
        rows = _write_masks(made, output, fields, options.masks)
        for batch in batched(rows, FIELDS_PER_PART):
            marks = {name: fingerprints[name] for name, _ in batch}
            output.write_part(_join([table for _, table in batch]), marks)
            done |= marks
            result.new += len(batch)
    predicted = dict(zip(fields.ids, fields.predicted, strict=True))
    result.cells, result.empty = output.finish(done, predicted)
    output.close(result.failures)
    return result


def _count(
    made: Iterator[PredictedField | Failure], result: CellResult, total: int, progress: ProgressCallback
) -> Iterator[PredictedField]:
    """Yield the fields, collect the failures, and report progress."""
    for number, each in enumerate(made, 1):
        if isinstance(each, Failure):
            result.failures.append(each)
        else:
            yield each
        progress(number, total)


def _write_masks(
    made: Iterator[PredictedField], output: CellOutput, fields: Predictions, formats: Sequence[MaskFormat]
) -> Iterator[tuple[str, pa.Table]]:
    """Write the masks of each field, and yield its id and the rows of its cells; the pixels are needed no longer."""
    for segmented, cells, row in made:
        write_masks(segmented, cells, output.masks, formats)
        yield segmented.field.id, make_table(segmented, cells, fields, row)


def _identify(predictor: Predictor, options: CellOptions) -> dict[str, object]:
    return {
        "method": METHOD,
        "bundle": predictor.bundle.sha256,
        "views": N_VIEWS if predictor.tta else 1,
        "labels": options.labels.text if options.labels else None,
        "masks": sorted(options.masks),
    }


def _mark(source: FieldSource, pattern: LabelPattern | None) -> str:
    """Return the fingerprint of a field and of its label image."""
    mark = compute_fingerprint(source)
    return mark if pattern is None else f"{mark}-{hash_files(pattern.list_matches(source))}"


def make_table(segmented: SegmentedField, cells: CellPredictions, fields: Predictions, row: int) -> pa.Table:
    """Return the rows of the cells of one field.

    Args:
        segmented: The field and its cells.
        cells: Their predictions.
        fields: The Predictions of the fields.
        row: The field's row in them.
    """
    import pyarrow as pa

    geometry, n = segmented.geometry, len(segmented.geometry)
    position = fields.positions[row] if fields.positions else Position()
    inherited = fields.status[row] if fields.status[row] not in ("ok", "unsure") else None
    boxes = dict(zip(("top", "left", "bottom", "right"), geometry.box.T, strict=True))
    columns = {
        "id": [segmented.field.id] * n,
        "cell": geometry.number,
        "locations": [[LABELS[number] for number in numbers] for numbers in cells.predicted],
        "predicted": [list(numbers) for numbers in cells.predicted],
        "probability": to_list_array(cells.probability),
        "status": [inherited or status for status in cells.status],
        "y": geometry.centre[:, 0],
        "x": geometry.centre[:, 1],
        **boxes,
        "area_um2": geometry.area,
        "nucleus_area_um2": geometry.nucleus_area,
        "at_edge": geometry.at_edge,
        "intensity": cells.intensity,
        "distance": cells.distance,
        **{name: [value or None] * n for name, value in position._asdict().items()},
    }
    schema = cell_schema()
    return pa.table(
        [pa.array(columns[field.name], from_pandas=False).cast(field.type) for field in schema], schema=schema
    )


def _join(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks()
