"""What a network's layers see, against the papers' own figures."""

from __future__ import annotations

import pytest

from lociscope.models.alexnet import alexnet_published
from lociscope.models.anatomy import LayerFacts, anatomy
from lociscope.models.cost import macs_of
from lociscope.models.lenet5 import lenet5, lenet5_published
from lociscope.models.small import small


@pytest.fixture(scope="module")
def published() -> dict[str, LayerFacts]:
    return {each.name: each for each in anatomy(lenet5_published())}


@pytest.mark.parametrize(("name", "seen"), [("C1", 5), ("S2", 6), ("C3", 14), ("S4", 16), ("C5", 36 - 4)])
def test_lenet5_sees_what_the_paper_says(published: dict[str, LayerFacts], name: str, seen: int) -> None:
    assert published[name].seen == seen


def test_alexnet_sees_195_pixels_at_pool5() -> None:
    # Araujo et al. 2019, table 1: AlexNet v2's conv5 163 and pool5 195.
    seen = {each.name: each.seen for each in anatomy(alexnet_published())}
    assert seen["conv1"] == 11
    assert seen["conv5"] == 163
    assert seen["pool5"] == 195


def test_the_sums_are_the_networks_own() -> None:
    network = lenet5(64)
    facts = anatomy(network)
    assert sum(each.parameters for each in facts) == network.count_params()
    assert sum(each.macs for each in facts) == macs_of(network)


def test_branches_meet_at_the_widest() -> None:
    facts = {each.name: each for each in anatomy(small(64), field_um=164)}
    assert facts["stem"].seen == 7
    assert facts["block1_conv2"].seen == 7 + 2 * 4 + 2 * 8
    assert facts["block1_add"].seen == facts["block1_conv2"].seen
    assert facts["block1_add"].seen_um == pytest.approx((7 + 2 * 4 + 2 * 8) * 164 / 64, abs=0.05)
    assert facts["logits"].seen is None
