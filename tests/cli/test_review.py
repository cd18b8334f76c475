"""`lociscope review`: queue, status and export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.review.records import Answer, Verdict
from lociscope.review.store import open_review

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_fields_are_queued_counted_and_exported(
    lociscope: Callable[..., tuple[int, str, str]], write_field: Callable[..., Any], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        write_field(f"f{number}", tmp_path / "fields", rng.integers(0, 255, (32, 32, 4)).astype(np.uint8))
    assert lociscope("predict", "fields", "-o", "p.parquet", "--pixel-size", 164 / 32)[0] == 0
    code, out, _ = lociscope("review", "queue", "p.parquet", "fields", "-r", "review.db", "-n", 4)
    assert (code, out.split(" (")[0]) == (0, "4 fields added to review.db")
    code, _, err = lociscope("review", "export", "-r", "review.db", "-o", "labels.parquet")
    assert (code, "no field with agreed labels" in err) == (1, True)
    with open_review(str(tmp_path / "review.db")) as store:
        for reviewer in ("ann", "bob"):
            for item in (1, 2):
                store.answer(Answer(item, reviewer, Verdict.LABELLED, (item,)))
    code, out, _ = lociscope("review", "status", "-r", "review.db")
    assert out.splitlines() == [
        "2 of 4 fields answered: 2 agreed, 0 disputed, 0 that nobody could label",
        "  ann: 2",
        "  bob: 2",
        "  ann and bob: 2 fields, Cohen's kappa 1.00, 100 % the same labels",
    ]
    found = json.loads(lociscope("review", "status", "-r", "review.db", "--json")[1])
    assert (found["agreed"], found["agreement"][0]["kappa"]) == (2, 1)
    assert lociscope("review", "export", "-r", "review.db", "-o", "labels.parquet")[1] == (
        "2 labelled fields in labels.parquet\n"
    )
    assert (tmp_path / "labels.parquet").is_file()
