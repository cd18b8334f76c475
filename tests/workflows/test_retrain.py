"""What a retraining learns from: the fields of the version before, new labels, and nothing of the frozen test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.retraining import Ancestor, Retraining, Source, exclude_marked, find_retraining, mark_ids
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.registry.model_registry import Registry
from lociscope.workflows.retrain import _merge, retrain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHO: dict[str, Any] = {"who": "ann"}


def entry(name: str, target: tuple[int, ...] | None, **more: Any) -> Entry:
    red, green, blue, yellow = (f"fields/{name}_{channel}.png" for channel in ("red", "green", "blue", "yellow"))
    return Entry(name, target, red, green, blue, yellow, **more)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write("base", entry("a", (0,)), …)` writes a Catalog into a folder of its own."""

    def make(name: str, *entries: Entry) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        path = tmp_path / name / f"{name}.parquet"
        Catalog.from_entries(entries, path.parent).write(path)
        return path

    return make


def test_new_labels_are_added_or_replace_old_ones(write: Callable[..., Path], tmp_path: Path) -> None:
    base = write("base", entry("a", (0,), specimen="s1", split="valid"), entry("b", (1,)), entry("c", None))
    labels = write("labels", entry("b", ()), entry("new", (5,)), entry("unlabelled", None))
    more = write("more", entry("c", (7,)))
    merged = _merge(base, [labels, more], None, tmp_path)
    assert {each.id: each.target for each in merged.catalog} == {"a": (0,), "b": (), "c": (7,), "new": (5,)}
    assert (merged.base, merged.labels, merged.relabelled, merged.left_out) == (3, [2, 1], 2, 0)
    first, second, _, last = merged.catalog
    assert (first.specimen, first.split) == ("s1", "valid")
    assert (second.red, last.red) == ("base/fields/b_red.png", "labels/fields/new_red.png")
    assert merged.catalog.folder == tmp_path


def test_fields_of_the_frozen_test_are_left_out(write: Callable[..., Path], tmp_path: Path) -> None:
    frozen = Catalog.read(write("frozen", entry("t", (0,), antibody="HPA1"), entry("u", (1,), specimen="s9")))
    base = write("base", entry("a", (0,)), entry("b", (0,), specimen="s9"))
    labels = write("labels", entry("t", (3,)), entry("x", (3,), antibody="HPA1"), entry("y", (3,), antibody="HPA2"))
    merged = _merge(base, [labels], frozen, tmp_path)
    assert merged.catalog.ids == ["a", "y"]
    assert (merged.base, merged.labels, merged.left_out) == (1, [1], 3)
    only = write("only", entry("t", (3,)))
    with pytest.raises(LociscopeError) as raised:
        _merge(base, [only], frozen, tmp_path)
    assert raised.value.code == Code.NOTHING_FOUND


def test_two_catalogs_of_labels_must_not_contradict(write: Callable[..., Path], tmp_path: Path) -> None:
    base = write("base", entry("a", (0,)))
    with pytest.raises(LociscopeError) as raised:
        _merge(base, [write("one", entry("b", (1,))), write("two", entry("b", (2,)))], None, tmp_path)
    assert raised.value.code == Code.DUPLICATE


def test_a_version_without_recipe_is_refused(
    write: Callable[..., Path], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    version = Registry(models).add(make_bundle(tmp_path / "tiny"), who="ann", why="").version
    labels = write("labels", entry("b", (1,)))
    with pytest.raises(LociscopeError, match="trained elsewhere") as raised:
        retrain(models, [labels], labels, tmp_path / "out", version=version, **WHO)
    assert raised.value.code == Code.UNSUPPORTED_FORMAT
    with pytest.raises(UsageError, match="`labels` is empty"):
        retrain(models, [], labels, tmp_path / "out", version=version, **WHO)
    assert not (tmp_path / "out").exists()


def test_the_origin_survives_a_file_and_hides_ids(tmp_path: Path) -> None:
    source = Source(catalog="labels.parquet", sha256="0" * 64, fields=2)
    record = Retraining(
        ancestors=[Ancestor(version="v1", sha256="1" * 64)], base=source, labels=[source], catalog_sha256="2" * 64,
        added=mark_ids(["patient7_1", "b"]),
    )  # fmt: skip
    assert Retraining.read(tmp_path) is None
    record.write(tmp_path)
    assert Retraining.read(tmp_path) == record
    assert "patient7" not in (tmp_path / Retraining.FILE).read_text()
    assert exclude_marked(["a", "b", "c"], record.added) == ["a", "c"]
    assert find_retraining({"retraining": record.model_dump(by_alias=True)}) == record
    assert find_retraining({}) is None
    (tmp_path / Retraining.FILE).write_text('{"schema": 9}')
    with pytest.raises(LociscopeError) as raised:
        Retraining.read(tmp_path)
    assert raised.value.code == Code.UNSUPPORTED_VERSION
