"""Promotion through the gate: refused, overridden with a reason that is kept, and passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.pixels import patches
from msgspec.structs import replace

from lociscope.artifacts.bundle import read_bundle, write_bundle
from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.retraining import Ancestor, Retraining, Source, mark_ids
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.predict.predictor import open_bundle
from lociscope.registry.gate import PromotionRefusedError, read_gate
from lociscope.registry.model_registry import Registry
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.store import open_review
from lociscope.workflows.promote import judge, promote, set_gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BY: dict[str, Any] = {"who": "ann", "why": "test"}


@pytest.fixture
def registry(tmp_path: Path, make_bundle: Callable[..., Path]) -> Path:
    """Two different bundles, of which tiny0 is in use."""
    models = Registry(tmp_path / "models")
    for seed in range(2):
        models.add(make_bundle(tmp_path / f"b{seed}", seed), **BY)
    promote(tmp_path / "models", "tiny0", **BY)
    return tmp_path / "models"


@pytest.fixture
def frozen(tmp_path: Path, write_field: Callable[..., Any]) -> Path:
    """Thirty fields, labelled as tiny0 predicts them."""
    for number in range(30):
        pixels = patches((32, 32, 4), number) * np.random.default_rng(number).random(4)
        write_field(f"f{number}", tmp_path / "test", pixels.astype(np.uint8))
    entries = []
    for number in range(30):
        red, green, blue, yellow = (f"test/f{number}_{name}.png" for name in ("red", "green", "blue", "yellow"))
        entries.append(Entry(f"f{number}", None, red, green, blue, yellow, pixel_size=164 / 32, cell_line="HeLa"))
    catalog = Catalog.from_entries(entries, tmp_path)
    sources = read_catalog_sources(catalog)
    model = open_bundle(tmp_path / "b0")
    predicted = model.predict([read_field(source) for source in sources]).predicted
    catalog.with_column("target", [list(each) for each in predicted]).write(tmp_path / "frozen.parquet")
    return tmp_path / "frozen.parquet"


def test_a_worse_candidate_is_refused_and_an_override_is_kept(registry: Path, frozen: Path) -> None:
    set_gate(registry, frozen, max_seconds=60, **BY)
    with pytest.raises(PromotionRefusedError, match="It does not pass the gate: Its macro-F1 differs by") as raised:
        promote(registry, "tiny1", **BY)
    assert raised.value.code == Code.REFUSED
    assert Registry(registry).entry("production").version.startswith("tiny0")
    with pytest.raises(UsageError, match="`override` has no reason"):
        promote(registry, "tiny1", override=" ", **BY)
    entry, found = promote(registry, "tiny1", override="the old one leaks", **BY)
    assert entry.aliases == ("production",)
    assert found is not None
    assert (found.passed, found.override, found.fields) == (False, "the old one leaks", 30)
    gated, promoted = Registry(registry).state().history[-2:]
    assert (gated.action, promoted.gate) == ("gate", found)
    assert found.gain is not None
    assert found.gain < 0


def test_an_equal_candidate_passes(registry: Path, frozen: Path, tmp_path: Path) -> None:
    set_gate(registry, frozen, max_seconds=60, **BY)
    bundle = read_bundle(tmp_path / "b0")
    card = replace(bundle.card, name="twin")
    write_bundle(tmp_path / "twin", card, bundle.model, bundle.selftest, {})
    Registry(registry).add(tmp_path / "twin", **BY)
    entry, found = promote(registry, "twin", **BY)
    assert entry.version.startswith("twin")
    assert found is not None
    assert (found.passed, found.gain, found.low, found.reasons) == (True, 0, 0, [])
    assert Registry(registry).state().history[-1].gate == found
    assert promote(registry, "twin", **BY)[1] is None  # it is in use already
    assert promote(registry, "tiny1", alias="shadow", **BY)[1] is None  # the gate is that of production


def test_a_candidate_that_is_slow_or_knows_fewer_classes_is_refused(
    registry: Path, frozen: Path, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    set_gate(registry, frozen, max_seconds=1e-9, **BY)
    Registry(registry).add(make_bundle(tmp_path / "few", 0, classes=(0, 3, 7)), **BY)
    with pytest.raises(PromotionRefusedError, match=r"It does not know Nuclear membrane.* take longer than"):
        promote(registry, Registry(registry).entries()[0].version, **BY)


def test_a_frozen_test_that_changed_is_refused(registry: Path, frozen: Path) -> None:
    set_gate(registry, frozen, **BY)
    catalog = Catalog.read(frozen)
    Catalog(catalog.table.slice(0, 25), catalog.folder).write(frozen)
    with pytest.raises(PromotionRefusedError, match="is not the one that was fixed"):
        promote(registry, "tiny1", **BY)
    entry, found = promote(registry, "tiny1", override="the disk is gone", **BY)
    assert entry.aliases == ("production",)
    assert found is not None
    assert found.reasons[0].startswith("They could not be compared")


def test_labels_of_reviewers_are_a_slice(registry: Path, frozen: Path, tmp_path: Path) -> None:
    review = str(tmp_path / "review.db")
    catalog = Catalog.read(frozen)
    with open_review(review, create=True) as store:
        for source, entry in zip(read_catalog_sources(catalog), catalog, strict=True):
            empty = np.zeros(28, np.float32)
            store.add([Item(0, source.id, source, "b", (), empty, Reason.RANDOM, 30, "x")])
            item = store.find(source.id, "b")
            assert item is not None
            store.answer(Answer(item.number, "ann", Verdict.LABELLED, entry.target or ()))
    rules = set_gate(registry, frozen, max_seconds=60, review=review, **BY)
    assert read_gate(registry) == rules
    _, found = promote(registry, "tiny1", override="test", **BY)
    assert found is not None
    assert [each.fields for each in found.slices if each.name == "reviewed fields"] == [30]


def test_labels_that_a_candidate_learned_do_not_speak_for_it(registry: Path, frozen: Path, tmp_path: Path) -> None:
    review = str(tmp_path / "review.db")
    sources = read_catalog_sources(Catalog.read(frozen))
    with open_review(review, create=True) as store:
        for number, source in enumerate(sources, 1):
            store.add([Item(0, source.id, source, "b", (), np.zeros(28, np.float32), Reason.RANDOM, 30, "x")])
            store.answer(Answer(number, "ann", Verdict.LABELLED, (0,)))
    set_gate(registry, frozen, max_seconds=60, review=review, **BY)
    bundle, origin = read_bundle(tmp_path / "b1"), Source(catalog="c", sha256="0", fields=1)
    learned = Retraining(
        ancestors=[Ancestor(version="tiny0", sha256="0")], base=origin, labels=[origin], catalog_sha256="0",
        added=mark_ids(each.id for each in sources[:8]),
    )  # fmt: skip
    card = replace(bundle.card, name="again", provenance={"retraining": learned.model_dump(by_alias=True)})
    write_bundle(tmp_path / "again", card, bundle.model, bundle.selftest, {})
    Registry(registry).add(tmp_path / "again", **BY)
    found = judge(registry, "again")
    assert found is not None
    assert [each.fields for each in found.slices if each.name == "reviewed fields"] == [22]
    assert Registry(registry).entry("production").version.startswith("tiny0")
    assert judge(registry, "production") is None


def test_a_gate_needs_labels_and_sane_margins(registry: Path, frozen: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`margin=2`"):
        set_gate(registry, frozen, margin=2, **BY)
    catalog = Catalog.read(frozen)
    Catalog(catalog.table.slice(0, 19), tmp_path).write(tmp_path / "few.parquet")
    with pytest.raises(LociscopeError) as raised:
        set_gate(registry, tmp_path / "few.parquet", **BY)
    assert raised.value.code == Code.NOT_ENOUGH_DATA
    with pytest.raises(LociscopeError, match="is not a registry"):
        set_gate(tmp_path / "nowhere", frozen, **BY)
