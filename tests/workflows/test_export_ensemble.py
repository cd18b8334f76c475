"""A fitted ensemble as one bundle: networks of several sizes, some of the classes, and features."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.codes import raises_code
from fixtures.feature_bundles import feature_bundle_at

from lociscope.artifacts.bundle import read_bundle, read_reference
from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.decide.decider import fit_decider, predict_out_of_fold
from lociscope.decide.ensemble import COMBINERS, Combiner, fit_ensemble
from lociscope.decide.stored import ENSEMBLE, StoredEnsemble
from lociscope.errors import Code
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.scale import resize
from lociscope.labels import N_LABELS
from lociscope.predict.cell_source import segment_field
from lociscope.predict.cells import crop_cells, fill_input, predict_cells, shrink
from lociscope.predict.explain import explain_field
from lociscope.predict.predictor import open_bundle
from lociscope.registry.model_registry import Registry
from lociscope.splits.folds import stratified_folds
from lociscope.workflows.ensemble import apply_ensemble, read_members, read_truth
from lociscope.workflows.export_ensemble import export_ensemble
from lociscope.workflows.predict import predict_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KNOWN = (0, 2, 7, 12, 25)


@pytest.fixture(scope="module")
def members(make_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Networks of 16 and 32 px, one of them of five classes, and features."""
    folder = tmp_path_factory.mktemp("members")
    return [
        make_bundle(folder / "large", 1, side=32),
        make_bundle(folder / "some", 2, classes=KNOWN),
        feature_bundle_at(folder / "features"),
    ]


@pytest.fixture(scope="module")
def predicted(members: list[Path], small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("predicted")
    for member in members:
        predict_files(small_catalog, folder / f"{member.name}.parquet", bundle=member, workers=1)
    return [folder / f"{member.name}.parquet" for member in members]


@pytest.fixture(scope="module")
def fitted(predicted: list[Path], small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    ids, stack, identities = read_members(predicted)
    truth, _ = read_truth(small_catalog, ids)
    fold = stratified_folds(truth, 5)
    out_of_fold = predict_out_of_fold(truth, stack, "stacked", fold)
    decider = fit_decider(truth, stack, "stacked", "expected", out_of_fold)
    stored = StoredEnsemble.from_decider(decider, tuple(identities))
    (folder / ENSEMBLE).write_text(stored.model_dump_json(by_alias=True), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bundle(members: list[Path], fitted: Path, small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("ensemble") / "mixed"
    made = export_ensemble(members, fitted, output, catalog=small_catalog, reference=10)
    assert made.has_reference
    assert not made.unidentified
    return output


def test_it_agrees_with_the_offline_ensemble(
    bundle: Path, fitted: Path, predicted: list[Path], small_catalog: Path, tmp_path: Path
) -> None:
    apply_ensemble(fitted, predicted, tmp_path / "offline.parquet")
    offline = Predictions.read(tmp_path / "offline.parquet")
    predict_files(small_catalog, tmp_path / "deployed.parquet", bundle=bundle, workers=1)
    deployed = Predictions.read(tmp_path / "deployed.parquet")
    rows = [deployed.ids.index(name) for name in offline.ids]
    np.testing.assert_allclose(deployed.probability[rows], offline.probability, atol=1e-5)
    assert [deployed.predicted[row] for row in rows] == offline.predicted
    assert [deployed.status[row] for row in rows] == offline.status


def test_what_is_in_it(bundle: Path, members: list[Path]) -> None:
    opened = read_bundle(bundle)
    assert opened.card.kind == "ensemble"
    assert opened.card.classes == tuple(range(N_LABELS))
    assert [member.sha256 for member in opened.members] == [read_bundle(each).sha256 for each in members]
    assert read_reference(opened) is not None
    assert opened.card.input == opened.members[0].card.input


def test_evidence_has_the_probability_of_the_ensemble(bundle: Path, small_catalog: Path) -> None:
    predictor = open_bundle(bundle)
    field = read_field(read_catalog_sources(Catalog.read(small_catalog))[0])
    (evidence,) = explain_field(predictor, field, [7]).evidence
    assert evidence.probability == pytest.approx(float(predictor.predict(field).probability[0, 7]), abs=1e-6)
    embedding = predictor.predict(field, embeddings=True).embedding
    assert embedding is not None
    assert embedding.shape == (1, 4)


def test_evidence_is_the_weighted_mean_of_the_networks(bundle: Path, members: list[Path], small_catalog: Path) -> None:
    predictor = open_bundle(bundle)
    field = read_field(read_catalog_sources(Catalog.read(small_catalog))[0])
    first, second = (network.weights for network in predictor.model.networks)
    np.testing.assert_allclose(first + second, 1)
    assert (first >= 0).all()
    assert not second[[k for k in range(N_LABELS) if k not in KNOWN]].any()
    both = next(k for k in KNOWN if first[k] > 0 and second[k] > 0)
    other = next(k for k in range(N_LABELS) if k not in KNOWN)
    large, some = (open_bundle(member) for member in members[:2])
    found = explain_field(predictor, field, [both, other])
    own = explain_field(large, field, [both, other])
    np.testing.assert_allclose(found.evidence[1].map, own.evidence[1].map, atol=1e-5)  # only it knows the class
    theirs = explain_field(some, field, [both]).evidence[0].map
    mean = (
        first[both] * own.evidence[0].map + second[both] * resize(theirs[..., None], *own.evidence[0].map.shape)[..., 0]
    )
    np.testing.assert_allclose(found.evidence[0].map, mean / mean.max(), atol=0.02)


def test_cells_are_those_of_the_whole_ensemble(
    bundle: Path, members: list[Path], fitted: Path, small_catalog: Path
) -> None:
    predictor = open_bundle(bundle)
    field = read_field(read_catalog_sources(Catalog.read(small_catalog))[0])
    side = len(field.pixels) // 2
    labels = np.zeros(field.pixels.shape[:2], np.int32)
    labels[:side, :side], labels[side:, side:] = 1, 2
    answer = predictor.predict(field).probability[0]
    found = predict_cells(predictor, segment_field(field, predictor.bundle.card.input, labels), answer)
    stack = []
    for member in members:
        alone = open_bundle(member)
        if alone.shows_evidence:
            segmented = segment_field(field, alone.bundle.card.input, labels)
            spec = alone.bundle.card.input
            crops = [crop for crop, _ in crop_cells(segmented.uncut, labels, segmented.geometry)]
            inputs = [fill_input(crop, spec.height, spec.width)[None] for crop in crops]
            stack.append(alone.model.predict(inputs, ("probabilities",))["probabilities"])
        else:
            stack.append(np.repeat(alone.predict(field).probability, 2, axis=0))
    decider = StoredEnsemble.model_validate_json((fitted / ENSEMBLE).read_text("utf-8")).to_decider()
    np.testing.assert_allclose(found.probability, shrink(answer, decider.predict(np.stack(stack))), atol=1e-5)
    assert np.isfinite(found.probability).all()  # also of classes that only some members know


def test_it_can_be_registered(bundle: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    version = registry.add(bundle, who="a", why="b").version
    registry.promote(version, who="a", why="b", check=open_bundle)
    assert len(read_bundle(registry.path()).members) == 3


def test_a_member_that_changed_is_refused(bundle: Path, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    shutil.rmtree(copy / "members" / "0")
    with raises_code(Code.WRONG_FILE):
        read_bundle(copy)
    make_bundle(copy / "members" / "0", 9, side=32)
    with raises_code(Code.ALTERED):
        read_bundle(copy)
    shutil.rmtree(copy)
    shutil.copytree(bundle, copy)
    (copy / "members" / "1" / "card.json").write_text("{}", encoding="utf-8")
    with raises_code(Code.ALTERED):
        read_bundle(copy)
    shutil.rmtree(copy)
    shutil.copytree(bundle, copy)
    make_bundle(copy / "members" / "3")
    with raises_code(Code.REFUSED_CONTENT):
        read_bundle(copy)


def test_members_that_are_links_are_refused(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "linked")
    member = tmp_path / "linked" / "members" / "0"
    shutil.move(member, tmp_path / "elsewhere")
    member.symlink_to(tmp_path / "elsewhere")
    with raises_code(Code.REFUSED_CONTENT):
        read_bundle(tmp_path / "linked")


def test_members_must_be_those_of_the_fit(
    members: list[Path], fitted: Path, bundle: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", 5)
    for wrong in (members[:2], [members[1], members[0], members[2]], [other, *members[1:]]):
        with raises_code(Code.INVALID_VALUE):
            export_ensemble(wrong, fitted, tmp_path / "out", reference=0)
    with raises_code(Code.INVALID_VALUE):
        export_ensemble([bundle, *members[1:]], fitted, tmp_path / "out", reference=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("combiner", COMBINERS)
def test_classes_that_a_member_does_not_know(combiner: Combiner) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((120, N_LABELS)) < 0.3).astype(np.uint8)
    stack = np.clip(0.4 * truth + 0.6 * rng.random((3, 120, N_LABELS)), 0.01, 0.99)
    unknown = [number for number in range(N_LABELS) if number not in KNOWN]
    stack[1][:, unknown] = np.nan
    ensemble = fit_ensemble(truth, stack, combiner)
    assert (ensemble.weights_[1, unknown] == 0).all()
    probability = ensemble.predict(stack)
    assert np.isfinite(probability).all()
    without = fit_ensemble(truth[:, unknown], stack[[0, 2]][:, :, unknown], combiner, None)
    if combiner in ("mean", "logits"):
        np.testing.assert_allclose(probability[:, unknown], without.predict(stack[[0, 2]][:, :, unknown]))
    blind = stack.copy()
    blind[0][:, list(KNOWN)] = np.nan
    if (ensemble.weights_[0, list(KNOWN)] != 0).any():
        with raises_code(Code.INVALID_VALUE):
            ensemble.predict(blind)
    blind[:, :, 3] = np.nan
    with raises_code(Code.INVALID_VALUE):
        fit_ensemble(truth, blind, combiner)
