"""The receptive fields of networks, against the papers' figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.models.alexnet import alexnet_published
from lociscope.models.cost import count_macs
from lociscope.models.lenet5 import lenet5, lenet5_published
from lociscope.models.small import small

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture(scope="module")
def analyze(load_script: Callable[[str], ModuleType]) -> Callable[..., list[Any]]:
    function: Callable[..., list[Any]] = load_script("docs/_generate/layer_facts").analyze_layers
    return function


@pytest.mark.parametrize(("name", "side"), [("C1", 5), ("S2", 6), ("C3", 14), ("S4", 16), ("C5", 36 - 4)])
def test_lenet5_sees_what_the_paper_says(analyze: Callable[..., list[Any]], name: str, side: int) -> None:
    published = {each.name: each for each in analyze(lenet5_published())}
    assert published[name].receptive_field == side


def test_alexnet_sees_195_pixels_at_pool5(analyze: Callable[..., list[Any]]) -> None:
    # Araujo et al. 2019, table 1: AlexNet v2's conv5 163 and pool5 195.
    side = {each.name: each.receptive_field for each in analyze(alexnet_published())}
    assert side["conv1"] == 11
    assert side["conv5"] == 163
    assert side["pool5"] == 195


def test_the_sums_are_the_networks_own(analyze: Callable[..., list[Any]]) -> None:
    network = lenet5(64)
    facts = analyze(network)
    assert sum(each.parameters for each in facts) == network.count_params()
    assert sum(each.macs for each in facts) == count_macs(network)


def test_branches_meet_at_the_widest(analyze: Callable[..., list[Any]]) -> None:
    facts = {each.name: each for each in analyze(small(64), field_um=164)}
    assert facts["stem"].receptive_field == 7
    assert facts["block1_conv2"].receptive_field == 7 + 2 * 4 + 2 * 8
    assert facts["block1_add"].receptive_field == facts["block1_conv2"].receptive_field
    assert facts["block1_add"].receptive_field_um == pytest.approx((7 + 2 * 4 + 2 * 8) * 164 / 64, abs=0.05)
    assert facts["logits"].receptive_field is None
