"""Promote a version: it must reproduce its self-test, and pass the gate of the registry."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.catalog import Catalog, hash_catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.retraining import exclude_marked, find_retraining
from lociscope.decide.noninferiority import MIN_FIELDS, compare_candidate
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.labels import LABELS, to_multi_hot
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.registry.gate import GateRecord, GateRules, GateSlice, read_gate, write_gate
from lociscope.registry.model_registry import PRODUCTION, Entry, Registry
from lociscope.review.consensus import find_consensus
from lociscope.review.store import open_review
from lociscope.storage.paths import as_path
from lociscope.workflows.field_context import read_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lociscope.decide.noninferiority import Comparison
    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.predict.predictor import Predictor
    from lociscope.storage.paths import AnyPath

TIMED = 20
"""Fields whose prediction is timed."""

REVIEWED = "reviewed fields"


def set_gate(
    registry: AnyPath,
    catalog: AnyPath,
    *,
    margin: float = 0.01,
    slice_margin: float = 0.05,
    max_seconds: float = 2.0,
    review: str | None = None,
    who: str,
    why: str,
) -> GateRules:
    """Fix what a version must show before it is promoted to `production`.

    Args:
        registry: The registry.
        catalog: The frozen test: labelled fields that no version was trained on.
        margin: Loss of macro-F1 that is accepted, 0–1.
        slice_margin: Loss that is accepted for a location or a cell line, 0–1.
        max_seconds: Time within which 95 % of the fields must be predicted, s.
        review: The review whose labels count too.
        who: Who fixes it.
        why: Why.

    Raises:
        UsageError: A margin or the time is out of range.
        LociscopeError: The Catalog has no labels, or the registry does not exist.
    """
    if not (0 <= margin <= 1 and 0 <= slice_margin <= 1 and max_seconds > 0):
        raise UsageError(
            f"`margin={margin:g}`, `slice_margin={slice_margin:g}`, `max_seconds={max_seconds:g}`: expected 0–1, 0–1, "
            "and above 0.",
            code=Code.INVALID_VALUE,
        )
    folder, path = as_path(registry), as_path(catalog)
    labelled = len(Catalog.read(path).select_labelled())
    if labelled < MIN_FIELDS:
        raise LociscopeError(
            f"'{path}' has {labelled} labelled fields, expected {MIN_FIELDS} or more. Pass the Catalog of the frozen "
            "test.",
            code=Code.NOT_ENOUGH_DATA,
        )
    rules = GateRules(
        catalog=str(path.absolute()), catalog_sha256=hash_catalog(path), margin=margin, slice_margin=slice_margin,
        max_seconds=max_seconds, review=review,
    )  # fmt: skip
    write_gate(folder, rules)
    Registry(folder).record_gate(who=who, why=why)
    return rules


def promote(
    registry: AnyPath,
    version: str,
    *,
    alias: str = PRODUCTION,
    who: str,
    why: str = "",
    override: str | None = None,
    progress: ProgressCallback = ignore_progress,
) -> tuple[Entry, GateRecord | None]:
    """Promote a version that reproduces its self-test here and, to `production`, passes the gate.

    Args:
        registry: The registry.
        version: As `Registry.entry` takes it.
        alias: The alias.
        who: Who promotes.
        why: Why.
        override: Why to promote it although it does not pass the gate; the history keeps it.
        progress: Called with (fields predicted, number of fields).

    Returns:
        The version, and what the gate found; None where no gate applied.

    Raises:
        UsageError: The override has no reason.
        PromotionRefusedError: It does not reproduce its self-test, or does not pass the gate.
        LociscopeError: The version does not exist or is retired.
    """
    if override is not None and not override.strip():
        raise UsageError("`override` has no reason. Write why, for the history.", code=Code.INVALID_VALUE)
    models = Registry(as_path(registry))
    found: list[GateRecord] = []

    def check(folder: Path) -> GateRecord | None:
        candidate = open_bundle(folder)
        rules = read_gate(models.folder) if alias == PRODUCTION else None
        current = models.state().aliases.get(alias)
        if rules is None or current is None or models.find_promoted(alias) == folder:
            return None
        record = _judge(models, rules, candidate, progress, may_fail=override is not None)
        if not record.passed and override is None:
            raise LociscopeError(
                f"It does not pass the gate: {' '.join(record.reasons)} Train a better one, or pass `override` with "
                "the reason why it is promoted nevertheless.",
                code=Code.REFUSED,
            )
        found.append(record if record.passed else record.model_copy(update={"override": override}))
        return found[-1]

    entry = models.promote(version, alias=alias, who=who, why=why, check=check)
    return entry, found[-1] if found else None


def judge(registry: AnyPath, version: str, *, progress: ProgressCallback = ignore_progress) -> GateRecord | None:
    """Return what the gate finds about a version, without promoting it.

    Returns:
        None where the registry has no gate, or nothing is in production, or the version is.

    Raises:
        LociscopeError: The version does not exist, or the two versions cannot be compared.
    """
    models = Registry(as_path(registry))
    folder, rules = models.entry(version).folder, read_gate(models.folder)
    if rules is None or PRODUCTION not in models.state().aliases or models.find_promoted() == folder:
        return None
    return _compare(models, rules, open_bundle(folder), progress)


def _judge(
    models: Registry, rules: GateRules, candidate: Predictor, progress: ProgressCallback, *, may_fail: bool
) -> GateRecord:
    """Compare the candidate with the version in use; if that fails and may, it is the reason."""
    try:
        return _compare(models, rules, candidate, progress)
    except LociscopeError as error:
        if not may_fail:
            raise
        return GateRecord(passed=False, reasons=[f"They could not be compared: {error}"])


def _compare(models: Registry, rules: GateRules, candidate: Predictor, progress: ProgressCallback) -> GateRecord:
    path = as_path(rules.catalog)
    if hash_catalog(path) != rules.catalog_sha256:
        raise LociscopeError(
            f"The frozen test '{path}' is not the one that was fixed. Restore it, or fix the gate again with "
            "`lociscope models gate`.",
            code=Code.ALTERED,
        )
    current = open_bundle(models.path(PRODUCTION))
    catalog = Catalog.read(path).select_labelled()
    truth = {entry.id: entry.target or () for entry in catalog}
    sources = {source.id: source for source in read_catalog_sources(catalog)}
    mark, folder = rules.catalog_sha256[:8], models.folder / "gate"
    tables = [_predict(each, [*sources.values()], folder, mark, progress) for each in (candidate, current)]
    ids = [name for name in truth if any(name in table for table in tables)]
    if not ids:
        raise LociscopeError(f"No field of '{path}' can be predicted.", code=Code.NOTHING_FOUND)
    context = read_context(catalog, ids)
    lines = np.array([line or "" for line in context.cell_lines])
    result = compare_candidate(
        _to_rows(truth, ids), _to_rows(tables[0], ids), _to_rows(tables[1], ids), margin=rules.margin,
        slice_margin=rules.slice_margin, slices={line: lines == line for line in sorted({*lines.tolist()} - {""})},
        names=dict(enumerate(LABELS)), groups=context.groups,
    )  # fmt: skip
    slices = [GateSlice(**each._asdict()) for each in result.slices]
    if rules.review is not None:
        slices += _compare_reviewed(rules, (candidate, current), folder, progress)
    seconds = _time(candidate, [sources[name] for name in ids[:TIMED]])
    reasons = _list_reasons(rules, result, slices, seconds, _find_lost_classes(candidate, current))
    return GateRecord(
        passed=not reasons, reasons=reasons, fields=result.fields, gain=round(result.gain, 4),
        low=round(result.low, 4), seconds=round(seconds, 3), slices=slices,
    )  # fmt: skip


def _list_reasons(
    rules: GateRules, result: Comparison, slices: Sequence[GateSlice], seconds: float, lost: Sequence[str]
) -> list[str]:
    reasons = []
    if lost:
        reasons.append(f"It does not know {', '.join(lost)}, which the version in use does.")
    if not result.noninferior:
        reasons.append(
            f"Its macro-F1 differs by {result.gain:+.3f}, at least {result.low:+.3f}, expected −{rules.margin:g} or "
            f"more, on {result.fields} fields."
        )
    reasons += [
        f"'{each.name}' ({each.fields}) loses {-each.gain:.3f}, p {each.p:.2g}." for each in slices if each.worse
    ]
    if seconds > rules.max_seconds:
        reasons.append(f"5 % of the fields take longer than {seconds:.2f} s, expected {rules.max_seconds:g} s.")
    return reasons


def _find_lost_classes(candidate: Predictor, current: Predictor) -> list[str]:
    known = {*candidate.bundle.card.classes}
    return [LABELS[number] for number in current.bundle.card.classes if number not in known]


def _predict(
    predictor: Predictor, sources: Sequence[FieldSource], folder: Path, mark: str, progress: ProgressCallback
) -> dict[str, tuple[int, ...]]:
    """Return the predicted locations by id; the tables are kept, so that the version in use is predicted once."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{predictor.bundle.sha256[:12]}-{mark}.parquet"
    ordered = sorted(sources, key=lambda source: source.id)
    predict_to_file(predictor, ordered, path, OutputOptions(), progress=progress)
    table = Predictions.read(path)
    return dict(zip(table.ids, table.predicted, strict=True))


def _to_rows(labels: Mapping[str, tuple[int, ...]], ids: Sequence[str]) -> np.ndarray:
    """Return labels (n, 28); a field that a model cannot read has none."""
    return to_multi_hot([labels.get(name, ()) for name in ids])


def _compare_reviewed(
    rules: GateRules, predictors: Sequence[Predictor], folder: Path, progress: ProgressCallback
) -> list[GateSlice]:
    """Compare the fields that reviewers have labelled, as one slice; none if they are too few.

    A field that one of the two was retrained with shows nothing about it, and is left out.
    """
    learned: set[str] = set()
    for each in predictors:
        found = find_retraining(each.bundle.card.provenance)
        learned.update([] if found is None else found.added)
    with open_review(str(rules.review)) as store:
        items = {item.number: item for item in store.items()}
        agreed = {
            items[each.item].id: each.labels for each in find_consensus(store.answers()) if each.labels is not None
        }
    agreed = {name: agreed[name] for name in exclude_marked(agreed, learned)}
    if len(agreed) < MIN_FIELDS:
        return []
    sources = {item.id: item.source for item in items.values() if item.id in agreed}
    tables = [_predict(each, [*sources.values()], folder, "review", progress) for each in predictors]
    ids = [name for name in agreed if any(name in table for table in tables)]
    result = compare_candidate(
        *(_to_rows(each, ids) for each in (agreed, *tables)), margin=rules.margin, slice_margin=rules.slice_margin,
        slices={REVIEWED: np.ones(len(ids), bool)}, names={},
    )  # fmt: skip
    return [GateSlice(**each._asdict()) for each in result.slices]


def _time(predictor: Predictor, sources: Sequence[FieldSource]) -> float:
    """Return the 95th percentile of the time to prepare and predict a field, s."""
    times = []
    for source in sources:
        try:
            field = read_field(source)
        except LociscopeError:
            continue
        began = perf_counter()
        predictor.run([predictor.prepare(field)])
        times.append(perf_counter() - began)
    return float(np.quantile(times, 0.95)) if times else 0.0
