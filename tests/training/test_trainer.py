"""The registry of trainers: each kind of model has a module with all functions of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.errors import Code, UsageError
from lociscope.training import feature_trainer, keras_trainer
from lociscope.training.trainer import TRAINERS, get_trainer

if TYPE_CHECKING:
    from lociscope.training.trainer import Trainer

IMPLEMENTATIONS: dict[str, Trainer] = {"network": keras_trainer, "features": feature_trainer}
"""mypy checks that each module implements the protocol."""


@pytest.mark.parametrize("kind", TRAINERS)
def test_the_kind_decides_the_trainer(kind: str) -> None:
    assert get_trainer(Recipe.from_dict({"network": {"kind": kind}}, "Mine")) is IMPLEMENTATIONS[kind]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match=r"network\.kind is 'feature'\. Did you mean 'features'\?") as error:
        get_trainer(Recipe.from_dict({"network": {"kind": "feature"}}, "Mine"))
    assert error.value.code == Code.UNKNOWN_NAME


@pytest.mark.parametrize("table", [{"name": "features"}, {"kind": "features"}])
def test_kind_and_name_imply_each_other(table: dict[str, str]) -> None:
    network = Recipe.from_dict({"schema": 1, "network": table}, "Mine").network
    assert (network.kind, network.name) == ("features", "features")
