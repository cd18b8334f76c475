"""`lociscope import`: files and labels become a Catalog, and what does not fit is listed."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lociscope.artifacts.catalog import Catalog
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]


@pytest.fixture
def competition(write_field: WriteField, tmp_path: Path) -> Path:
    """A folder as the competition has it, of two fields."""
    for number, name in enumerate(("a1", "b2")):
        write_field(name, tmp_path / "kaggle" / "train", seed=number)
    (tmp_path / "kaggle" / "train.csv").write_text("Id,Target\na1,16 0\nb2,7\n")
    return tmp_path / "kaggle"


def test_the_competitions_files(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    assert lociscope("import", "kaggle", competition, "-o", "c.parquet") == (
        0,
        "2 fields, 2 labelled, in c.parquet\n",
        "",
    )
    catalog = Catalog.read(tmp_path / "c.parquet")
    assert [(entry.id, entry.target) for entry in catalog] == [("a1", (0, 16)), ("b2", (7,))]
    assert [read_field(source).pixels.shape for source in read_catalog_sources(catalog)] == [(32, 32, 4)] * 2


def test_paths_lead_on_from_wherever_the_catalog_lies(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    assert lociscope("import", "kaggle", "kaggle", "-o", "deep/down/c.parquet")[0] == 0
    assert lociscope("import", "kaggle", "kaggle")[1].endswith("in catalog.parquet\n")
    for path in ("deep/down/c.parquet", "catalog.parquet"):
        for source in read_catalog_sources(Catalog.read(tmp_path / path)):
            assert read_field(source).id == source.id


def test_a_folder_without_labels(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    code, out, err = lociscope("import", "folder", competition / "train", "-o", "c.parquet")
    assert (code, out, err) == (0, "2 fields, 0 labelled, in c.parquet\n", "")
    assert [entry.target for entry in Catalog.read(tmp_path / "c.parquet")] == [None, None]


def test_a_label_table_of_a_spreadsheet(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("\ufeffId,Note,Target\r\na1,ja,\r\nb2,né,25 25\r\n".encode())
    assert lociscope("import", "folder", competition / "train", "--labels", "labels.csv", "-o", "c.parquet")[0] == 0
    assert [entry.target for entry in Catalog.read(tmp_path / "c.parquet")] == [(), (25,)]


def test_ids_without_files_are_listed_and_the_others_imported(
    lociscope: Command, competition: Path, tmp_path: Path
) -> None:
    table = competition / "train.csv"
    table.write_text(table.read_text() + "gone,3\n")
    (competition / "train" / "b2_yellow.png").unlink()
    code, out, err = lociscope("import", "kaggle", competition, "-o", "c.parquet")
    assert (code, out) == (3, "1 field, 1 labelled, in c.parquet\n")
    assert err.startswith("lociscope: 2 fields failed, listed in c.failures.csv; the first: ")
    with (tmp_path / "c.failures.csv").open(newline="") as lines:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(lines)}
    assert reasons["b2"].startswith("Field 'b2' has no _yellow file")
    assert reasons["gone"].startswith("The id 'gone' has labels but no files in ")

    table.write_text("Id,Target\na1,16 0\n")
    (competition / "train" / "b2_red.png").unlink()
    assert lociscope("import", "kaggle", competition, "-o", "c.parquet")[0] == 3  # b2 still has two of four
    for path in (competition / "train").glob("b2_*"):
        path.unlink()
    assert lociscope("import", "kaggle", competition, "-o", "c.parquet")[0] == 0
    assert not (tmp_path / "c.failures.csv").exists()


def test_labels_say_how_many_of_the_files_they_know(lociscope: Command, competition: Path) -> None:
    (competition / "train.csv").write_text("Id,Target\na1,16\n")
    code, out, _ = lociscope("import", "kaggle", competition, "-o", "c.parquet")
    assert code == 0
    assert ", 1 labelled, in c.parquet" in out


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("Id,Target\na1,28\n", "train.csv' line 2: "),
        ("Id,Target\na1,0\nb2,abc\n", "train.csv' line 3: "),
        ("Id,Target\na1,0\na1,1\n", "names the id 'a1' twice, again in line 3"),
        ("Id,Target\n,0\n", "line 2 has no id"),
        ("id;target\na1;0\n", "expected the columns Id,Target"),
        ("", "expected the columns Id,Target, found nothing"),
        ("Id,Target\nz9,0\n", "None of the 1 labelled ids has files"),
    ],
)
def test_a_wrong_label_table_is_refused_with_its_line(
    lociscope: Command, competition: Path, tmp_path: Path, table: str, sentence: str
) -> None:
    (competition / "train.csv").write_text(table)
    code, out, err = lociscope("import", "kaggle", competition, "-o", "c.parquet")
    assert (code, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "c.parquet").exists()


def test_a_folder_that_is_not_the_competitions(lociscope: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in ("empty", "nowhere"):
        code, _, err = lociscope("import", "kaggle", source)
        assert code == 1
        assert f"'{source}' has no train.csv" in err
    code, _, err = lociscope("import", "folder", "nowhere")
    assert (code, err) == (1, "lociscope: 'nowhere' does not exist. Check the path.\n")


def test_an_output_that_is_no_catalog_is_left_alone(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    table = competition / "train.csv"
    before = table.read_bytes()
    code, _, err = lociscope("import", "kaggle", competition, "-o", table)
    assert (code, err) == (2, f"lociscope: '{table}' ends in '.csv'; expected .parquet. Rename it.\n")
    (tmp_path / "mine.parquet").write_text("mine")
    code, _, err = lociscope("import", "kaggle", competition, "-o", "mine.parquet")
    assert (code, err) == (1, "lociscope: 'mine.parquet' exists and is not a Catalog. Pass another file as --output.\n")
    assert table.read_bytes() == before
    assert (tmp_path / "mine.parquet").read_text() == "mine"


def test_real_fields_with_their_labels(lociscope: Command, real_data: Path) -> None:
    fields = real_data / "hpa2018"
    code, out, _ = lociscope("import", "folder", fields / "train", "--labels", fields / "fields.csv")
    assert (code, out) == (0, "56 fields, 56 labelled, in catalog.parquet\n")


# === Other sources ===


def test_the_competitions_zip_is_read_in_place(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(competition / "train.zip", "w") as archive:
        for path in (competition / "train").iterdir():
            archive.write(path, path.name)
    shutil.rmtree(competition / "train")
    assert lociscope("import", "kaggle", competition, "-o", "deep/c.parquet")[:2] == (
        0, "2 fields, 2 labelled, in deep/c.parquet\n",
    )  # fmt: skip
    sources = read_catalog_sources(Catalog.read(tmp_path / "deep" / "c.parquet"))
    assert [read_field(source).pixels.shape for source in sources] == [(32, 32, 4)] * 2
    assert lociscope("predict", "deep/c.parquet", "-o", "a.csv")[0] == 0
    assert lociscope("predict", competition / "train.zip", "-o", "b.csv")[0] == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert lociscope("predict", "deep/c.parquet", "-o", "a.csv")[1] == "2 fields in a.csv, complete already\n"


def test_the_challenge_of_2021(lociscope: Command, competition: Path, tmp_path: Path) -> None:
    (competition / "train.csv").write_text("ID,Label\na1,8|0\nb2,17|0\n")
    (competition / "masks").mkdir()
    assert lociscope("import", "kaggle", competition)[:2] == (0, "2 fields, 1 labelled, in catalog.parquet\n")
    entries = list(Catalog.read(tmp_path / "catalog.parquet"))
    assert [entry.target for entry in entries] == [(0, 11), None]
    assert {entry.source for entry in entries} == {"HPA Single Cell Classification, Kaggle 2021"}


def test_pictures_of_the_atlas(lociscope: Command, write_field: WriteField, tmp_path: Path) -> None:
    folder = write_field("10580_1610_C1_1")
    write_field("mine")
    (tmp_path / "labels.csv").write_text("Id,Target\n10580_1610_C1_1,21 13\n")
    assert lociscope("import", "hpa", folder)[:2] == (0, "2 fields, 0 labelled, in catalog.parquet\n")
    entry, other = Catalog.read(tmp_path / "catalog.parquet")
    assert (entry.antibody, entry.plate, entry.well, entry.site) == ("10580", "1610", "C1", "1")
    assert (other.antibody, other.licence) == (None, None)
    assert lociscope("import", "hpa", folder, "--labels", "labels.csv")[1].startswith("1 field, 1 labelled")


def test_a_plate_by_a_pattern(lociscope: Command, write_field: WriteField, tmp_path: Path) -> None:
    folder = write_field("B02-s1", tmp_path / "P7")
    words = ("import", "plate", folder, "--pixel-size", "0.2", "--pattern")
    assert lociscope(*words, "{well}-s{site}_{channel}")[1] == "1 field, 0 labelled, in catalog.parquet\n"
    (entry,) = Catalog.read(tmp_path / "catalog.parquet")
    assert (entry.id, entry.plate, entry.well, entry.site, entry.pixel_size) == ("B02_1", "P7", "B02", "1", 0.2)
    code, _, err = lociscope(*words, "{site}_{channel}")
    assert code == 1
    assert "The name 'B02-s1' has no well. Pass the form of the names as --pattern" in err
    assert lociscope(*words, "{well}")[0] == 2


def test_a_plate_by_a_preset(lociscope: Command, write_field: WriteField, tmp_path: Path) -> None:
    images = tmp_path / "Screen 7" / "Images"
    images.mkdir(parents=True)
    for at, path in enumerate(sorted(write_field("a").iterdir()), 1):  # blue, green, red, yellow
        shutil.copy(path, images / f"r02c03f01p01-ch{at}sk1fk1fl1.png")
    words = ("import", "plate", images, "--preset", "opera-phenix")
    code, _, err = lociscope(*words)
    assert code == 1
    assert "name their channels '1', '2', '3', '4', which are not known stains. Pass --channels red=…" in err
    channels = "red=ch3,green=ch2,blue=ch1,yellow=ch4"
    assert lociscope(*words, "--channels", channels)[1] == "1 field, 0 labelled, in catalog.parquet\n"
    (entry,) = Catalog.read(tmp_path / "catalog.parquet")
    assert (entry.id, entry.plate, entry.well, entry.site) == ("B03_01", "Screen 7", "B03", "01")
    assert entry.red is not None
    assert "-ch3sk1" in entry.red
    code, _, err = lociscope("predict", images.parent, "--preset", "phenix", "--channels", channels, "-o", "x.csv")
    assert (code, "its folder 'Images' does. Name" in err) == (1, True)


def test_a_composite_of_the_atlas_alone(lociscope: Command, tmp_path: Path) -> None:
    (tmp_path / "hpa").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "hpa" / "800_A6_1_blue_red_green.jpg")
    assert lociscope("import", "hpa", "hpa")[0] == 1
    assert lociscope("import", "hpa", "hpa", "--allow-missing", "yellow")[0] == 0
    (entry,) = Catalog.read(tmp_path / "catalog.parquet")
    assert (entry.id, entry.plate, entry.well, entry.yellow) == ("800_A6_1", "800", "A6", None)
    assert lociscope("predict", "catalog.parquet", "-o", "x.csv", "--allow-missing", "yellow")[0] == 0


@pytest.mark.parametrize("told", [True, False])
def test_a_plate_of_leicas(lociscope: Command, tmp_path: Path, told: bool) -> None:
    (tmp_path / "plate").mkdir()
    for at, stain in enumerate(("DAPI", "GFP", "ER", "Tubulin")):
        metadata = {"axes": "YX", **({"Channel": {"Name": [stain]}} if told else {})}
        path = tmp_path / "plate" / f"image--U01--V02--X00--Y00--C{at:02d}.ome.tif"
        tifffile.imwrite(path, np.full((4, 4), at, np.uint8), ome=True, photometric="minisblack", metadata=metadata)
    code, _, err = lociscope("import", "plate", "plate")
    if not told:
        assert code == 1
        assert "names its channel ''. Pass --channels red=C00" in err
        assert lociscope("import", "plate", "plate", "--channels", "blue=C00,green=C01,yellow=C02,red=C03")[0] == 0
    (entry,) = Catalog.read(tmp_path / "catalog.parquet")
    assert (entry.plate, entry.well, entry.site) == ("plate", "C02", "X00--Y00")
    field = read_field(read_catalog_sources(Catalog.read(tmp_path / "catalog.parquet"))[0])
    assert field.pixels[0, 0].tolist() == [3, 1, 0, 2]


def test_a_stack_with_the_users_names_in_a_catalog(lociscope: Command, tmp_path: Path) -> None:
    planes = np.arange(4, dtype=np.uint8)[:, None, None] + np.zeros((4, 6, 6), np.uint8)
    (tmp_path / "stacks").mkdir()
    tifffile.imwrite(tmp_path / "stacks" / "a.tif", planes, photometric="minisblack")
    assert lociscope("import", "folder", "stacks", "--channels", "red=3,green=2,blue=1,yellow=0")[0] == 0
    (source,) = read_catalog_sources(Catalog.read(tmp_path / "catalog.parquet"))
    assert read_field(source).pixels[0, 0].tolist() == [3, 2, 1, 0]


def test_real_pictures_of_the_atlas(lociscope: Command, real_data: Path, tmp_path: Path) -> None:
    assert lociscope("import", "hpa", real_data / "hpa_website")[0] == 0
    (entry,) = Catalog.read(tmp_path / "catalog.parquet")
    assert (entry.plate, entry.well, entry.site) == ("800", "A6", "1")
    assert lociscope("import", "folder", real_data / "hpa2021" / "train", "-o", "b.parquet")[0] == 0


def test_antibodies_are_found_by_the_picture(lociscope: Command, tmp_path: Path, write_field: WriteField) -> None:
    from lociscope.images.scale import resize

    def picture(seed: int) -> np.ndarray:
        coarse = np.random.default_rng(seed).random((8, 8, 4)).astype(np.float32)
        return np.asarray(resize(coarse, 64, 64) * 255).astype(np.uint8)

    for number in range(4):
        write_field(f"7{number}_1610_C1_1", tmp_path / "atlas", picture(number))
        write_field(f"uuid{number}", tmp_path / "competition" / "train", picture(5 - number)[::-1])
    table = "Id,Target\n" + "".join(f"uuid{number},0\n" for number in range(4))
    (tmp_path / "competition" / "train.csv").write_text(table)
    assert lociscope("import", "hpa", "atlas", "-o", "atlas.parquet")[0] == 0
    words = ("import", "kaggle", "competition", "-o", "c.parquet")
    code, out, _ = lociscope(*words, "--match", "atlas.parquet", "--workers", 1)
    assert code == 0
    assert out.splitlines()[0] == "2 of 4 fields show the same cells as one of the 4 reference fields"
    assert [entry.antibody for entry in Catalog.read(tmp_path / "c.parquet")] == [None, None, "73", "72"]
    assert lociscope(*words)[0] == 0
    code, _, err = lociscope(*words, "--match", "c.parquet")
    assert code == 1
    assert "names no antibody" in err
