"""Stages: what learns, by names; and what is refused before the long part."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lociscope.artifacts.recipe import Recipe, Stage
from lociscope.errors import UsageError
from lociscope.models import build_network
from lociscope.training.stages import check_stages, compile_stage, freeze, get_stages, max_epochs


def recipe(*stages: str, **train: object) -> Recipe:
    rows = [{"unfreeze_from": name, "epochs": 2, "learning_rate": 0.1} for name in stages]
    return Recipe.from_dict({"train": {"epochs": 7, "learning_rate": 0.3} | train, "stages": rows}, "test")


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_network("lenet5", 32, {"width": 0.2})


def learning(model: keras.Model) -> set[str]:
    return {variable.path.split("/")[0] for variable in model.trainable_variables}


def test_without_stages_train_is_the_only_one() -> None:
    (only,) = get_stages(recipe())
    assert (only.unfreeze_from, only.epochs, only.learning_rate) == ("all", 7, 0.3)
    assert max_epochs(recipe()) == 7
    assert max_epochs(recipe("head", "all")) == 4


@pytest.mark.parametrize(
    ("first", "frozen"),
    [("all", set()), ("C5", {"C1", "C1_norm", "C3", "C3_norm"}), ("head", {"C1", "C3", "C5", "F6", "F6_norm"})],
)
def test_layers_before_the_first_are_frozen(network: keras.Model, first: str, frozen: set[str]) -> None:
    freeze(network, first)
    assert not learning(network) & frozen
    assert "evidence" in learning(network)
    freeze(network, "all")
    assert {"C1", "C1_norm", "evidence"} <= learning(network)


def test_frozen_normalisation_keeps_its_statistics(network: keras.Model) -> None:
    freeze(network, "C3")
    before = [np.asarray(network.get_layer(name).moving_mean).copy() for name in ("C1_norm", "C3_norm")]
    network(np.random.default_rng(0).random((4, 32, 32, 4), np.float32), training=True)
    after = [np.asarray(network.get_layer(name).moving_mean) for name in ("C1_norm", "C3_norm")]
    freeze(network, "all")
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_a_network_within_the_network_is_frozen_by_its_layers() -> None:
    inner_in = keras.Input((8, 8, 4))
    inner = keras.Model(
        inner_in, keras.layers.Conv2D(2, 3, name="late")(keras.layers.Conv2D(2, 3, name="early")(inner_in))
    )
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, keras.layers.Dense(2, name="top")(inner(inputs)))
    freeze(model, "late")
    assert learning(model) == {"late", "top"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("C6",), "Stage 1 begins from 'C6', but no layer of 'lenet5' has a name like that. Known: C1, C1_norm, "),
        (("head", "evidenc_e"), "Stage 2 begins from 'evidenc_e'.*Did you mean 'evidence'"),
        (("haed",), "Did you mean 'head'"),
        (("probab",), "but no layer of 'lenet5' has a name like that"),  # behind the logits, where nothing is trained
    ],
)
def test_a_stage_from_nowhere(network: keras.Model, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_stages(network, recipe(*names))


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.01), ("constant", 1.0)])
def test_the_rate_rises_and_then_falls_or_stays(network: keras.Model, schedule: str, end: float) -> None:
    stage = Stage.model_validate({"unfreeze_from": "all", "epochs": 10, "learning_rate": 0.2})
    compile_stage(network, stage, recipe(schedule=schedule, warmup=0.1, optimizer="sgd").train, 10)
    rate = network.optimizer._learning_rate  # the schedule itself; `learning_rate` is its value now
    assert [float(rate(step)) for step in (0, 5, 10, 100)] == pytest.approx([0, 0.1, 0.2, 0.2 * end], abs=1e-6)


def test_of_many_layers_some_are_named() -> None:
    layers = [keras.layers.Dense(1, name=f"block{number}_dense") for number in range(40)]
    model = keras.Sequential([keras.Input((1,)), *layers, keras.layers.Dropout(0, name="dropout")])
    with pytest.raises(UsageError, match=r"Among its layers: block0_dense, block5_dense, .*block35_dense\.$"):
        check_stages(model, recipe("zzz"))
    check_stages(model, recipe("head", "block2", "all"))


def test_the_head_of_a_network_without_dropout_is_its_last_layer() -> None:
    field = keras.Input((8, 8, 4))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="first")(field))
    model = keras.Model(field, keras.layers.Dense(28, name="last")(pooled))
    freeze(model, "head")
    assert learning(model) == {"last"}
