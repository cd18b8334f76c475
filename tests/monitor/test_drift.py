"""The comparison: reports what moved, nothing else, and what cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.statistics import STATISTICS
from lociscope.monitor import DriftReport, Sample, compare_samples
from lociscope.monitor.report import CauseKind, NotChecked, Note, NoteKind, Part, Reason, Side
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log

if TYPE_CHECKING:
    from pathlib import Path

Draw = Callable[..., Sample]
MONTE_CARLO = pytest.mark.slow  # ten times as many windows; the short form runs in `make test`


def moved(drift: DriftReport) -> set[str]:
    names = {each.name for each in drift.statistics if each.moved}
    names |= {each.label for each in drift.locations if each.moved}
    return names | ({"embedding"} if drift.embedding and drift.embedding.moved else set())


def test_only_what_moved_is_reported(draw: Draw, reference: Sample) -> None:
    drift = compare_samples(draw(40, 1, MedianIntensity_green=-3, Correlation_red_blue=2), reference)
    assert drift.drifted
    assert moved(drift) == {"MedianIntensity_green", "Correlation_red_blue"}
    assert (drift.fields, drift.reference_fields, drift.level) == (40, 100, 0.05)
    assert (drift.checked, drift.not_checked) == (["locations", "pixel statistics", "embeddings"], [])


def test_embeddings_and_locations_are_reported(draw: Draw, reference: Sample) -> None:
    window = draw(40, 1)
    assert window.embedding is not None
    drift = compare_samples(
        replace(window, embedding=window.embedding + 1, locations=window.locations | (np.arange(28) == 7)), reference
    )
    assert moved(drift) == {"embedding", "Golgi apparatus"}
    golgi = drift.locations[7]
    assert (golgi.label, golgi.window, golgi.moved) == ("Golgi apparatus", 40, True)


@pytest.mark.parametrize(("windows", "most"), [(10, 3), pytest.param(100, 11, marks=MONTE_CARLO)])
def test_unchanged_windows_raise_no_more_alarms_than_the_level(
    draw: Draw, reference: Sample, windows: int, most: int
) -> None:
    alarms = [compare_samples(draw(20, seed), reference, seed=seed).drifted for seed in range(windows)]
    assert sum(alarms) <= most  # at 0.05: more than 11 of 100 once in 200, more than 3 of 10 once in 1000


def test_the_same_seed_gives_the_same(draw: Draw, reference: Sample) -> None:
    assert compare_samples(draw(20, 3), reference, seed=5) == compare_samples(draw(20, 3), reference, seed=5)


@pytest.mark.parametrize(
    ("windows", "grouped_windows"), [pytest.param(4, 1, marks=pytest.mark.slow), pytest.param(20, 5, marks=MONTE_CARLO)]
)
def test_copies_of_few_fields_are_not_evidence_when_grouped(
    draw: Draw, reference: Sample, windows: int, grouped_windows: int
) -> None:
    """Six specimens of 20 fields each raise alarms if they are compared as 120 independent fields."""
    few = [draw(6, seed) for seed in range(windows)]
    alone, grouped = 0, 0
    for seed, one in enumerate(few):
        many = replace(one.take(np.repeat(np.arange(6), 20)), ids=[f"w{n // 20}_{n % 20}" for n in range(120)])
        alone += compare_samples(many, reference, seed=seed).drifted
        if seed < grouped_windows:
            drift = compare_samples(many, reference, group=re.compile(r"^w(\d+)_"), seed=seed)
            grouped += drift.drifted
            assert drift.groups == 6
    assert alone == windows
    assert grouped == 0


def test_a_shift_is_seen_through_groups(draw: Draw, reference: Sample) -> None:
    drift = compare_samples(draw(40, 1, MedianIntensity_green=-4), reference, group=re.compile(r"w\d+"))
    assert moved(drift) == {"MedianIntensity_green"}
    assert compare_samples(draw(40, 1), reference, group=re.compile("nowhere")).groups == 40


@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_window_or_reference_that_is_too_small_is_refused(draw: Draw, reference: Sample, n: int) -> None:
    with pytest.raises(LociscopeError, match=rf"Seed 1 is too small .*: {n} fields?, expected 5 or more") as raised:
        compare_samples(draw(n, 1), reference)
    assert raised.value.code == Code.NOT_ENOUGH_DATA
    with pytest.raises(LociscopeError, match="Pass a larger `reference`"):
        compare_samples(reference, draw(n, 1))
    with pytest.raises(LociscopeError, match="100 fields in 1 groups, expected 5"):
        compare_samples(replace(reference, name="log"), draw(20, 1), group=re.compile("^p1"))


def test_a_small_window_is_noted(draw: Draw, reference: Sample) -> None:
    assert compare_samples(draw(5, 1), reference).notes == [Note(kind=NoteKind.SMALL_WINDOW)]
    assert not compare_samples(draw(30, 1), reference).notes


def test_fields_of_another_bundle_share_only_their_intensities(draw: Draw, reference: Sample) -> None:
    drift = compare_samples(draw(40, 1, bundle="b" * 64, BrightIntensity_red=6), reference)
    assert (drift.embedding, drift.locations) == (None, [])
    assert len(drift.statistics) == 12
    assert moved(drift) == {"BrightIntensity_red"}
    assert drift.checked == [Part.PIXELS]
    assert drift.not_checked == [
        NotChecked(part=part, reason=Reason.OTHER_BUNDLE, bundles=("b" * 64, "a" * 64))
        for part in (Part.LOCATIONS, Part.INPUT_PIXELS, Part.EMBEDDINGS)
    ]
    with pytest.raises(LociscopeError, match=r"^Nothing can be compared\. Locations: Bundle bbb.*has none"):
        compare_samples(replace(draw(40, 1, bundle="b" * 64), statistics=None), reference)


def test_without_statistics_or_embeddings_the_rest_is_compared(draw: Draw, reference: Sample) -> None:
    drift = compare_samples(replace(draw(40, 1), statistics=None, embedding=None), reference)
    assert (drift.statistics, drift.embedding, len(drift.locations)) == ([], None, 28)
    assert (drift.checked, drift.drifted) == (["locations"], False)
    assert drift.not_checked == [
        NotChecked(part=Part.PIXELS, reason=Reason.NO_STATISTICS, sides=(Side.WINDOW,)),
        NotChecked(part=Part.EMBEDDINGS, reason=Reason.NO_EMBEDDINGS, sides=(Side.WINDOW,)),
    ]
    neither = compare_samples(replace(draw(40, 1), statistics=None), replace(reference, statistics=None))
    assert neither.checked == ["locations", "embeddings"]
    assert neither.not_checked[0].sides == (Side.WINDOW, Side.REFERENCE)
    short = compare_samples(replace(draw(40, 1), embedding=np.zeros((40, 3), np.float32)), reference)
    assert short.embedding is None
    assert short.not_checked == [NotChecked(part=Part.EMBEDDINGS, reason=Reason.OTHER_LENGTH)]


def test_an_unknown_bundle_is_noted(draw: Draw, reference: Sample) -> None:
    notes = compare_samples(replace(draw(40, 1), bundle=None), reference).notes
    assert notes == [Note(kind=NoteKind.UNKNOWN_BUNDLE, sides=(Side.WINDOW,))]


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """HPA's fields and those of another cell line under a drug, through the shipped bundle and a log."""
    predictor = open_bundle(threads=1)
    samples = {}
    for name, folder in (("hpa", "hpa2018/train"), ("cm4ai", "cm4ai")):
        fields = [read_field(source) for source in find_fields([real_data / folder], Rules())[0]]
        prepared = [predictor.prepare(field) for field in fields]
        with open_log(str(tmp_path_factory.mktemp("logs") / name)) as log:
            statistics = np.stack([each.statistics for each in prepared])
            log.add(predictor.run(prepared, embeddings=True), statistics, bundle="a" * 64, command="predict")
            samples[name] = Sample.from_log(log.read(), name)
    return samples


@pytest.mark.slow
@pytest.mark.parametrize(("halves", "most"), [(10, 2), pytest.param(100, 5, marks=MONTE_CARLO)])
def test_other_cells_differ_from_hpa_s_fields_and_halves_of_these_do_not(
    real: dict[str, Sample], halves: int, most: int
) -> None:
    hpa, cm4ai = real["hpa"], real["cm4ai"]
    assert (len(hpa), len(cm4ai)) == (56, 5)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(56) for _ in range(halves)]
    few = enumerate(orders[: halves // 10])
    alarms = [compare_samples(cm4ai, hpa.take(order[:28]), seed=seed).drifted for seed, order in few]
    assert all(alarms)
    compared = [
        compare_samples(hpa.take(order[:28]), hpa.take(order[28:]), seed=seed) for seed, order in enumerate(orders)
    ]
    assert sum(each.drifted for each in compared) <= most


def test_fields_in_both_samples_are_noted(draw: Draw, reference: Sample) -> None:
    window = draw(40, 1)
    both = window.take(np.arange(6, 40))
    assert compare_samples(window, both).notes == [Note(kind=NoteKind.OVERLAP, count=34)]
    found = compare_samples(replace(window, statistics=None), replace(both, statistics=None))
    assert found.notes[-1].count == 34


def test_a_field_that_was_predicted_again_counts_once(draw: Draw, reference: Sample) -> None:
    once = draw(30, 4)
    assert once.statistics is not None
    assert once.embedding is not None
    again = replace(
        once, ids=once.ids * 4, locations=np.tile(once.locations, (4, 1)), statistics=np.tile(once.statistics, (4, 1)),
        embedding=np.tile(once.embedding, (4, 1)),
    )  # fmt: skip
    found = compare_samples(again, reference)
    assert Note(kind=NoteKind.REPEATED, count=90) in found.notes
    assert found.model_copy(update={"notes": []}) == compare_samples(once, reference).model_copy(update={"notes": []})
    renamed = replace(
        again, ids=[f"f{number}" for number in range(120)]
    )  # other names: other fields, as far as is known
    assert compare_samples(renamed, reference).fields == 120
    bare = replace(again, statistics=None, embedding=None)
    assert bare.deduplicate() is bare


def test_every_statistic_has_its_finding(draw: Draw, reference: Sample) -> None:
    assert [each.name for each in compare_samples(draw(20, 1), reference).statistics] == list(STATISTICS)


def test_a_brighter_protein_alone_is_noted_and_no_alarm(draw: Draw, reference: Sample) -> None:
    drift = compare_samples(draw(40, 1, MedianIntensity_green=-4, BrightIntensity_green=9), reference)
    assert moved(drift) == {"MedianIntensity_green", "BrightIntensity_green"}
    assert not drift.drifted
    assert Note(kind=NoteKind.GREEN_LEVEL) in drift.notes
    assert {cause.kind for cause in drift.causes} <= {CauseKind.GAIN}
    assert compare_samples(draw(40, 1, MedianIntensity_green=-4, parts_green=3), reference).drifted


@pytest.mark.slow
def test_a_negligible_difference_is_no_alarm_however_many_fields_prove_it() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.normal(40, 2, (20_000, len(STATISTICS))).astype(np.float32) for _ in range(2)]
    tables[0][:, STATISTICS.index("MedianIntensity_red")] += 0.4
    here, there = (
        Sample(name, [f"{name}{row}" for row in range(20_000)], np.zeros((20_000, 28), bool), table, None, "a" * 64)
        for name, table in zip(("window", "reference"), tables, strict=True)
    )
    drift = compare_samples(here, there)
    finding = drift.statistics[STATISTICS.index("MedianIntensity_red")]
    assert finding.p < 1e-6
    assert (finding.moved, drift.drifted) == (False, False)


def test_figures_that_are_not_finite_are_left_out_and_noted(draw: Draw, reference: Sample) -> None:
    window = draw(40, 1)
    assert window.statistics is not None
    damaged = window.statistics.copy()
    damaged[:3] = np.nan
    drift = compare_samples(replace(window, statistics=damaged), reference)
    assert (drift.fields, drift.drifted) == (37, False)
    assert Note(kind=NoteKind.NOT_FINITE, count=3) in drift.notes
