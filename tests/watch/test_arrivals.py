"""Which fields are ready, which wait, and for what; with a simulated clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from fixtures.file_sets import frames, write_ndtiff

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.naming import Rules
from lociscope.images.io.container import PlaneRef
from lociscope.watch.arrivals import FieldTracker, ReadyField
from lociscope.watch.folder import FolderChanges, PictureFile

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60.0
Make = Callable[..., FieldTracker]


@pytest.fixture
def tracker(tmp_path: Path) -> Make:
    """`tracker(known={}, **rules)` are those of `tmp_path`."""
    return lambda known=None, **rules: FieldTracker(tmp_path, Rules(**rules), PATIENCE, {} if known is None else known)


def come(tracker: FieldTracker, folder: Path, *names: str, now: float = 0.0, rest: bool = True) -> None:
    """Files come, and are at rest at once, or not."""
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        if not (folder / name).exists():
            (folder / name).write_bytes(b"x")
    items = [PictureFile(folder, name) for name in names]
    tracker.update(FolderChanges(changed=items, settled=items if rest else []), now)


def planes(name: str, *but: str) -> list[str]:
    return [f"{name}_{channel}.png" for channel in CHANNEL_NAMES if channel not in but]


def ids(ready: list[ReadyField]) -> list[str]:
    return [each.source.id for each in ready]


def test_channels_in_any_order_and_only_at_rest(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, "b_green.png", "a_yellow.png", "a_blue.png")
    assert mine.take_ready(0, 9) == []
    come(mine, tmp_path, "a_red.png", "a_green.png", now=1, rest=False)
    assert mine.take_ready(1, 9) == []
    mine.update(FolderChanges(settled=[PictureFile(tmp_path, "a_red.png"), PictureFile(tmp_path, "a_green.png")]), 3)
    (ready,) = mine.take_ready(3, 9)
    assert ready.source.id == "a"
    assert [path.name for path in ready.source.refs] == planes("a")
    assert mine.take_ready(4, 9) == []


def test_ids_begin_with_the_sub_folder(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    for folder in (tmp_path, tmp_path / "p", tmp_path / "p" / "q"):
        come(mine, folder, *planes("a"))
    assert ids(mine.take_ready(0, 9)) == ["a", "p/a", "p/q/a"]


def test_leicas_and_patterned_names(tracker: Make, tmp_path: Path) -> None:
    mine = tracker(pattern="{plate}_{well}_{site}_{channel}", channels=dict(zip(CHANNEL_NAMES, "1234", strict=True)))
    come(mine, tmp_path, *(f"P7_A1_2_{number}.tif" for number in "3142"))
    assert ids(mine.take_ready(0, 9)) == ["P7_A1_2"]
    tokens = [f"C{number:02d}" for number in range(4)]
    leica = tracker(channels=dict(zip(CHANNEL_NAMES, tokens, strict=True)))
    stem = "image--U01--V00--E02--X00--Y00--Z00"
    come(leica, tmp_path, *(f"{stem}--{token}.ome.tif" for token in tokens))
    assert ids(leica.take_ready(0, 9)) == [stem]


def test_data_sets_and_archives_of_several_fields(tracker: Make, tmp_path: Path) -> None:
    zarrs = pytest.importorskip("fixtures.zarrs")
    mine = tracker()
    write_ndtiff(tmp_path / "run_1", [*frames(0, position=0), *frames(1, position=1)])
    zarrs.series(tmp_path / "b.zarr")
    zarrs.zipped(zarrs.write(tmp_path / "w"), tmp_path / "a.ozx")
    names = ["NDTiff.index", "run_NDTiffStack.tif", "run_NDTiffStack_1.tif"]
    assert [mine.may_be_field(name) for name in names] == [True, False, False]
    assert [mine.may_be_field(name) for name in ("a.ozx", "a.zarr.zip", "b.zarr", "a.zip", "zarr.json")] == [
        True
    ] * 3 + [False] * 2
    come(mine, tmp_path / "run_1", "NDTiff.index")
    come(mine, tmp_path, "a.ozx", "b.zarr")
    assert ids(mine.take_ready(0, 9)) == ["run_1/run_1_0", "run_1/run_1_1", "a", "b_0", "b_1"]


def test_a_plate_of_which_a_well_is_absent_is_predicted_and_reported(tracker: Make, tmp_path: Path) -> None:
    zarrs = pytest.importorskip("fixtures.zarrs")
    mine = tracker()
    plate = zarrs.plate(tmp_path / "P7.zarr", wells=("A/1", "A/2"), sites=1)
    (plate / "A" / "2" / "0").rename(tmp_path / "elsewhere")
    come(mine, tmp_path, "P7.zarr")
    (ready,) = mine.take_ready(0, 9)
    assert ready.source.id == "P7_A1_0"
    mine.mark_predicted(ready)
    (overdue,) = mine.take_overdue(PATIENCE)
    assert overdue.id == "P7"
    assert "lists the image 'A/2/0', which is missing" in overdue.reason


def test_a_predicted_field_is_skipped_until_it_changes(tracker: Make, tmp_path: Path) -> None:
    known: dict[str, str] = {}
    mine = tracker(known)
    come(mine, tmp_path, *planes("a"))
    (ready,) = mine.take_ready(0, 9)
    known["a"] = ready.fingerprint
    assert not mine.mark_predicted(ready)
    again = tracker(known)
    come(again, tmp_path, *planes("a"))
    assert again.take_ready(0, 9) == []
    assert again.failures() == []
    (tmp_path / "a_red.png").write_bytes(b"another")
    again.update(
        FolderChanges(changed=[PictureFile(tmp_path, "a_red.png")], settled=[PictureFile(tmp_path, "a_red.png")]), 9
    )
    (changed,) = again.take_ready(9, 9)
    assert changed.fingerprint != ready.fingerprint


def test_an_incomplete_field_is_reported_once_until_complete(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, *planes("a", "red"))
    assert mine.take_ready(0, 9) == []
    assert mine.take_overdue(PATIENCE - 1) == []
    (failure,) = mine.take_overdue(PATIENCE)
    assert failure.id == "a"
    assert failure.reason == "Field 'a' has no _red file (found green, blue, yellow). Add 'a_red.png'."
    assert mine.take_overdue(PATIENCE + 1) == []
    assert mine.failures() == [failure]
    come(mine, tmp_path, "a_red.png", now=200)
    (ready,) = mine.take_ready(200, 9)
    assert mine.mark_predicted(ready)
    assert mine.failures() == []


def test_a_field_that_cannot_be_read_is_tried_less_and_less_often(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, *planes("a"))
    tries = []
    for now in range(200):
        for ready in mine.take_ready(now, 9):
            tries.append(now)
            mine.mark_unreadable(ready, "It is cut short.", now)
    assert tries == [0, 1, 3, 7, 15, 31, 60, 124]  # once more when it is overdue
    assert [failure.reason for failure in mine.take_overdue(200)] == ["It is cut short."]
    come(mine, tmp_path, "a_red.png", now=201)
    assert ids(mine.take_ready(201, 9)) == ["a"]


def test_a_channel_that_may_be_missing_is_waited_for(tracker: Make, tmp_path: Path) -> None:
    mine = tracker(allow_missing=("yellow",))
    come(mine, tmp_path, *planes("a", "yellow"), *planes("b", "yellow"))
    assert mine.take_ready(1, 9) == []
    come(mine, tmp_path, "b_yellow.png", now=2)
    (whole,) = mine.take_ready(2, 9)
    assert whole.source.planes[3] == PlaneRef(tmp_path / "b_yellow.png")
    assert mine.failures() == mine.take_overdue(PATIENCE - 1) == []
    (lacking,) = mine.take_ready(PATIENCE, 9)
    assert lacking.source.id == "a"
    assert lacking.source.planes[3] is None


def test_files_that_go_before_they_are_complete_are_forgotten(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, "a_red.png", "a_green.png")
    mine.take_ready(0, 9)
    mine.update(FolderChanges(removed=[PictureFile(tmp_path, "a_red.png"), PictureFile(tmp_path, "a_green.png")]), 1)
    assert mine.take_overdue(1000) == mine.failures() == []


def test_a_predicted_field_whose_files_are_moved_away_stays(tracker: Make, tmp_path: Path) -> None:
    known: dict[str, str] = {}
    mine = tracker(known)
    come(mine, tmp_path, *planes("a"))
    (ready,) = mine.take_ready(0, 9)
    known["a"] = ready.fingerprint
    mine.mark_predicted(ready)
    mine.update(FolderChanges(removed=[PictureFile(tmp_path, "a_red.png")]), 5)
    assert mine.take_ready(5, 9) == []
    assert mine.take_overdue(1000) == mine.failures() == []


def test_one_id_from_two_files_is_reported(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, *planes("a"), "a.tif")
    assert mine.take_ready(0, 9) == []
    (failure,) = mine.failures()
    assert "The id 'a' comes from two" in failure.reason


def test_after_an_absence_patience_begins_anew(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, "a_red.png")
    mine.take_ready(0, 9)
    mine.postpone(PATIENCE)
    assert mine.take_overdue(PATIENCE + 1) == []
    assert mine.take_ready(PATIENCE + 1, 9) == []
    assert len(mine.take_overdue(2 * PATIENCE)) == 1


def test_not_more_than_asked_for_at_once(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    for number in range(5):
        come(mine, tmp_path, *planes(f"f{number}"))
    assert [len(mine.take_ready(0, 2)) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.parametrize("name", ["{channel}/a1_{channel}.png", "{channel}/a1.png", "p/a1/{channel}.png"])
def test_folders_that_name_the_channel_or_the_field(tracker: Make, tmp_path: Path, name: str) -> None:
    mine = tracker()
    paths = [tmp_path / name.format(channel=channel) for channel in CHANNEL_NAMES]
    for path in paths[:3]:
        come(mine, path.parent, path.name)
    assert mine.take_ready(0, 9) == []
    come(mine, paths[3].parent, paths[3].name)
    (ready,) = mine.take_ready(1, 9)
    assert ready.source.id == ("p/a1" if name.startswith("p") else "a1")
    assert ready.source.planes == tuple(map(PlaneRef, paths))
    assert mine.mark_predicted(ready) is False
    assert mine.failures() == []


def test_composites_beside_channels_are_waited_for_and_left_out(tracker: Make, tmp_path: Path) -> None:
    mine = tracker()
    come(mine, tmp_path, "a_blue_red_green.jpg", "overview.png")
    assert mine.take_ready(0, 9) == []
    come(mine, tmp_path, *planes("a"))
    (ready,) = mine.take_ready(1, 9)
    assert ready.source.id == "a"
    assert [path.name for path in ready.source.refs] == planes("a")
    mine.mark_predicted(ready)
    assert mine.take_overdue(1000) == mine.failures() == []


def test_presets_and_where_a_field_was_taken(tracker: Make, tmp_path: Path) -> None:
    guid = "1F3FDE5E-0A1B-4C2D-8E9F-0123456789A"
    mine = tracker(preset="metaxpress", channels=dict(zip(CHANNEL_NAMES, "3214", strict=True)))
    names = [f"P_B02_s1_w{w}{guid}{w}.TIF" for w in "1234"]
    come(mine, tmp_path / "TimePoint_1", *names, f"P_B02_s1_w1_thumb{guid}9.TIF", f"P_B02_s1_w5{guid}5.TIF")
    (ready,) = mine.take_ready(0, 9)
    assert ready.source.id == "TimePoint_1/P_B02_1"
    assert ready.source.origin == {"plate": "P", "well": "B02", "site": "1"}
    assert mine.failures() == []
    leica = tracker()
    come(leica, tmp_path / "p", *planes("800_A6_1"))
    assert leica.take_ready(0, 9)[0].source.origin == {"plate": "800", "well": "A6", "site": "1"}
