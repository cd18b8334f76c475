"""What is served, and the promotion that takes its place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from lociscope.errors import LociscopeError
from lociscope.registry.model_registry import Registry
from lociscope.service import model_holder as served_module
from lociscope.service.model_holder import ModelHolder, create_model_holder

MakeBundle = Callable[..., Path]


def name_of(served: ModelHolder) -> str:
    return served.predictor.bundle.card.name


def test_a_promotion_is_taken_up_and_a_rollback(tmp_path: Path, make_bundle: MakeBundle) -> None:
    registry = Registry(tmp_path / "registry")
    versions = [registry.add(make_bundle(tmp_path / str(seed), seed), who="me", why="try").version for seed in (1, 2)]
    registry.promote(versions[0], who="me", why="first")
    served = create_model_holder(None, registry.folder, 2)
    assert (name_of(served), served.refresh()) == ("tiny1", False)
    first = served.predictor
    registry.promote(versions[1], who="me", why="better")
    assert served.refresh()
    assert (name_of(served), first.bundle.card.name) == ("tiny2", "tiny1")
    registry.rollback(who="me", why="worse")
    assert served.refresh()
    assert name_of(served) == "tiny1"


def test_one_that_fails_is_logged_once_and_the_old_one_stays(
    tmp_path: Path, make_bundle: MakeBundle, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = make_bundle(tmp_path / "good", 1), make_bundle(tmp_path / "bad", 2)
    (bad / "model.onnx").write_bytes(b"altered")
    named = good
    served = ModelHolder(lambda: named)
    named = bad
    with caplog.at_level(logging.ERROR, "lociscope"):
        assert [served.refresh() for _ in range(3)] == [False] * 3
    assert name_of(served) == "tiny1"
    assert len(caplog.records) == 1
    assert "the old one stays" in caplog.text
    named = make_bundle(tmp_path / "next", 3)
    assert served.refresh()
    assert name_of(served) == "tiny3"


def test_one_that_is_not_complete_yet_is_tried_again(tmp_path: Path, make_bundle: MakeBundle) -> None:
    now = 0.0
    named = make_bundle(tmp_path / "one", 1)
    served = ModelHolder(lambda: named, clock=lambda: now)
    named = make_bundle(tmp_path / "two", 2)
    model = (named / "model.onnx").read_bytes()
    (named / "model.onnx").write_bytes(model[:100])  # half copied
    tried = []
    for now in range(40):
        before = served._retry_at
        assert not served.refresh()
        if served._retry_at != before:
            tried.append(now)
    assert tried == [0, 1, 3, 7, 15, 25, 35]  # after 1, 2, 4, 8 s, then every 10 s
    assert (served.is_pending, served.version[:7], served.promoted) == (True, "tiny1-0", "two")
    (named / "model.onnx").write_bytes(model)
    now = 200.0
    assert served.refresh()
    assert (name_of(served), served.is_pending, served.promoted) == ("tiny2", False, served.version)


def test_another_one_is_tried_at_once_and_a_rollback_ends_the_complaint(
    tmp_path: Path, make_bundle: MakeBundle
) -> None:
    one, two = make_bundle(tmp_path / "one", 1), make_bundle(tmp_path / "two", 2)
    named = one
    served = ModelHolder(lambda: named, clock=lambda: 0.0)
    named = tmp_path / "absent"
    assert [served.refresh(), served.refresh(), served.is_pending] == [False, False, True]
    named = one
    assert [served.refresh(), served.is_pending] == [False, False]
    named = tmp_path / "absent"
    assert not served.refresh()
    named = two
    assert [served.refresh(), served.is_pending] == [True, False]


def test_a_registry_that_cannot_be_read_for_a_while(tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = False

    def named() -> Path:
        if gone:
            raise OSError("gone")
        return tiny_bundle

    served = ModelHolder(named)
    gone = True
    with caplog.at_level(logging.ERROR, "lociscope"):
        assert [served.refresh(), served.refresh()] == [False, False]
    assert len(caplog.records) == 1
    assert (served.is_pending, served.promoted) == (True, None)
    gone = False
    assert not served.refresh()
    assert (name_of(served), served.is_pending) == ("tiny0", False)


def test_it_looks_by_itself(tmp_path: Path, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(served_module, "POLL_SECONDS", 0.01)
    seen = threading.Event()
    named = make_bundle(tmp_path / "one", 1)

    def asked() -> Path:
        if named.name == "two":
            seen.set()
        return named

    served = ModelHolder(asked)
    served.start()
    named = make_bundle(tmp_path / "two", 2)
    assert seen.wait(30)
    served.stop()
    assert name_of(served) == "tiny2"


def test_nothing_to_serve(tmp_path: Path) -> None:
    for bundle, registry in ((tmp_path / "none", None), (None, tmp_path / "none")):
        with pytest.raises(LociscopeError):
            create_model_holder(bundle, registry, 2)


def test_threads_are_shared_among_workers(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(served_module, "open_bundle", lambda folder, threads: taken.append(threads))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    for workers in (1, 2, 16):
        create_model_holder(tiny_bundle, None, workers)
    assert taken == [8, 4, 1]
