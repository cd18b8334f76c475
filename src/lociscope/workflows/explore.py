"""Explore fields before training: a page of summaries and findings, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.data.explore.contradictions import find_contradictions
from lociscope.data.explore.copies import find_copies_in_test
from lociscope.data.explore.findings import Finding, sort_findings
from lociscope.data.explore.inspect import Inspection, inspect_fields, stack_features, stack_thumbnails
from lociscope.data.explore.judge import UNTRUSTED, judge_fields
from lociscope.data.explore.labels import find_rare_classes, summarize_labels
from lociscope.data.explore.map import make_map
from lociscope.data.explore.sources import FieldSet, open_field_set
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.predict.predictor import BATCH_SIZE, PreparedField, open_bundle
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.report.explore import ExplorePage, write_explore
from lociscope.report.explore_json import explore_to_json
from lociscope.report.explore_pictures import render_pictures
from lociscope.splits.groups import group_ids
from lociscope.storage.atomic import atomic_write
from lociscope.storage.paths import as_path
from lociscope.storage.table_files import check_suffix
from lociscope.workflows.explore_test import compare_with_test

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.data.explore.comparison import TestComparison
    from lociscope.predict.predictor import Predictor
    from lociscope.storage.paths import AnyPath


@dataclass(frozen=True, slots=True)
class Exploration:
    """The result of an exploration.

    Attributes:
        page: The page.
        data: The JSON file beside it.
        fields: Number of fields.
        labelled: How many have a label.
        readable: How many have pixels that can be read.
        model: The model that judged the labels; None where there was none.
        findings: Worst first.
        comparison: How the test fields differ; None without them.
    """

    page: Path
    data: Path
    fields: int
    labelled: int
    readable: int
    model: str | None
    findings: list[Finding]
    comparison: TestComparison | None


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What a model says of fields: its probabilities and embeddings by id, and its name."""

    name: str
    predictions: Predictions

    def embedding_of(self, ids: list[str]) -> np.ndarray | None:
        """Return (n, d) embeddings of fields; None where the model has none, or not of all of them."""
        row_of = {name: row for row, name in enumerate(self.predictions.ids)}
        vectors = self.predictions.embedding
        if vectors is None or not ids or any(name not in row_of for name in ids):
            return None
        return vectors[[row_of[name] for name in ids]]


def explore(
    source: AnyPath,
    output: AnyPath,
    *,
    test: AnyPath | None = None,
    predictions: AnyPath | None = None,
    bundle: AnyPath | None = None,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> Exploration:
    """Summarize labels and pixels, and find what is wrong with fields, before a network is trained on them.

    Args:
        source: A Catalog, a table `Id,Target`, a folder or an archive of fields, with labels or without, with images or
            without.
        output: The page to write, `.html`; the same figures and all findings are written beside it as `.json`.
        test: Fields of a later test, likewise: how they differ, and which of them are also in `source`.
        predictions: Predictions for these fields, of a model that was not trained on them; with them, labels that the
            picture contradicts are found. None uses the bundle.
        bundle: The model; None is the one that ships with lociscope.
        workers: Processes that read images.
        progress: Called with (fields read, number of fields).

    Returns:
        The findings, and where the files are.

    Raises:
        UsageError: The output does not end in `.html`.
        LociscopeError: A file cannot be read or written, or the predictions are of other fields.
        MissingExtraError: jinja2 or scikit-learn is not installed.
    """
    output = as_path(output)
    check_suffix(output, ".html", reason="`output` ")
    source, test = as_path(source), as_path(test)
    fields = open_field_set(source)
    others = None if test is None else open_field_set(test)
    given = None if predictions is None else _read_opinion(as_path(predictions), fields.catalog.ids)
    inspection, opinion = _inspect(fields, given, as_path(bundle), workers, progress)
    readable = [fields.catalog.ids[row] for row in inspection.rows]
    embedding = None if opinion is None else opinion.embedding_of(readable)
    found = [*fields.broken, *judge_fields(fields.catalog, inspection, embedding)]
    labels = summarize_labels(fields.catalog, group_ids(fields.catalog))
    found += find_rare_classes(labels) if labels is not None else []
    found += _find_contradictions(fields, opinion, found) if opinion is not None else []
    comparison = None
    if others is not None:
        seen = inspect_fields(others, workers=workers, progress=progress)
        comparison = compare_with_test(fields.catalog, inspection, others.catalog, seen)
        names = [others.catalog.ids[row] for row in seen.rows]
        found += find_copies_in_test(readable, stack_thumbnails(inspection), names, stack_thumbnails(seen))
    findings = sort_findings(found)
    vectors = embedding if embedding is not None else stack_features(inspection)
    page = ExplorePage(
        name=source.name,
        catalog=fields.catalog,
        labels=labels,
        inspection=inspection,
        findings=findings,
        comparison=comparison,
        test_name=None if test is None else test.name,
        model=None if opinion is None else opinion.name,
        map=make_map(vectors, inspection.rows),
        pictures=render_pictures(fields, inspection, findings, others),
    )
    labelled = 0 if labels is None else labels.fields
    data = _write(output, page)
    return Exploration(output, data, len(fields.catalog), labelled, len(readable), page.model, findings, comparison)


def _write(output: Path, page: ExplorePage) -> Path:
    """Write the page, and the JSON beside it, which is returned."""
    data = output.with_suffix(".json")
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(data) as part:
        part.write_text(json.dumps(explore_to_json(page), ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    write_explore(output, page, data.name)
    return data


def _read_opinion(path: Path, ids: list[str]) -> _Opinion:
    """Read Predictions, and check that they are of these fields."""
    predictions = Predictions.read(path)
    common = len({*predictions.ids} & {*ids})
    if not common:
        raise LociscopeError(
            f"Predictions '{path}' are of other fields: none of their {len(predictions)} ids is among the {len(ids)} "
            f"explored (the first are '{predictions.ids[0] if len(predictions) else ''}' and '{ids[0]}'). "
            "Pass the predictions of these fields.",
            code=Code.NOTHING_FOUND,
        )
    return _Opinion(f"the predictions of {path.name}", predictions)


def _inspect(
    fields: FieldSet, given: _Opinion | None, bundle: Path | None, workers: int, progress: ProgressCallback
) -> tuple[Inspection, _Opinion | None]:
    """Read all fields; let the bundle predict them in the same pass unless predictions are given."""
    if given is not None or not fields.has_images:
        return inspect_fields(fields, workers=workers, progress=progress), given
    predictor = open_bundle(bundle)
    if predictor.bundle.card.kind != "network":
        raise UsageError(
            f"Bundle '{bundle}' is of {predictor.bundle.card.kind}, which `explore` cannot run in its pass over the "
            "fields. Predict them with it first, and pass `predictions`.",
            code=Code.INVALID_VALUE,
        )
    collector = _Collector(predictor, fields.catalog.ids)
    spec = predictor.bundle.card.input
    inspection = inspect_fields(fields, spec, collector.add, workers=workers, progress=progress)
    card = predictor.bundle.card
    name = f"the bundle {card.name} {card.version}" + (" that ships with lociscope" if bundle is None else "")
    return inspection, _Opinion(name, collector.finish())


class _Collector:
    """Predicts fields in batches while they are read."""

    def __init__(self, predictor: Predictor, ids: list[str]) -> None:
        self._predictor, self._ids = predictor, ids
        self._embeddings = "embedding" in predictor.engine.outputs
        self._waiting: list[PreparedField] = []
        self._parts: list[Predictions] = []

    def add(self, row: int, tiles: np.ndarray) -> None:
        """Predict a field, now or with the next ones."""
        self._waiting.append(PreparedField(self._ids[row], tiles))
        if len(self._waiting) == BATCH_SIZE:
            self._run()

    def finish(self) -> Predictions:
        """Return the predictions of all fields."""
        if self._waiting:
            self._run()
        return Predictions.join(self._parts)

    def _run(self) -> None:
        self._parts.append(self._predictor.run(self._waiting, embeddings=self._embeddings))
        self._waiting = []


def _find_contradictions(fields: FieldSet, opinion: _Opinion, found: list[Finding]) -> list[Finding]:
    """Judge the labels of the fields that the model has predicted and whose pixels have no fault."""
    row_of = {name: row for row, name in enumerate(opinion.predictions.ids)}
    faulty = {name for each in found if each.kind in UNTRUSTED for name in each.ids}
    targets = dict(zip(fields.catalog.ids, fields.catalog.table["target"].to_pylist(), strict=True))
    ids = [name for name, target in targets.items() if target and name in row_of]
    probability = opinion.predictions.probability[[row_of[name] for name in ids]]
    usable = np.array([name not in faulty for name in ids], bool)
    return find_contradictions(ids, [tuple(targets[name]) for name in ids], probability, usable)
