"""Fetch a model that others published, and make a Bundle of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle import read_bundle, write_bundle
from lociscope.artifacts.card import Card, Decision, InputSpec
from lociscope.convert.converted import ConvertedModel, OutputOptions, convert_onnx
from lociscope.convert.gapnet import FIELD_UM, LABEL_MAP, PREPARATION, build_onnx, read_checkpoint, read_npz
from lociscope.convert.label_map import list_classes
from lociscope.convert.published import PublishedModel, check_files, fetch_files, find_published
from lociscope.labels import expand_classes
from lociscope.processes.progress import ignore_progress
from lociscope.storage.paths import as_path
from lociscope.workflows.import_model import FitOptions, ImportedModel, draft_bundle, finish_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.processes.progress import ProgressCallback
    from lociscope.storage.paths import AnyPath

THRESHOLD = 0.5
"""Of every class, where no Catalog is given to fit thresholds on."""


def fetch_model(
    name: str | PublishedModel,
    output: AnyPath,
    *,
    folder: AnyPath | None = None,
    catalog: AnyPath | None = None,
    workers: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> ImportedModel:
    """Fetch a published model, convert it, and write it as a Bundle.

    Args:
        name: A name of `lociscope.convert.published.PUBLISHED`, or a model described likewise.
        output: The Bundle's folder. Downloads are kept in `<output>.download` until it is complete.
        folder: A folder with the files; None downloads them.
        catalog: Labelled fields, on which calibration and thresholds are fitted; None decides at `THRESHOLD` without
            calibration.
        workers: Number of threads that read and predict fields; None uses every core.
        progress: Called with (done, total).

    Raises:
        UsageError: No model has that name.
        LociscopeError: A file cannot be downloaded, is missing, is cut short or has another hash; or the Catalog has
            too few labelled fields.
        MissingExtraError: TensorFlow, which reads the checkpoint, or onnx is not installed.
    """
    model = find_published(name) if isinstance(name, str) else name
    output, folder, catalog = as_path(output), as_path(folder), as_path(catalog)
    downloads = output.with_name(f"{output.name}.download")
    if folder is None:
        fetch_files(model, downloads, progress)
    made = _convert(model, downloads if folder is None else folder)
    draft = draft_bundle(output, _draft_card(model, made), made)
    if catalog is not None:
        written, fields, failures = finish_bundle(draft, catalog, FitOptions(workers=workers), progress)
        result = ImportedModel(written, made, fields, failures)
    else:
        write_bundle(output, draft.card, draft.model, draft.selftest, {})
        result = ImportedModel(read_bundle(output), made, 0)
    if folder is None:
        for name in model.files:
            (downloads / name).unlink(missing_ok=True)
        with suppress(OSError):  # something else is in it
            downloads.rmdir()
    return result


def _convert(model: PublishedModel, folder: Path) -> ConvertedModel:
    kind = check_files(model, folder)
    if kind == "files":
        index = next(name for name in model.files if name.endswith(".index"))
        arrays = read_checkpoint(folder / index.removesuffix(".index"))
    else:
        (name,) = model.converted
        arrays = read_npz((folder / name).read_bytes(), f"'{folder / name}'")
    outputs = OutputOptions("scores", "sigmoid", "embedding")
    return convert_onnx(build_onnx(arrays), PREPARATION, outputs, LABEL_MAP)


def _draft_card(model: PublishedModel, made: ConvertedModel) -> Card:
    classes = list_classes(made.label_map)
    height, width = made.expected.size
    thresholds = expand_classes(np.full(len(classes), THRESHOLD), classes, fill=1.0)
    return Card(
        name=model.name,
        version="1",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=model.licence,
        classes=classes,
        input=InputSpec(height=height, width=width, field_um=FIELD_UM, low=0.5, high=99.9, normalisation="standardise"),
        decide=Decision(policy="constant", thresholds=tuple(thresholds.tolist())),
        provenance={"source": model.source, "files": dict(model.files)},
        limits=model.limits,
    )
