"""The check: what moved is told, what did not is not, and what cannot be compared is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.statistics import STATISTICS
from lociscope.monitor import Drift, Sample, check
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log

if TYPE_CHECKING:
    from pathlib import Path

Draw = Callable[..., Sample]


def moved(drift: Drift) -> set[str]:
    names = {each.name for each in drift.statistics if each.moved} | {each.label for each in drift.places if each.moved}
    return names | ({"embedding"} if drift.embedding and drift.embedding.moved else set())


def test_what_moved_is_told_and_only_that(draw: Draw, reference: Sample) -> None:
    drift = check(draw(40, 1, MedianIntensity_green=-3, Correlation_red_blue=2), reference)
    assert drift.drifted
    assert moved(drift) == {"MedianIntensity_green", "Correlation_red_blue"}
    assert drift.sentences[0].startswith("The green channel is darker: median ")
    assert (drift.fields, drift.reference_fields, drift.level) == (40, 100, 0.05)
    assert (drift.checked, drift.not_checked) == (["locations", "pixel statistics", "embeddings"], {})


def test_embeddings_and_places_are_told(draw: Draw, reference: Sample) -> None:
    window = draw(40, 1)
    assert window.embedding is not None
    drift = check(
        replace(window, embedding=window.embedding + 1, places=window.places | (np.arange(28) == 7)), reference
    )
    assert moved(drift) == {"embedding", "Golgi apparatus"}
    assert drift.sentences[0].startswith("What the network makes of the fields has moved, though no figure")
    assert "Golgi apparatus is found more often: in 40 of 40 fields against" in drift.sentences[1]


def test_windows_of_the_same_fields_raise_no_more_alarms_than_said(draw: Draw, reference: Sample) -> None:
    alarms = [check(draw(20, seed), reference, seed=seed).drifted for seed in range(100)]
    assert sum(alarms) <= 11  # of 100 at 0.05: more than that once in 200


def test_the_same_seed_gives_the_same(draw: Draw, reference: Sample) -> None:
    assert check(draw(20, 3), reference, seed=5) == check(draw(20, 3), reference, seed=5)


def test_copies_of_few_fields_are_no_evidence_when_grouped(draw: Draw, reference: Sample) -> None:
    """Six specimens of 20 fields each raise alarms where they are taken for 120 independent ones."""
    few = [draw(6, seed) for seed in range(20)]
    alone, grouped = 0, 0
    for seed, one in enumerate(few):
        many = replace(part(one, np.repeat(np.arange(6), 20)), ids=[f"w{n // 20}_{n % 20}" for n in range(120)])
        alone += check(many, reference, seed=seed).drifted
        if seed < 5:
            drift = check(many, reference, group=re.compile(r"^w(\d+)_"), seed=seed)
            grouped += drift.drifted
            assert drift.groups == 6
    assert alone == 20
    assert grouped == 0


def test_a_shift_is_seen_through_groups(draw: Draw, reference: Sample) -> None:
    drift = check(draw(40, 1, MedianIntensity_green=-4), reference, group=re.compile(r"w\d+"))
    assert moved(drift) == {"MedianIntensity_green"}
    assert check(draw(40, 1), reference, group=re.compile("nowhere")).groups == 40


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_small_a_window_or_reference_says_so(draw: Draw, reference: Sample, n: int) -> None:
    with pytest.raises(LociscopeError, match=rf"Seed 1 is too small .*: {n} fields, and 5 are the least\. Widen it"):
        check(draw(n, 1), reference)
    with pytest.raises(LociscopeError, match="Name a larger one with --reference"):
        check(reference, draw(n, 1))
    with pytest.raises(LociscopeError, match="100 fields in 1 groups, and 5"):
        check(replace(reference, what="log"), draw(20, 1), group=re.compile("^p1"))


def test_five_fields_are_told_to_be_few(draw: Draw, reference: Sample) -> None:
    assert any("shows only large shifts" in note for note in check(draw(5, 1), reference).notes)
    assert not check(draw(30, 1), reference).notes


def test_fields_of_another_bundle_share_only_their_intensities(draw: Draw, reference: Sample) -> None:
    drift = check(draw(40, 1, bundle="b" * 64, BrightIntensity_red=3), reference)
    assert (drift.embedding, drift.places) == (None, [])
    assert len(drift.statistics) == 12
    assert moved(drift) == {"BrightIntensity_red"}
    assert drift.checked == ["pixel statistics"]
    assert list(drift.not_checked) == ["locations", "pixel statistics at the scale of the input", "embeddings"]
    assert set(drift.not_checked.values()) == {"The window is of bundle bbbbbbbbbbbb, the reference of aaaaaaaaaaaa."}
    with pytest.raises(LociscopeError, match=r"^Nothing can be compared\. Locations: The window is of.*has none"):
        check(replace(draw(40, 1, bundle="b" * 64), statistics=None), reference)


def test_without_statistics_or_embeddings_the_rest_is_compared(draw: Draw, reference: Sample) -> None:
    drift = check(replace(draw(40, 1), statistics=None, embedding=None), reference)
    assert (drift.statistics, drift.embedding, len(drift.places)) == ([], None, 28)
    assert (drift.checked, drift.drifted) == (["locations"], False)
    assert drift.not_checked == {
        "pixel statistics": "The window has none; a log and a bundle's reference have them.",
        "embeddings": "The window has none of all fields. Predict with --log, or with --embeddings.",
    }
    neither = check(replace(draw(40, 1), statistics=None), replace(reference, statistics=None))
    assert neither.checked == ["locations", "embeddings"]
    assert neither.not_checked["pixel statistics"].startswith("The window and the reference have none;")
    short = check(replace(draw(40, 1), embedding=np.zeros((40, 3), np.float32)), reference)
    assert short.embedding is None
    assert "unlike length" in short.not_checked["embeddings"]


def test_where_no_record_names_the_bundle_that_is_noted(draw: Draw, reference: Sample) -> None:
    (note,) = check(replace(draw(40, 1), bundle=None), reference).notes
    assert note.startswith("It is not recorded which bundle predicted the window:")


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
            samples[name] = Sample.of_window(log.read(), name)
    return samples


def part(sample: Sample, rows: np.ndarray) -> Sample:
    assert sample.statistics is not None
    assert sample.embedding is not None
    return replace(
        sample,
        ids=[sample.ids[row] for row in rows],
        places=sample.places[rows],
        statistics=sample.statistics[rows],
        embedding=sample.embedding[rows],
    )


def test_other_cells_are_told_from_part_of_hpa_s_fields_and_halves_of_these_are_not(real: dict[str, Sample]) -> None:
    hpa, cm4ai = real["hpa"], real["cm4ai"]
    assert (len(hpa), len(cm4ai)) == (56, 5)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(56) for _ in range(100)]
    told = [check(cm4ai, part(hpa, order[:28]), seed=seed).drifted for seed, order in enumerate(orders[:10])]
    assert all(told)
    halves = [check(part(hpa, order[:28]), part(hpa, order[28:]), seed=seed) for seed, order in enumerate(orders)]
    assert sum(each.drifted for each in halves) <= 5


def test_fields_on_both_sides_are_told(draw: Draw, reference: Sample) -> None:
    window = draw(40, 1)
    both = part(window, np.arange(6, 40))
    assert check(window, both).notes == ["34 fields are in the window and in the reference: they hide what moved."]
    assert "34 fields" in check(replace(window, statistics=None), replace(both, statistics=None)).notes[-1]


def test_a_field_that_was_predicted_again_counts_once(draw: Draw, reference: Sample) -> None:
    once = draw(30, 4)
    assert once.statistics is not None
    assert once.embedding is not None
    again = replace(
        once, ids=once.ids * 4, places=np.tile(once.places, (4, 1)), statistics=np.tile(once.statistics, (4, 1)),
        embedding=np.tile(once.embedding, (4, 1)),
    )  # fmt: skip
    found = check(again, reference)
    assert "90 rows are of fields that were predicted more than once; each field counts once." in found.notes
    assert found.model_copy(update={"notes": []}) == check(once, reference).model_copy(update={"notes": []})
    renamed = replace(
        again, ids=[f"f{number}" for number in range(120)]
    )  # other names: other fields, as far as is known
    assert check(renamed, reference).fields == 120
    bare = replace(again, statistics=None, embedding=None)
    assert bare.distinct() is bare


def test_every_statistic_has_its_finding(draw: Draw, reference: Sample) -> None:
    assert [each.name for each in check(draw(20, 1), reference).statistics] == list(STATISTICS)
