"""Which engine is chosen, and what each refuses."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.predict import ray_connection, ray_engine
from lociscope.predict.loading import predict_sources
from lociscope.storage.remote import RemotePath
from lociscope.workflows.engines import check_local, choose_engine

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


@pytest.mark.slow
def test_engines_by_name() -> None:
    assert choose_engine("local") is predict_sources
    pytest.importorskip("ray.data")
    assert choose_engine("ray", "auto") == ray_engine.RayCluster("auto")


@pytest.mark.parametrize(
    ("name", "address", "code"), [("rya", None, Code.UNKNOWN_NAME), ("local", "auto", Code.INVALID_VALUE)]
)
def test_wrong_choices(name: str, address: str | None, code: Code) -> None:
    with pytest.raises(LociscopeError) as caught:
        choose_engine(name, address)
    assert caught.value.code == code


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def hide(name: str) -> ModuleSpec | None:
        return None if name.startswith("ray") else find(name)

    monkeypatch.setattr(ray_connection, "find_spec", hide)
    with pytest.raises(MissingExtraError, match="cluster"):
        choose_engine("ray")


@pytest.mark.parametrize(("cells", "explain"), [(True, False), (False, True)])
def test_cells_and_pictures_are_made_here(cells: bool, explain: bool) -> None:
    check_local(Path("out.csv"), "local", cells=cells, explain=explain)
    check_local(RemotePath("s3://bucket/out.csv"), "ray", cells=False, explain=False)
    for output, engine in ((Path("out.csv"), "ray"), (RemotePath("s3://bucket/out.csv"), "local")):
        with pytest.raises(LociscopeError) as caught:
            check_local(output, engine, cells=cells, explain=explain)
        assert caught.value.code == Code.INVALID_VALUE
