"""Summaries of labels, rare classes, and labels that the picture contradicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.explore.contradictions import calibrate, find_contradictions, score_contradictions
from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.data.explore.labels import LabelSummary, find_rare_classes, order_classes, summarize_labels
from lociscope.labels import N_LABELS, to_multi_hot
from lociscope.splits.groups import group_ids


def summarize(*targets: tuple[int, ...] | None, **columns: str) -> LabelSummary | None:
    catalog = Catalog.from_entries([Entry(f"f{n}", each, **columns) for n, each in enumerate(targets)], Path())  # type: ignore[arg-type]
    return summarize_labels(catalog, group_ids(catalog))


def test_labels_are_counted() -> None:
    made = summarize((0, 25), (0,), (0, 25), None, (), cell_line="U-2 OS", antibody="A")
    assert made is not None
    assert (made.fields, made.counts[0], made.counts[25], made.groups[0]) == (4, 3, 2, 1)
    assert made.per_field == {0: 1, 1: 1, 2: 2}
    assert made.pairs[0, 25] == 2
    assert made.sets[0] == ((0, 25), 2)
    assert made.distinct_sets == 3
    assert made.lines["U-2 OS"][0] == 4
    assert summarize(None, None) is None


def test_classes_that_occur_together_are_neighbours() -> None:
    truth = to_multi_hot([(0, 20), (0, 20), (5, 9), (5, 9), (0, 20), (5, 9), (3,)]).astype(int)
    order = order_classes(truth.T @ truth, len(truth))
    assert sorted(order) == [0, 3, 5, 9, 20]
    assert abs(order.index(0) - order.index(20)) == abs(order.index(5) - order.index(9)) == 1


def test_classes_that_are_absent_or_rare_are_findings() -> None:
    made = summarize(*[(0,)] * 20, *[(1,)] * 19)
    assert made is not None
    found = {each.labels[0]: each for each in find_rare_classes(made)}
    assert 0 not in found
    assert (found[1].kind, found[1].figures["fields"]) == (FindingKind.CLASS_TOO_RARE, 19)
    assert found[2].kind == FindingKind.CLASS_ABSENT
    assert len(found) == N_LABELS - 1


def noisy(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of which 5 % are wrong, which these are, and probabilities of a fair model."""
    rng = np.random.default_rng(seed)
    truth = to_multi_hot([(int(rng.integers(6)), int(rng.integers(6, 10))) for _ in range(n)]).astype(bool)
    probability = 1 / (1 + np.exp(-(5 * truth - 3 + rng.normal(0, 1, truth.shape))))
    given, wrong = truth.copy(), np.zeros(n, bool)
    for row in rng.permutation(n)[: n // 20]:
        given[row, rng.choice(np.flatnonzero(truth[row]))] = False
        given[row, rng.choice(np.flatnonzero(~truth[row]))] = True
        wrong[row] = True
    return given, wrong, probability


def test_replaced_labels_rank_first() -> None:
    given, wrong, probability = noisy()
    scores = score_contradictions(given, calibrate(given, probability))
    assert wrong[np.argsort(-scores)[: wrong.sum()]].mean() >= 0.9


def test_a_contradiction_names_the_label_and_what_the_picture_shows() -> None:
    given, wrong, probability = noisy()
    ids = [f"f{row}" for row in range(len(given))]
    found = find_contradictions(ids, [tuple(np.flatnonzero(row).tolist()) for row in given], probability)
    flagged = {int(each.ids[0][1:]) for each in found}
    assert wrong.sum() / 2 < len(flagged) <= wrong.sum()
    assert flagged <= {*np.flatnonzero(wrong).tolist()}
    worst = max(found, key=lambda each: each.score)
    row = int(worst.ids[0][1:])
    assert given[row, worst.labels[0]]
    assert not given[row, worst.suggested[0]]
    assert worst.figures["probability_of_label"] < 0.5 < worst.figures["probability_of_suggested"]
    unusable = np.array([name != worst.ids[0] for name in ids])
    again = find_contradictions(ids, [tuple(np.flatnonzero(r).tolist()) for r in given], probability, unusable)
    assert worst.ids not in {each.ids for each in again}
    assert find_contradictions([], [], np.zeros((0, N_LABELS))) == []


def test_json_has_no_empty_attributes() -> None:
    assert Finding(FindingKind.BLANK, ("a",), 1.0, ("red",)).to_json() == {
        "kind": "blank",
        "ids": ("a",),
        "score": 1.0,
        "channels": ("red",),
    }
