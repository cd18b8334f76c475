"""Export a fitted ensemble as a Bundle: Runs, Bundles of any kind, and the weights that combine them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lociscope.artifacts.bundle import MANIFEST, Bundle, Selftest, encode_reference, read_bundle, write_bundle
from lociscope.artifacts.card import Card, Decision, Score, hash_trainings
from lociscope.artifacts.catalog import Catalog
from lociscope.decide.ensemble_report import SCHEMA, EnsembleReport
from lociscope.decide.members import Member, check_members
from lociscope.decide.stored import ENSEMBLE, REPORT, StoredEnsemble, read_fitted
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.preprocess import prepare
from lociscope.predict.kinds import EnsembleOfModels, predict_selftest
from lociscope.predict.predictor import Predictor
from lociscope.predict.reference import measure_reference
from lociscope.predict.runtimes import RuntimeOptions
from lociscope.processes.progress import show_nothing
from lociscope.simulate import simulate_field
from lociscope.storage.paths import as_path, as_paths
from lociscope.storage.schema import parse_model
from lociscope.workflows.export import REFERENCE_SEED, export_run, simulate_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lociscope.images.field import Field
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.storage.paths import AnyPath

SELFTEST_FIELDS = 2
SELFTEST_SIDE = 256
_SCORES = ("lrap", "macro_auc", "macro_average_precision")


@dataclass(frozen=True, slots=True)
class ExportedEnsemble:
    """The result of `export_ensemble`.

    Attributes:
        bundle: The Bundle as written.
        unidentified: Members whose records do not say whether they are those of the fit.
        has_reference: Whether `monitor` can compare fields with it.
    """

    bundle: Bundle
    unidentified: list[Path]
    has_reference: bool


def export_ensemble(
    members: AnyPath | Sequence[AnyPath],
    ensemble: AnyPath,
    output: AnyPath,
    *,
    name: str | None = None,
    licence: str = "Apache-2.0",
    limits: str | None = None,
    catalog: AnyPath | None = None,
    reference: int = 384,
    workers: int = 1,
    progress: ProgressDisplay = show_nothing,
) -> ExportedEnsemble:
    """Export a fitted ensemble as one Bundle.

    Args:
        members: The models of the fit in its order: Runs, folders of folds, or Bundles, also of features and of some of
            the classes.
        ensemble: The folder of `lociscope ensemble fit`.
        output: The Bundle's folder.
        name: Its name in the card; None for that of the folder.
        licence: Licence of the weights.
        limits: Limitations; None joins those of the members.
        catalog: Fields that no member was trained on, for the reference; None simulates them if all members were
            trained on simulated fields.
        reference: Number of fields of the reference; 0 for none.
        workers: Number of processes that simulate them.
        progress: Shows the progress.

    Raises:
        LociscopeError: The folder is not a fitted ensemble, a member is not that of the fit or cannot be exported, or
            is an ensemble itself.
    """
    paths, ensemble, output, catalog = as_paths(members), as_path(ensemble), as_path(output), as_path(catalog)
    stored = read_fitted(ensemble)
    with tempfile.TemporaryDirectory() as folder, progress("exporting the members") as report:
        bundles = []
        for number, path in enumerate(paths):
            report(number, len(paths), path.name)
            bundles.append(read_bundle(_as_bundle(path, Path(folder) / str(number))))
        unidentified = check_members(ensemble, stored.members, [_identify(each) for each in bundles], paths)
        card = _make_card(bundles, stored, ensemble, name or output.resolve().name, licence, limits)
        draft = _add_selftest(Bundle(output, card, (ensemble / ENSEMBLE).read_bytes(), _EMPTY, "", members=(*bundles,)))
        extra = {}
        fields = _find_fields(bundles, catalog, reference, workers)
        if fields is not None:
            what, kind = _describe_fields(catalog)
            measured, summary = measure_reference(Predictor(draft), fields, what, kind)
            card = msgspec.structs.replace(card, reference=summary)
            extra["reference.npz"] = encode_reference(measured)
        write_bundle(output, card, draft.model, draft.selftest, extra, [each.folder for each in bundles])
    return ExportedEnsemble(read_bundle(output), unidentified, fields is not None)


_EMPTY = Selftest(np.empty(0, np.float32), np.empty(0, np.float32))


def _as_bundle(path: Path, temporary: Path) -> Path:
    """Return the bundle of a member, which is exported first if it is a Run."""
    if (path / MANIFEST).is_file():
        return path
    export_run(path, temporary, name=path.resolve().name, reference=0)
    return temporary


def _identify(bundle: Bundle) -> Member:
    if bundle.card.kind == "ensemble":
        raise LociscopeError(
            f"'{bundle.folder}' is an ensemble itself. Pass the members of both to `lociscope ensemble fit`.",
            code=Code.INVALID_VALUE,
        )
    return Member(bundle=bundle.sha256, views=1, trainings=tuple(hash_trainings(bundle.card.provenance)), contents=None)


def _make_card(
    bundles: Sequence[Bundle], stored: StoredEnsemble, folder: Path, name: str, licence: str, limits: str | None
) -> Card:
    leader = next((each for each in bundles if each.card.kind == "network"), bundles[0])
    trainings = [one for each in bundles for one in each.card.provenance.get("folds") or [each.card.provenance]]
    described = [
        {"name": each.card.name, "kind": each.card.kind, "sha256": each.sha256, "licence": each.card.licence}
        for each in bundles
    ]
    own = [f"{each.card.name}: {each.card.limits}" for each in bundles]
    return Card(
        kind="ensemble",
        name=name,
        version=version("lociscope"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=licence,
        classes=tuple(sorted({number for each in bundles for number in each.card.classes})),
        input=leader.card.input,
        decide=Decision(policy=stored.policy, thresholds=tuple(stored.thresholds)),
        metrics=_read_scores(folder),
        provenance={"combiner": stored.combiner, "members": described, "folds": trainings},
        limits=" ".join(own) if limits is None else limits,
    )


def _read_scores(folder: Path) -> dict[str, Score]:
    """Return the scores of the fit: those that its nested cross-validation expects on new fields."""
    try:
        data = (folder / REPORT).read_bytes()
    except OSError:
        return {}
    report = parse_model(data, EnsembleReport, SCHEMA, f"'{folder / REPORT}'")
    what = f"nested cross-validation over the {report.fields} fields of the fit"
    found = {"macro_f1": report.expected, **{key: report.scores[key] for key in _SCORES if key in report.scores}}
    return {
        key: Score(value=each.value, low=each.low, high=each.high, n=each.n, what=f"{what}; {each.level:.0%} interval")
        for key, each in found.items()
        if each.value is not None and each.low is not None and each.high is not None
    }


def _add_selftest(draft: Bundle) -> Bundle:
    """Return the bundle with two simulated fields and what it predicts for them."""
    spec = draft.card.input
    pixels = [
        prepare(simulate_field(number, seed=REFERENCE_SEED, size=SELFTEST_SIDE).pixels, spec)
        for number in range(SELFTEST_FIELDS)
    ]
    inputs = np.stack(pixels).astype(np.float32) / np.float32(255)
    model = EnsembleOfModels(draft, RuntimeOptions(), tta=False)
    found = predict_selftest(model, draft.card, inputs)
    return Bundle(draft.folder, draft.card, draft.model, Selftest(inputs, found), "", members=draft.members)


def _find_fields(bundles: Sequence[Bundle], catalog: Path | None, number: int, workers: int) -> Iterator[Field] | None:
    """Return the fields of the reference; None if none are wanted or known."""
    if not number:
        return None
    if catalog is not None:
        return islice(map(read_field, read_catalog_sources(Catalog.read(catalog))), number)
    kinds: list[Any] = [
        (one.get("data") or {}).get("kind")
        for each in bundles
        for one in each.card.provenance.get("folds") or [each.card.provenance]
    ]
    if any(kind != "simulated" for kind in kinds):
        return None
    return simulate_fields(REFERENCE_SEED, number, workers)


def _describe_fields(catalog: Path | None) -> tuple[str, Any]:
    if catalog is None:
        return f"simulated fields, one of each specimen, of seed {REFERENCE_SEED}", "simulated"
    return f"fields of Catalog '{catalog.name}'", "catalog"
