"""Which fields are ready, which wait, and for what; with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from fixtures.file_sets import frames, write_ndtiff

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.naming import Rules
from lociscope.watch.arrivals import Arrivals, Ready
from lociscope.watch.folder import Item, Seen

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60.0
Make = Callable[..., Arrivals]


@pytest.fixture
def arrivals(tmp_path: Path) -> Make:
    """`arrivals(known={}, **rules)` are those of `tmp_path`."""
    return lambda known=None, **rules: Arrivals(tmp_path, Rules(**rules), PATIENCE, {} if known is None else known)


def come(arrivals: Arrivals, folder: Path, *names: str, now: float = 0.0, rest: bool = True) -> None:
    """Files come, and are at rest at once, or not."""
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        if not (folder / name).exists():
            (folder / name).write_bytes(b"x")
    items = [Item(folder, name) for name in names]
    arrivals.update(Seen(stirred=items, settled=items if rest else []), now)


def planes(name: str, *but: str) -> list[str]:
    return [f"{name}_{channel}.png" for channel in CHANNEL_NAMES if channel not in but]


def ids(ready: list[Ready]) -> list[str]:
    return [each.source.id for each in ready]


def test_channels_in_any_order_and_only_at_rest(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, "b_green.png", "a_yellow.png", "a_blue.png")
    assert mine.ready(0, 9) == []
    come(mine, tmp_path, "a_red.png", "a_green.png", now=1, rest=False)
    assert mine.ready(1, 9) == []
    mine.update(Seen(settled=[Item(tmp_path, "a_red.png"), Item(tmp_path, "a_green.png")]), 3)
    (ready,) = mine.ready(3, 9)
    assert ready.source.id == "a"
    assert [path.name for path in ready.source.paths] == planes("a")
    assert mine.ready(4, 9) == []


def test_fields_of_sub_folders_bear_their_names(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    for folder in (tmp_path, tmp_path / "p", tmp_path / "p" / "q"):
        come(mine, folder, *planes("a"))
    assert ids(mine.ready(0, 9)) == ["a", "p/a", "p/q/a"]


def test_leicas_and_patterned_names(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals(pattern="{plate}_{well}_{site}_{channel}", channels=dict(zip(CHANNEL_NAMES, "1234", strict=True)))
    come(mine, tmp_path, *(f"P7_A1_2_{number}.tif" for number in "3142"))
    assert ids(mine.ready(0, 9)) == ["P7_A1_2"]
    tokens = [f"C{number:02d}" for number in range(4)]
    leica = arrivals(channels=dict(zip(CHANNEL_NAMES, tokens, strict=True)))
    stem = "image--U01--V00--E02--X00--Y00--Z00"
    come(leica, tmp_path, *(f"{stem}--{token}.ome.tif" for token in tokens))
    assert ids(leica.ready(0, 9)) == [stem]


def test_data_sets_and_archives_of_several_fields(arrivals: Make, tmp_path: Path) -> None:
    zarrs = pytest.importorskip("fixtures.zarrs")
    mine = arrivals()
    write_ndtiff(tmp_path / "run_1", [*frames(0, position=0), *frames(1, position=1)])
    zarrs.series(tmp_path / "b.zarr")
    zarrs.zipped(zarrs.write(tmp_path / "w"), tmp_path / "a.ozx")
    names = ["NDTiff.index", "run_NDTiffStack.tif", "run_NDTiffStack_1.tif"]
    assert [mine.wanted(name) for name in names] == [True, False, False]
    assert [mine.wanted(name) for name in ("a.ozx", "a.zarr.zip", "b.zarr", "a.zip", "zarr.json")] == [True] * 3 + [
        False
    ] * 2
    come(mine, tmp_path / "run_1", "NDTiff.index")
    come(mine, tmp_path, "a.ozx", "b.zarr")
    assert ids(mine.ready(0, 9)) == ["run_1/run_1_0", "run_1/run_1_1", "a", "b_0", "b_1"]


def test_a_plate_of_which_a_well_is_absent_is_predicted_and_reported(arrivals: Make, tmp_path: Path) -> None:
    zarrs = pytest.importorskip("fixtures.zarrs")
    mine = arrivals()
    plate = zarrs.plate(tmp_path / "P7.zarr", wells=("A/1", "A/2"), sites=1)
    (plate / "A" / "2" / "0").rename(tmp_path / "elsewhere")
    come(mine, tmp_path, "P7.zarr")
    (ready,) = mine.ready(0, 9)
    assert ready.source.id == "P7_A1_0"
    mine.done(ready)
    (overdue,) = mine.overdue(PATIENCE)
    assert overdue.id == "P7"
    assert "lists the image 'A/2/0', which is not there" in overdue.reason


def test_what_is_known_is_passed_over_until_it_changes(arrivals: Make, tmp_path: Path) -> None:
    known: dict[str, str] = {}
    mine = arrivals(known)
    come(mine, tmp_path, *planes("a"))
    (ready,) = mine.ready(0, 9)
    known["a"] = ready.fingerprint
    assert not mine.done(ready)
    again = arrivals(known)
    come(again, tmp_path, *planes("a"))
    assert again.ready(0, 9) == []
    assert again.failures() == []
    (tmp_path / "a_red.png").write_bytes(b"another")
    again.update(Seen(stirred=[Item(tmp_path, "a_red.png")], settled=[Item(tmp_path, "a_red.png")]), 9)
    (changed,) = again.ready(9, 9)
    assert changed.fingerprint != ready.fingerprint


def test_incomplete_is_told_once_and_taken_back(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, *planes("a", "red"))
    assert mine.ready(0, 9) == []
    assert mine.overdue(PATIENCE - 1) == []
    (failure,) = mine.overdue(PATIENCE)
    assert failure.id == "a"
    assert failure.reason == "Field 'a' has no _red file (found green, blue, yellow). Add 'a_red.png'."
    assert mine.overdue(PATIENCE + 1) == []
    assert mine.failures() == [failure]
    come(mine, tmp_path, "a_red.png", now=200)
    (ready,) = mine.ready(200, 9)
    assert mine.done(ready)
    assert mine.failures() == []


def test_a_field_that_cannot_be_read_is_tried_less_and_less_often(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, *planes("a"))
    tries = []
    for now in range(200):
        for ready in mine.ready(now, 9):
            tries.append(now)
            mine.refused(ready, "It is cut short.", now)
    assert tries == [0, 1, 3, 7, 15, 31, 60, 124]  # once more when it is overdue
    assert [failure.reason for failure in mine.overdue(200)] == ["It is cut short."]
    come(mine, tmp_path, "a_red.png", now=201)
    assert ids(mine.ready(201, 9)) == ["a"]


def test_a_channel_that_may_be_missing_is_waited_for(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals(allow_missing=("yellow",))
    come(mine, tmp_path, *planes("a", "yellow"), *planes("b", "yellow"))
    assert mine.ready(1, 9) == []
    come(mine, tmp_path, "b_yellow.png", now=2)
    (whole,) = mine.ready(2, 9)
    assert whole.source.planes[3] == tmp_path / "b_yellow.png"
    assert mine.failures() == mine.overdue(PATIENCE - 1) == []
    (lacking,) = mine.ready(PATIENCE, 9)
    assert lacking.source.id == "a"
    assert lacking.source.planes[3] is None


def test_files_that_go_before_they_are_complete_are_forgotten(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, "a_red.png", "a_green.png")
    mine.ready(0, 9)
    mine.update(Seen(gone=[Item(tmp_path, "a_red.png"), Item(tmp_path, "a_green.png")]), 1)
    assert mine.overdue(1000) == mine.failures() == []


def test_a_predicted_field_whose_files_are_moved_away_stays(arrivals: Make, tmp_path: Path) -> None:
    known: dict[str, str] = {}
    mine = arrivals(known)
    come(mine, tmp_path, *planes("a"))
    (ready,) = mine.ready(0, 9)
    known["a"] = ready.fingerprint
    mine.done(ready)
    mine.update(Seen(gone=[Item(tmp_path, "a_red.png")]), 5)
    assert mine.ready(5, 9) == []
    assert mine.overdue(1000) == mine.failures() == []


def test_one_id_from_two_places_is_told(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, *planes("a"), "a.tif")
    assert mine.ready(0, 9) == []
    (failure,) = mine.failures()
    assert "The id 'a' comes from two places" in failure.reason


def test_after_an_absence_patience_begins_anew(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, "a_red.png")
    mine.ready(0, 9)
    mine.postpone(PATIENCE)
    assert mine.overdue(PATIENCE + 1) == []
    assert mine.ready(PATIENCE + 1, 9) == []
    assert len(mine.overdue(2 * PATIENCE)) == 1


def test_not_more_than_asked_for_at_once(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    for number in range(5):
        come(mine, tmp_path, *planes(f"f{number}"))
    assert [len(mine.ready(0, 2)) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.parametrize("name", ["{channel}/a1_{channel}.png", "{channel}/a1.png", "p/a1/{channel}.png"])
def test_folders_that_name_the_channel_or_the_field(arrivals: Make, tmp_path: Path, name: str) -> None:
    mine = arrivals()
    paths = [tmp_path / name.format(channel=channel) for channel in CHANNEL_NAMES]
    for path in paths[:3]:
        come(mine, path.parent, path.name)
    assert mine.ready(0, 9) == []
    come(mine, paths[3].parent, paths[3].name)
    (ready,) = mine.ready(1, 9)
    assert ready.source.id == ("p/a1" if name.startswith("p") else "a1")
    assert list(ready.source.planes) == paths
    assert mine.done(ready) is False
    assert mine.failures() == []


def test_composites_beside_channels_are_waited_for_and_left_out(arrivals: Make, tmp_path: Path) -> None:
    mine = arrivals()
    come(mine, tmp_path, "a_blue_red_green.jpg", "overview.png")
    assert mine.ready(0, 9) == []
    come(mine, tmp_path, *planes("a"))
    (ready,) = mine.ready(1, 9)
    assert ready.source.id == "a"
    assert [path.name for path in ready.source.paths] == planes("a")
    mine.done(ready)
    assert mine.overdue(1000) == mine.failures() == []


def test_presets_and_where_a_field_was_taken(arrivals: Make, tmp_path: Path) -> None:
    guid = "1F3FDE5E-0A1B-4C2D-8E9F-0123456789A"
    mine = arrivals(preset="metaxpress", channels=dict(zip(CHANNEL_NAMES, "3214", strict=True)))
    names = [f"P_B02_s1_w{w}{guid}{w}.TIF" for w in "1234"]
    come(mine, tmp_path / "TimePoint_1", *names, f"P_B02_s1_w1_thumb{guid}9.TIF", f"P_B02_s1_w5{guid}5.TIF")
    (ready,) = mine.ready(0, 9)
    assert ready.source.id == "TimePoint_1/P_B02_1"
    assert ready.source.origin == {"plate": "P", "well": "B02", "site": "1"}
    assert mine.failures() == []
    leica = arrivals()
    come(leica, tmp_path / "p", *planes("800_A6_1"))
    assert leica.ready(0, 9)[0].source.origin == {"plate": "800", "well": "A6", "site": "1"}
