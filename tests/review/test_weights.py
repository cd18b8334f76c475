"""How many fields each reviewed field stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.review.records import Item, Reason
from lociscope.review.weights import weigh_items


def make_items(*reasons: Reason, batch: str = "a", frame: int = 100, first: int = 1) -> list[Item]:
    source = FieldSource("x", (PlaneRef(Path("x.tif")),) * 4)
    return [
        Item(first + number, f"f{first + number}", source, "b", (), np.zeros(28, np.float32), reason, frame, batch)
        for number, reason in enumerate(reasons)
    ]


R, U = Reason.RANDOM, Reason.UNCERTAIN


def test_a_complete_batch_stands_for_its_frame() -> None:
    weights = weigh_items(make_items(R, U, R, U, R), {1, 2, 3, 4, 5})
    assert weights == {2: 1, 4: 1, 1: 98 / 3, 3: 98 / 3, 5: 98 / 3}
    assert sum(weights.values()) == 100


def test_selected_fields_do_not_count_before_all_of_them_are_labelled() -> None:
    assert weigh_items(make_items(R, U, R, U), {1, 2}) == {1: 100}
    assert weigh_items(make_items(U, U), {1}) == {}
    assert weigh_items(make_items(R, R), {1, 2}) == {1: 50, 2: 50}


def test_batches_are_weighed_alone_and_corrections_never_count() -> None:
    items = (
        make_items(R, R)
        + make_items(R, frame=10, batch="b", first=3)
        + make_items(Reason.CORRECTED, batch="j", first=4)
    )
    assert weigh_items(items, {1, 2, 3, 4}) == {1: 50, 2: 50, 3: 10}
