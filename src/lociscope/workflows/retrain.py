"""Retrain a registered version with reviewed labels, and ask the gate about the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.artifacts.bundle import MANIFEST, read_bundle
from lociscope.artifacts.card import hash_trainings
from lociscope.artifacts.catalog import Catalog, hash_catalog
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.recipe_changes import apply_change
from lociscope.artifacts.retraining import Ancestor, Retraining, Source, find_retraining, mark_ids
from lociscope.data.joining import join_catalogs
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.processes.progress import show_nothing
from lociscope.registry.gate import read_gate
from lociscope.registry.model_registry import PRODUCTION, Registry
from lociscope.splits.groups import GROUP_COLUMNS
from lociscope.storage.paths import as_path
from lociscope.workflows.crossval import cross_validate
from lociscope.workflows.export import export_run
from lociscope.workflows.promote import judge
from lociscope.workflows.train import train_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from lociscope.artifacts.bundle import Bundle
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.registry.gate import GateRecord
    from lociscope.registry.model_registry import Entry
    from lociscope.storage.paths import AnyPath
    from lociscope.training.trainer import Device, EpochCallback


@dataclass(frozen=True, slots=True)
class RetrainingResult:
    """The result of `retrain`.

    Attributes:
        entry: The new version in the registry; it is not promoted.
        retraining: Its origin, as its card records it.
        gate: What the gate found; None where the registry has no gate, or no version in production.
    """

    entry: Entry
    retraining: Retraining
    gate: GateRecord | None


class _Merged(NamedTuple):
    """Joined fields, how many of the base and of each Catalog of labels are in them, and what happened to others."""

    catalog: Catalog
    base: int
    labels: list[int]
    relabelled: int
    left_out: int


def retrain(
    registry: AnyPath,
    labels: Sequence[AnyPath],
    catalog: AnyPath | None,
    folder: AnyPath,
    *,
    version: str = PRODUCTION,
    changes: Mapping[str, Any] | None = None,
    reference: int = 384,
    who: str,
    why: str = "",
    workers: int = 1,
    store: AnyPath | None = None,
    device: Device = "auto",
    progress: ProgressDisplay = show_nothing,
    on_epoch: EpochCallback | None = None,
) -> RetrainingResult:
    """Train the recipe of a registered version on its fields and reviewed labels, and register the result.

    An interrupted call is resumed by the next one with the same arguments.

    Args:
        registry: The registry.
        labels: Catalogs of labelled fields, as `export_labels` writes them. Where the base has a field, the label
            counts, and its other columns remain.
        catalog: The base: the Catalog that the version was trained on.
        folder: Holds the Catalog of all fields, `catalog.parquet`, the Run, `run`, and the Bundle, `bundle`.
        version: The version to retrain, as `Registry.entry` takes it.
        changes: Values of the recipe by dotted key that replace those of the version.
        reference: Number of fields of the new reference.
        who: Who retrains, for the history.
        why: Why.
        workers: Number of processes that read fields.
        store: Where prepared fields are kept for other trainings.
        device: Device on which networks are trained.
        progress: Shows the progress.
        on_epoch: Called with each row of the history.

    Raises:
        UsageError: No labels are passed.
        LociscopeError: The version has no recipe, the fields cannot be used, or the training cannot be finished.
    """
    if not labels:
        raise UsageError("`labels` is empty. Write a Catalog with `lociscope review export`.", code=Code.INVALID_VALUE)
    models, folder = Registry(as_path(registry)), as_path(folder)
    entry = models.entry(version)
    parent = read_bundle(entry.folder)
    recipe = _read_recipe(parent, entry, changes or {})
    base = _require_base(as_path(catalog), recipe, entry)
    paths = [as_path(each) for each in labels]
    folder.mkdir(parents=True, exist_ok=True)
    merged = _merge(base, paths, _read_frozen(models.folder), folder)
    joined = folder / "catalog.parquet"
    merged.catalog.write(joined)
    record = _describe(parent, entry, base, paths, merged, joined)
    run, networks = folder / "run", len(parent.card.provenance.get("folds") or [None])
    if networks > 1:
        cross_validate(
            recipe, joined, run, networks, workers=workers, store=store, device=device, progress=progress,
            on_epoch=None if on_epoch is None else lambda _, row: on_epoch(row),
        )  # fmt: skip
    else:
        train_run(
            recipe, joined, run, workers=workers, store=store, device=device, progress=progress, on_epoch=on_epoch
        )
    record.write(run)
    made = folder / "bundle"
    if not _is_exported(made, record):
        export_run(
            run, made, name=parent.card.name, licence=parent.card.licence, limits=parent.card.limits, catalog=joined,
            reference=reference, workers=workers, progress=progress,
        )  # fmt: skip
    reason = why or f"{entry.version} retrained with {sum(merged.labels)} labels"
    new = models.add(made, who=who, why=reason)
    with progress("gate") as report:
        return RetrainingResult(new, record, judge(models.folder, new.version, progress=report))


def _read_recipe(parent: Bundle, entry: Entry, changes: Mapping[str, Any]) -> Recipe:
    card = parent.card
    stored = card.provenance.get("recipe")
    if stored is None or card.kind == "ensemble" or "student" in card.provenance:
        what = "a model that was trained elsewhere"
        if stored is not None:
            what = "an ensemble" if card.kind == "ensemble" else "the network of a recipe joined with another model"
        raise LociscopeError(
            f"'{entry.version}' is {what}, and no recipe makes it again. Retrain a version that "
            "`lociscope train` and `export` made.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    values = Recipe.from_dict(stored, f"Recipe of '{entry.version}'").model_dump(by_alias=True)
    values["stages"] = list(values["stages"])
    for key, value in changes.items():
        apply_change(values, key, value)
    return Recipe.from_dict(values, f"Recipe of '{entry.version}'")


def _require_base(base: Path | None, recipe: Recipe, entry: Entry) -> Path:
    if base is not None:
        return base
    data = recipe.data
    raise LociscopeError(
        f"The fields that '{entry.version}' was trained on are missing. Pass their Catalog as `catalog`. If they were "
        f"simulated: `lociscope simulate atlas ATLAS --fields {data.fields} --size {data.simulated_size} --seed "
        f"{data.seed} --balance {data.balance:g}`, then `lociscope import kaggle ATLAS -o base.parquet`.",
        code=Code.NOT_FOUND,
    )


def _read_frozen(registry: Path) -> Catalog | None:
    """Return the frozen test of the gate, which nothing may be trained on."""
    rules = read_gate(registry)
    return None if rules is None else Catalog.read(rules.catalog).select_labelled()


def _merge(base: Path, labels: Sequence[Path], frozen: Catalog | None, folder: Path) -> _Merged:
    """Join the base and the labels, without fields of the frozen test, its specimens and its antibodies.

    Raises:
        LociscopeError: A Catalog cannot be read, two Catalogs of labels have one id, or no label is left.
    """
    parts = [Catalog.read(base), *(Catalog.read(path).select_labelled() for path in labels)]
    known, *new = (_exclude_frozen(each, frozen) for each in parts)
    target = {entry.id: entry.target for entry in join_catalogs(new, labels, folder)}
    if not target:
        named = ", ".join(f"'{path}'" for path in labels)
        raise LociscopeError(
            f"{named}: no field is labelled, but for those of the frozen test. Review other fields.",
            code=Code.NOTHING_FOUND,
        )
    ids = {*known.ids}
    counts = [len(each) for each in new]
    left_out = sum(map(len, parts)) - len(known) - sum(counts)
    known = known.with_column("target", [target.get(entry.id, entry.target) for entry in known])
    new = [each.select([name not in ids for name in each.ids]) for each in new]
    joined = join_catalogs([known, *new], [base, *labels], folder)
    return _Merged(joined, len(known), counts, len(ids & target.keys()), left_out)


def _exclude_frozen(catalog: Catalog, frozen: Catalog | None) -> Catalog:
    if frozen is None:
        return catalog
    taken = {
        name: {*frozen.table[name].to_pylist()} - {None}
        for name in ("id", *GROUP_COLUMNS)
        if name in frozen.table.column_names and name in catalog.table.column_names
    }
    keep = np.ones(len(catalog), bool)
    for name, values in taken.items():
        keep &= [value not in values for value in catalog.table[name].to_pylist()]
    return catalog.select(keep.tolist())


def _describe(
    parent: Bundle, entry: Entry, base: Path, labels: Sequence[Path], merged: _Merged, joined: Path
) -> Retraining:
    """Return the record of the retraining, which continues that of the version before."""
    before = find_retraining(parent.card.provenance)
    ancestor = Ancestor(version=entry.version, sha256=parent.sha256, trainings=hash_trainings(parent.card.provenance))
    added = {each for path in labels for each in Catalog.read(path).select_labelled().ids} & {*merged.catalog.ids}
    return Retraining(
        ancestors=[*([] if before is None else before.ancestors), ancestor],
        base=Source(catalog=base.name, sha256=hash_catalog(base), fields=merged.base),
        labels=[
            Source(catalog=path.name, sha256=hash_catalog(path), fields=fields)
            for path, fields in zip(labels, merged.labels, strict=True)
        ],
        catalog_sha256=hash_catalog(joined),
        relabelled=merged.relabelled,
        left_out=merged.left_out,
        added=sorted({*mark_ids(added), *([] if before is None else before.added)}),
    )


def _is_exported(folder: Path, record: Retraining) -> bool:
    """Return whether an earlier call exported this retraining."""
    return (folder / MANIFEST).is_file() and find_retraining(read_bundle(folder).card.provenance) == record
