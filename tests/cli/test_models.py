"""`lociscope models`: added, listed, shown, promoted, rolled back, retired."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from fixtures.pixels import patches
from msgspec import structs

from lociscope.artifacts.bundle import Selftest, read_bundle, write_bundle
from lociscope.images.discovery.field_source import Failure
from lociscope.registry.model_registry import Registry
from lociscope.workflows import fetch_model
from lociscope.workflows.import_model import ImportedModel

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def models(
    lociscope: Command, make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """`models("list")` runs `lociscope models list` on a registry of two versions."""
    monkeypatch.setenv("LOCISCOPE_REGISTRY", str(tmp_path / "models"))
    for seed in range(2):
        made = make_bundle(tmp_path / f"b{seed}", seed)
        code, out, err = lociscope("models", "add", made, "--why", "new")
        assert (code, err, out.startswith(f"tiny{seed}-0-")) == (0, "", True)
    return lambda *words: lociscope("models", *words)


def test_a_life_of_two_versions(models: Command, tmp_path: Path) -> None:
    assert models("promote", "tiny0", "--why", "first", "--who", "ann")[0] == 0
    code, out, _ = models("promote", "tiny1", "--why", "better", "--who", "ann")
    assert (code, out.startswith("production is tiny1-0-")) == (0, True)
    newest, oldest = models("list")[1].splitlines()
    assert newest.startswith("tiny1-0-")
    assert newest.endswith("production")
    assert oldest.split()[-1] == getpass.getuser()
    code, out, _ = models("rollback", "--why", "worse", "--who", "bob")
    assert (code, out.startswith("production is tiny0-0-")) == (0, True)
    assert models("promote", "tiny1", "--alias", "candidate")[0] == 0
    assert models("retire", "tiny1")[0] == 1  # it is in use
    assert models("withdraw", "--why", "no candidate")[:2] == (0, "candidate is withdrawn\n")
    assert models("withdraw", "--alias", "production")[0] == 1
    assert models("retire", "tiny1", "--why", "worse")[0] == 0
    assert models("list")[1].splitlines()[0].endswith("retired")
    code, out, _ = models("show", "production")
    assert "in use as                production" in out
    assert out.splitlines()[-1].split("  ")[1:] == ["rollback production", "bob", "worse"]


def test_json(models: Command) -> None:
    models("promote", "tiny0", "--why", "first", "--who", "ann")
    newest, oldest = json.loads(models("list", "--json")[1])
    assert (newest["aliases"], oldest["aliases"]) == ([], ["production"])
    shown = json.loads(models("show", "tiny0", "--json")[1])
    assert shown["sha256"] == oldest["sha256"]
    assert [event["action"] for event in shown["history"]] == ["add", "promote"]
    assert shown["limits"] == "For tests."


def test_what_does_not_reproduce_its_self_test_is_refused(models: Command, tmp_path: Path) -> None:
    good = read_bundle(tmp_path / "b0")
    wrong = Selftest(good.selftest.input, np.clip(good.selftest.probabilities + 0.01, 0, 1))
    write_bundle(tmp_path / "wrong", good.card, good.model, wrong, {})
    version = models("add", tmp_path / "wrong")[1].strip()
    models("promote", "tiny1")
    before = Registry(tmp_path / "models").path()
    code, out, err = models("promote", version)
    assert (code, out) == (4, "")
    assert f"'{version}' is not promoted to 'production'. Bundle" in err
    assert "fails its self-test on this machine" in err
    assert Registry(tmp_path / "models").path() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("promote", "tyni0-0"), "Did you mean 'tiny0-0'?"),
        (("rollback", "--alias", "prod"), "has no alias 'prod'"),
        (("add", "b7"), "is not a bundle"),
        (("show", "tiny"), "Give more of its name"),
    ],
)
def test_wrong_arguments(models: Command, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = models(*words)
    assert (code, out) == (1, "")
    assert sentence in err


def test_a_user_without_a_name(models: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no name")

    monkeypatch.setattr(getpass, "getuser", nobody)
    models("promote", "tiny0")
    assert Registry(tmp_path / "models").state().history[-1].who == "unknown"


def test_a_published_model_that_is_not_there(lociscope: Command, tmp_path: Path) -> None:
    code, out, err = lociscope("models", "fetch", "gapnet", "-o", tmp_path / "b")
    assert (code, out) == (2, "")
    assert "Did you mean 'gapnet-pl'?" in err
    code, out, err = lociscope("models", "fetch", "gapnet-pl", "--from", tmp_path, "-o", tmp_path / "b")
    assert (code, out) == (1, "")
    assert "has neither 'gapnet-pl.ckpt.data-00000-of-00001' nor 'gapnet_pl.npz'" in err


def test_fields_that_cannot_be_read_are_reported(
    lociscope: Command, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(tiny_bundle)
    bundle = replace(bundle, card=structs.replace(bundle.card, provenance={"source": "a paper"}))
    model = SimpleNamespace(
        expected=SimpleNamespace(size=(8, 8), layout="NHWC"), preparation=SimpleNamespace(channels="RGBY"),
        given=SimpleNamespace(activation="sigmoid"), difference=1e-6,
    )  # fmt: skip
    failures = [Failure("a9", "a9_red.png", "'a9_red.png' is empty.", "corrupt")]

    def fetch(*_: Any, **__: Any) -> ImportedModel:
        return ImportedModel(bundle, cast("Any", model), 5, failures)

    monkeypatch.setattr(fetch_model, "fetch_model", fetch)
    code, out, err = lociscope("models", "fetch", "gapnet-pl", "-o", tmp_path / "b", "-c", tmp_path / "c.csv")
    assert (code, out.strip()) == (3, str(tmp_path / "b"))
    assert "a paper" in err
    assert "1 field cannot be read; the first: 'a9_red.png' is empty." in err


def test_the_gate_refuses_and_an_override_is_shown(
    models: Command, lociscope: Command, write_field: Callable[..., Path], tmp_path: Path
) -> None:
    rows = ["id,target,red,green,blue,yellow,pixel_size"]
    for number in range(20):
        pixels = patches((32, 32, 4), number) * np.random.default_rng(number).random(4)
        write_field(f"f{number}", tmp_path / "test", pixels.astype(np.uint8))
        planes = ",".join(f"test/f{number}_{name}.png" for name in ("red", "green", "blue", "yellow"))
        rows.append(f"f{number},1 3 5 6 7 10 11 16 18 19 20 21 23 25,{planes},5.125")  # as tiny0 predicts most
    (tmp_path / "frozen.csv").write_text("\n".join(rows) + "\n")
    assert models("promote", "tiny0")[0] == 0
    code, out, _ = models("gate", "--catalog", "frozen.csv", "--max-seconds", 60, "--why", "agreed")
    assert (code, out.startswith("the gate compares with ")) == (0, True)
    code, _, err = models("promote", "tiny1")
    assert (code, "It does not pass the gate: Its macro-F1 differs by -" in err) == (4, True)
    assert "or pass --override" in err
    code, out, _ = models("promote", "tiny1", "--override", "for the demo")
    assert (code, out.splitlines()[0].startswith("production is tiny1")) == (0, True)
    shown = models("show", "production")[1]
    assert "gate overridden (for the demo): Its macro-F1" in shown
    event = json.loads(models("show", "production", "--json")[1])["history"][-1]
    assert (event["gate"]["passed"], event["gate"]["override"]) == (False, "for the demo")
