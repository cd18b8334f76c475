"""`lociscope predict`, as a person gives it: what it prints, what it writes, and the code it ends with."""

from __future__ import annotations

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lociscope.artifacts.predictions import PROBABILITY_COLUMNS, Predictions

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def fields(write_field: WriteField) -> Path:
    for number, name in enumerate(("a1", "b2", "c3")):
        folder = write_field(name, seed=number)
    return folder


# === What is written and printed ===


def test_a_folder_to_csv_and_again(process: Command, fields: Path, tmp_path: Path) -> None:
    (fields / "notes.txt").write_text("passed over")
    assert process("predict", fields, "-o", "out.csv") == (0, "3 fields in out.csv, 3 new\n", "")
    rows = rows_of(tmp_path / "out.csv")
    assert [row["id"] for row in rows] == ["a1", "b2", "c3"]
    assert list(rows[0]) == ["id", "locations", "predicted", *PROBABILITY_COLUMNS, "status", "warnings"]
    assert process("predict", fields, "-o", "out.csv") == (0, "3 fields in out.csv, complete already\n", "")


def test_planes_a_catalog_and_a_folder_say_the_same(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    assert lociscope("import", "folder", fields, "-o", "c.parquet")[0] == 0
    planes = [fields / f"b2_{name}.png" for name in ("yellow", "green", "blue", "red")]
    assert lociscope("predict", *planes, "-o", "planes.csv") == (0, "1 field in planes.csv, 1 new\n", "")
    assert lociscope("predict", "c.parquet", "-o", "catalog.csv")[0] == 0
    assert lociscope("predict", fields, "c.parquet", *planes, "-o", "folder.csv")[0] == 0
    folder = (tmp_path / "folder.csv").read_text().splitlines()
    assert (tmp_path / "catalog.csv").read_text().splitlines() == folder
    (alone,), together = rows_of(tmp_path / "planes.csv"), rows_of(tmp_path / "folder.csv")[1]
    assert alone.keys() == together.keys()
    one, other = ([float(row[key]) for key in PROBABILITY_COLUMNS] for row in (alone, together))
    np.testing.assert_allclose(one, other, atol=2e-6)


def test_parquet_holds_what_csv_holds_and_embeddings_where_asked(
    lociscope: Command, fields: Path, tmp_path: Path
) -> None:
    assert lociscope("predict", fields, "-o", "out.csv")[0] == 0
    assert lociscope("predict", fields, "-o", "out.parquet")[0] == 0
    assert lociscope("predict", fields, "-o", "more.parquet", "--embeddings")[0] == 0
    text, plain, more = (Predictions.read(tmp_path / name) for name in ("out.csv", "out.parquet", "more.parquet"))
    assert text.ids == plain.ids == more.ids
    assert text.predicted == plain.predicted == more.predicted
    np.testing.assert_allclose(text.probability, plain.probability, atol=5e-7)
    assert plain.embedding is None
    assert more.embedding is not None
    assert more.embedding.shape == (3, 4)


def test_a_submission_has_no_blank_row(
    lociscope: Command, make_bundle: Callable[..., Path], fields: Path, tmp_path: Path
) -> None:
    sure = make_bundle(tmp_path / "sure", threshold=1.0)
    assert lociscope("predict", fields, "-o", "out.csv", "-b", sure)[0] == 0
    assert lociscope("predict", fields, "-o", "sub.csv", "--kaggle", "-b", sure)[0] == 0
    plain, submission = rows_of(tmp_path / "out.csv"), rows_of(tmp_path / "sub.csv")
    assert [(row["predicted"], row["status"]) for row in plain] == [("", "unsure")] * 3
    likeliest = [str(np.argmax([float(row[key]) for key in PROBABILITY_COLUMNS])) for row in plain]
    assert submission == [{"Id": row["id"], "Predicted": place} for row, place in zip(plain, likeliest, strict=True)]


def test_a_sample_submission_gives_rows_order_and_fillers(
    lociscope: Command, fields: Path, write_field: WriteField, tmp_path: Path
) -> None:
    (fields / "b2_red.png").write_text("no picture")
    write_field("z9", seed=9)
    (tmp_path / "sample.csv").write_text("Id,Predicted\nnew,0\nc3,0\nb2,16 0\na1,0\nlast,\n")
    words = ("predict", fields, "-o", "sub.csv", "--kaggle", "--sample-submission", "sample.csv")
    code, out, err = lociscope(*words)
    assert (code, out) == (3, "2 fields in sub.csv, 2 new\n")
    assert "1 field left out: no test id of 'sample.csv'" in err
    assert "3 of 5 test ids have no prediction, and got what 'sample.csv' has for them, or class 0" in err
    assert "1 field failed, listed in sub.failures.csv" in err
    rows = {row["Id"]: row["Predicted"] for row in rows_of(tmp_path / "sub.csv")}
    assert list(rows) == ["new", "c3", "b2", "a1", "last"]
    assert (rows["new"], rows["b2"], rows["last"]) == ("0", "0 16", "0")

    write_field("b2", seed=1)
    code, out, _ = lociscope(*words)
    assert (code, out) == (3, "3 fields in sub.csv, 1 new\n")
    (tmp_path / "few.csv").write_text("Id\na1\nc3\nb2\n")
    assert "begun with other options" in lociscope(*words[:-1], "few.csv")[2]
    code, out, err = lociscope("predict", fields, "-o", "few-sub.csv", "--kaggle", "--sample-submission", "few.csv")
    assert (code, err) == (0, "lociscope: 1 field left out: no test id of 'few.csv'\n")
    assert lociscope("predict", fields, "-o", "plain.csv", "--kaggle")[0] == 0
    few, plain = (
        {row["Id"]: row["Predicted"] for row in rows_of(tmp_path / name)} for name in ("few-sub.csv", "plain.csv")
    )
    assert list(few) == ["a1", "c3", "b2"]
    assert few == {name: plain[name] for name in few}
    whole = {row["Id"]: row["Predicted"] for row in rows_of(tmp_path / "sub.csv")}
    assert {name: whole[name] for name in few} == few


def test_a_submission_that_lacks_test_ids_says_so(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    (tmp_path / "sample_submission.csv").write_text("Id,Predicted\na1,0\nb2,0\nc3,0\nd4,0\ne5,0\n")
    code, _, err = lociscope("predict", fields, "-o", "sub.csv", "--kaggle")
    sample = tmp_path / "sample_submission.csv"
    assert (code, err) == (
        0,
        f"lociscope: the submission lacks 2 of the 5 test ids of '{sample}', and Kaggle wants them all; the first: "
        f"'d4'. Pass --sample-submission '{sample}'.\n",
    )
    assert lociscope("-q", "predict", fields, "-o", "sub.csv", "--kaggle")[2] == err


@pytest.mark.parametrize(
    ("sample", "code", "sentence"),
    [
        ("id,Predicted\na1,0\n", 1, "'s.csv' is not a sample submission: expected the columns Id,Predicted"),
        ("Id,Predicted\n", 1, "'s.csv' lists no test field"),
        ("Id,Predicted\na1,0\na1,0\n", 1, "Sample submission 's.csv' names the id 'a1' twice"),
        ("Id,Predicted\nx,0\n", 1, "None of 3 fields is a test id of 's.csv' (the first is 'a1')"),
        (None, 1, "Cannot read 's.csv'"),
    ],
)
def test_a_sample_that_is_not_a_submission_is_refused(
    lociscope: Command, fields: Path, tmp_path: Path, sample: str | None, code: int, sentence: str
) -> None:
    if sample is not None:
        (tmp_path / "s.csv").write_text(sample)
    words = ("predict", fields, "-o", "sub.csv", "--sample-submission", "s.csv")
    left, out, err = lociscope(*words, "--kaggle")
    assert (left, out) == (code, "")
    assert err.startswith(f"lociscope: {sentence}")
    left, out, err = lociscope(*words)
    assert (left, out, err) == (
        2,
        "",
        "lociscope: --sample-submission 's.csv' is only for a submission. Add --kaggle.\n",
    )


def test_json_is_one_line_on_stdout(lociscope: Command, fields: Path) -> None:
    (fields / "b2_red.png").write_bytes(b"")
    code, out, err = lociscope("predict", fields, "-o", "out.csv", "--json")
    assert code == 3
    assert json.loads(out) == {"output": "out.csv", "rows": 2, "new": 2, "failed": 1, "unlogged": 0}
    assert "b2_red.png' is empty (0 bytes). Copy it again." in err


def test_the_environment_names_a_bundle_and_the_flag_wins(
    lociscope: Command, make_bundle: Callable[..., Path], fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_bundle(tmp_path / "other", seed=1)
    assert lociscope("predict", fields, "-o", "a.csv")[0] == 0
    assert lociscope("predict", fields, "-o", "b.csv", "--bundle", other)[0] == 0
    monkeypatch.setenv("LOCISCOPE_BUNDLE", str(other))
    assert lociscope("predict", fields, "-o", "c.csv")[0] == 0
    one, two, three = ((tmp_path / name).read_text() for name in ("a.csv", "b.csv", "c.csv"))
    assert one != two == three


# === What can go wrong with a field ===


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG whose pixels are all 0, whatever its header claims."""
    samples = {0: 1, 2: 3, 6: 4}[colour]
    rows = zlib.compress(bytes((1 + 32 * samples * bits // 8) * 32))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def spoil(folder: Path, how: str) -> None:
    """Spoils the green plane of the field `bad`."""
    green = folder / "bad_green.png"
    whole = green.read_bytes()
    contents = {
        "a text file": b"Id,Target\n",
        "cut short": whole[: len(whole) // 2],
        "cut in its header": whole[:20],
        "empty": b"",
        "far too large": png(60_000, 60_000),
        "another size": png(32, 16),
        "another depth": png(32, 32, bits=16),
        "a picture with alpha": png(32, 32, colour=6),
    }
    if how == "missing":
        green.unlink()
    elif how == "two of them":
        (folder / "bad_GREEN.png").write_bytes(whole)
    elif how == "a folder":
        green.unlink()
        green.mkdir()
    elif how == "a link to nowhere":
        green.unlink()
        green.symlink_to("nowhere.png")
    else:
        green.write_bytes(contents[how])


SPOILED = {
    "a text file": "bad_green.png' is not a PNG, despite its name",
    "cut short": "bad_green.png' is damaged or truncated",
    "cut in its header": "bad_green.png' is damaged or truncated",
    "empty": "bad_green.png' is empty (0 bytes)",
    "far too large": "bad_green.png' claims 60000 × 60000 pixels, more than the 67108864",
    "another size": "its green plane is 32 × 16 px of 8 bits, its red one 32 × 32 px of 8 bits",
    "another depth": "its green plane is 32 × 32 px of 16 bits",
    "a picture with alpha": "bad_green.png' is a 8-bit RGB with alpha PNG",
    "missing": "Field 'bad' has no _green file (found red, blue, yellow)",
    "two of them": "Field 'bad' has two green files",
    "a folder": "Is a directory",
    "a link to nowhere": "No such file",
}


@pytest.mark.parametrize("how", SPOILED)
def test_one_bad_field_beside_good_ones(
    lociscope: Command, fields: Path, write_field: WriteField, tmp_path: Path, how: str
) -> None:
    spoil(write_field("bad"), how)
    code, out, err = lociscope("predict", fields, "-o", "out.csv")
    assert (code, out) == (3, "3 fields in out.csv, 3 new\n")
    assert err.startswith("lociscope: 1 field failed, listed in out.failures.csv; the first: ")
    assert [row["id"] for row in rows_of(tmp_path / "out.csv")] == ["a1", "b2", "c3"]
    (failure,) = rows_of(tmp_path / "out.failures.csv")
    assert failure["id"] == "bad"
    assert SPOILED[how] in failure["reason"]
    assert failure["reason"].endswith(".")
    assert str(fields) in failure["path"]

    for path in fields.glob("bad_*"):
        path.rmdir() if path.is_dir() else path.unlink()
    write_field("bad", seed=9)
    assert lociscope("predict", fields, "-o", "out.csv") == (0, "4 fields in out.csv, 1 new\n", "")
    assert not (tmp_path / "out.failures.csv").exists()


def test_nothing_but_bad_fields_is_1(lociscope: Command, write_field: WriteField, tmp_path: Path) -> None:
    spoil(write_field("bad"), "empty")
    code, out, err = lociscope("predict", tmp_path / "fields", "-o", "out.csv")
    assert (code, out) == (1, "")
    assert err.startswith("lociscope: 1 field failed, listed in out.failures.csv; the first: ")
    assert not (tmp_path / "out.csv").exists()


def test_an_all_black_field_is_predicted_and_flagged(
    lociscope: Command, write_field: WriteField, tmp_path: Path
) -> None:
    folder = write_field("black", pixels=np.zeros((32, 32, 4), np.uint8))
    assert lociscope("predict", folder, "-o", "out.csv", "--pixel-size", 164 / 32)[0] == 0
    (row,) = rows_of(tmp_path / "out.csv")
    assert row["warnings"] == "; ".join(f"empty plane: {name}" for name in ("red", "green", "blue", "yellow"))


def test_one_id_from_two_folders(lociscope: Command, write_field: WriteField, tmp_path: Path) -> None:
    one, two = write_field("a1", tmp_path / "one"), write_field("a1", tmp_path / "two", seed=1)
    code, out, err = lociscope("predict", one, two, "-o", "out.csv")
    assert (code, out) in ((1, ""), (3, ""))
    assert "'a1'" in err
    assert "one" in err
    assert "two" in err


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere", "'nowhere' does not exist. Check the path."),
        ("empty", "'empty' has no field: expected files like a1_red.png"),
        ("above", "'above' has no field, but its folder 'below' does. Name 'above/below'."),
        ("picture.png", "'picture.png' does not name its channel"),
        ("none.parquet", "Cannot read Catalog 'none.parquet'"),
        ("text.parquet", "'text.parquet' is not a Catalog file"),
    ],
)
def test_a_source_without_a_field_is_refused(
    lociscope: Command, write_field: WriteField, tmp_path: Path, source: str, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_field("a1", tmp_path / "above" / "below")
    (tmp_path / "picture.png").write_bytes(png(32, 32))
    (tmp_path / "text.parquet").write_text("no parquet")
    code, out, err = lociscope("predict", source, "-o", "out.csv")
    assert (code, out) == (1, "")
    assert err.startswith(f"lociscope: {sentence}")
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("out.*"))


# === What is refused ===


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-o", "out.txt"], "'out.txt' ends in '.txt'; expected .csv or .parquet. Rename it."),
        (["-o", "out"], "'out' ends in ''"),
        (
            ["-o", "out.parquet", "--kaggle"],
            "--kaggle writes CSV. 'out.parquet' ends in '.parquet'; expected .csv. Rename it.",
        ),
        (
            ["-o", "out.csv", "--embeddings"],
            "--embeddings needs Parquet. 'out.csv' ends in '.csv'; expected .parquet. Rename it.",
        ),
        ([], "Missing option '--output'"),
        (["-o", "out.csv", "--workers", "0"], "--workers"),
        (["-o", "out.csv", "--colour"], "No such option"),
    ],
)
def test_wrong_usage_is_2(lociscope: Command, fields: Path, words: list[str], sentence: str) -> None:
    code, out, err = lociscope("predict", fields, *words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_another_bundle_or_other_options_are_refused(
    lociscope: Command, make_bundle: Callable[..., Path], fields: Path, tmp_path: Path
) -> None:
    assert lociscope("predict", fields, "-o", "out.csv")[0] == 0
    before = (tmp_path / "out.csv").read_bytes()
    other = make_bundle(tmp_path / "other", seed=1)
    assert lociscope("predict", fields, "-o", "out.csv", "-b", other) == (
        1, "", "lociscope: 'out.csv' was begun with another bundle. Pass another --output.\n",
    )  # fmt: skip
    assert lociscope("predict", fields, "-o", "out.csv", "--kaggle") == (
        1, "", "lociscope: 'out.csv' was begun with other options. Pass another --output.\n",
    )  # fmt: skip
    assert (tmp_path / "out.csv").read_bytes() == before


def test_a_second_one_at_once_is_refused(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    from lociscope.storage.locks import exclusive_lock

    for command in ("predict", "watch"):
        with exclusive_lock(tmp_path / "out.parts", "no"):  # as the first one does
            code, out, err = lociscope(command, fields, "-o", "out.csv")
        assert (code, out) == (1, "")
        remedy = "Wait until it ends, or pass another --output."
        assert err == f"lociscope: 'out.csv' is being written by another process. {remedy}\n"
        assert not list(tmp_path.glob("out*"))
    assert lociscope("predict", fields, "-o", "out.csv")[0] == 0
    assert not (tmp_path / "out.parts").exists()


def test_somebody_elses_file_is_left_alone(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("my,work\n")
    (tmp_path / "folder.csv").mkdir()
    for name in ("mine.csv", "folder.csv"):
        code, out, err = lociscope("predict", fields, "-o", name)
        assert (code, out) == (1, "")
        assert err == f"lociscope: '{name}' exists and was not written by `lociscope predict`. Pass another --output.\n"
    assert (tmp_path / "mine.csv").read_text() == "my,work\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fields", "folder.csv", "mine.csv"]


def test_a_damaged_bundle_is_refused(lociscope: Command, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes()[:-1])
    (tmp_path / "fields").mkdir()
    code, _, err = lociscope("predict", bundle, "-o", "out.csv", "-b", bundle)
    assert code == 1
    assert "Traceback" not in err


# === What the machine refuses ===


def unprivileged() -> tuple[str, ...]:
    """What starts a process that permissions bind, also where the tests run as root."""
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the tests run as root, and setpriv cannot take its rights: {error}")
    return prefix


@pytest.fixture
def locked() -> Iterator[Callable[[Path, int], None]]:
    """`locked(path, mode)` changes a mode until the test ends."""
    changed: list[tuple[Path, int]] = []

    def lock(path: Path, mode: int) -> None:
        changed.append((path, path.stat().st_mode))
        path.chmod(mode)

    yield lock
    for path, mode in changed:
        path.chmod(mode)


@pytest.mark.parametrize(("mode", "sentence"), [(0o555, "Cannot write"), (0o000, "Permission denied")])
def test_a_folder_that_may_not_be_written(
    process: Command, locked: Callable[[Path, int], None], fields: Path, tmp_path: Path, mode: int, sentence: str
) -> None:
    (tmp_path / "shut").mkdir()
    locked(tmp_path / "shut", mode)
    code, out, err = process("predict", fields, "-o", "shut/out.csv", prefix=unprivileged())
    assert (code, out) == (1, "")
    assert err.startswith("lociscope: Cannot ")
    assert sentence in err
    assert err.count("\n") == 1


def test_what_may_not_be_read(
    process: Command, locked: Callable[[Path, int], None], fields: Path, write_field: WriteField, tmp_path: Path
) -> None:
    locked(fields / "b2_blue.png", 0)
    code, out, err = process("predict", fields, "-o", "out.csv", prefix=unprivileged())
    assert (code, out) == (3, "2 fields in out.csv, 2 new\n")
    assert "b2_blue.png': Permission denied" in err
    locked(write_field("a1", tmp_path / "shut"), 0)
    code, out, err = process("predict", tmp_path / "shut", "-o", "two.csv", prefix=unprivileged())
    assert (code, out) == (1, "")
    assert "Permission denied" in err
    assert err.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {getattr(error, 'stderr', error)}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("left", [0, 4096, 8192])
@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_full_disk_and_once_there_is_space(
    lociscope: Command, fields: Path, small_disk: Path, name: str, left: int
) -> None:
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - left)
    code, out, err = lociscope("predict", fields, "-o", small_disk / name)
    assert (code, out) == (1, "")
    assert err.startswith(f"lociscope: Cannot write '{small_disk}/out")
    assert "No space left on device" in err
    assert err.endswith("choose another location with --output.\n")
    assert err.count("\n") == 1
    if (small_disk / name).exists():  # whole, and only its record had no space
        assert Predictions.read(small_disk / name).ids == ["a1", "b2", "c3"]
    filler.unlink()
    assert lociscope("predict", fields, "-o", small_disk / name)[0] == 0
    assert Predictions.read(small_disk / name).ids == ["a1", "b2", "c3"]
    assert sorted(path.name for path in small_disk.iterdir()) == [name, "out.run.json"]


# === Cut off ===

SLOWLY = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is born without
from lociscope.predict import batch, loading
from lociscope.predict.output import PredictionOutput
batch.CALLS_PER_PART, loading.CALL_FIELDS = 1, 2
left = int(os.environ.get("PARTS_UNTIL_IT_WAITS", "-1"))
write = PredictionOutput.write_part
def write_and_wait(*words):
    global left
    left -= 1
    waits = left == 0  # before the signal may come, after which another part is written
    write(*words)
    if waits:
        time.sleep(600)
PredictionOutput.write_part = write_and_wait
from lociscope.cli import main
main()
"""
"""Parts of two fields; waits for the signal after so many parts, so that no test depends on who is faster."""


@pytest.fixture
def many(write_field: WriteField) -> Path:
    """A folder of 24 fields, one of them bad."""
    for number in range(24):
        folder = write_field(f"f{number:02d}", seed=number, size=16)
    (folder / "f11_green.png").write_text("no picture")
    return folder


def until_parts(environment: dict[str, str], folder: Path, parts: int, end: signal.Signals) -> tuple[int, str]:
    """Starts a prediction of `fields` and ends it when it has written so many new parts."""
    before = len(list(folder.glob("out.parts/*.npz")))
    words = ["predict", "fields", "-o", "out.csv", "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *words],
        cwd=folder,
        env={**environment, "PARTS_UNTIL_IT_WAITS": str(parts)},
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        while started.poll() is None and len(list(folder.glob("out.parts/*.npz"))) < before + parts:
            time.sleep(0.001)
        started.send_signal(end)
        _, err = started.communicate()
    return started.returncode, err


def test_an_interrupted_prediction_says_so_and_resumes(
    process: Command, environment: dict[str, str], many: Path, tmp_path: Path
) -> None:
    code, err = until_parts(environment, tmp_path, 3, signal.SIGINT)
    assert (code, err) == (130, "lociscope: interrupted. Give the same command again to resume.\n")
    assert not (tmp_path / "out.csv").exists()
    resumed = process("predict", many, "-o", "out.csv", code=SLOWLY)
    assert resumed[0] == 3
    new = int(resumed[1].split()[4])
    assert resumed[1] == f"23 fields in out.csv, {new} new\n"
    assert new <= 23 - 6
    assert process("predict", many, "-o", "whole.csv", code=SLOWLY)[0] == 3
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_lost_or_doubled(
    process: Command, environment: dict[str, str], many: Path, tmp_path: Path
) -> None:
    for parts in (0, 1, 2, 1, 3):
        code, _ = until_parts(environment, tmp_path, parts, signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert not (tmp_path / "out.csv").exists()
    code, out, _ = process("predict", many, "-o", "out.csv", code=SLOWLY)
    assert code == 3
    assert int(out.split()[4]) <= 23 - (2 * 7 - 1)  # the bad field is in one of the parts
    assert process("predict", many, "-o", "whole.csv", code=SLOWLY)[0] == 3
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "out.failures.csv").read_bytes() == (tmp_path / "whole.failures.csv").read_bytes()
    assert not (tmp_path / "out.parts").exists()


# === What is loaded ===

LOADED = """
import json, sys
from lociscope.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
HEAVY = {"tensorflow", "keras", "polars", "pandas", "matplotlib", "scipy", "sklearn", "skimage", "jinja2", "onnx"}


def test_csv_is_written_without_what_it_does_not_need(process: Command, fields: Path) -> None:
    code, _, err = process("predict", fields, "-o", "out.csv", code=LOADED)
    modules = set(json.loads(err))
    assert code == 0
    assert not modules & (HEAVY | {"pyarrow", "pydantic", "rich"})
    plugins = {name for name in modules if name.startswith("PIL.") and name.endswith("ImagePlugin")}
    common = {f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Ppm", "Png")}  # Pillow loads these at once
    assert plugins <= common
    arms = (["lociscope", "training"], ["lociscope", "data"])
    assert not [name for name in modules if name.split(".")[:2] in arms]


def test_parquet_is_written_with_pyarrow_alone(process: Command, fields: Path) -> None:
    code, _, err = process("predict", fields, "-o", "out.parquet", code=LOADED)
    modules = set(json.loads(err))
    assert code == 0
    assert "pyarrow" in modules
    assert not modules & (HEAVY - {"pandas"})  # pyarrow imports pandas where that is installed


# === Real fields ===


def test_real_fields_give_56_rows(lociscope: Command, real_data: Path, tmp_path: Path) -> None:
    assert lociscope("predict", real_data / "hpa2018" / "train", "-o", "sub.csv", "--kaggle") == (
        0, "56 fields in sub.csv, 56 new\n", "",
    )  # fmt: skip
    rows = rows_of(tmp_path / "sub.csv")
    assert len({row["Id"] for row in rows}) == 56
    assert all(row["Predicted"] for row in rows)


# === Layouts and tables of others ===


def test_folders_for_channels_and_fields_say_what_the_flat_folder_says(
    lociscope: Command, fields: Path, tmp_path: Path
) -> None:
    for path in fields.iterdir():
        name, _, channel = path.stem.partition("_")
        for target in (tmp_path / "colours" / channel / path.name, tmp_path / "each" / name / f"{channel}.png"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    assert lociscope("predict", fields, "-o", "flat.csv")[0] == 0
    assert lociscope("predict", "colours", "-o", "colours.csv") == (0, "3 fields in colours.csv, 3 new\n", "")
    named = [f"colours/{channel}" for channel in ("blue", "red", "yellow", "green")]
    assert lociscope("predict", *named, "-o", "named.csv")[0] == 0
    assert lociscope("predict", "each", "-o", "each.csv")[0] == 0
    flat = (tmp_path / "flat.csv").read_text()
    assert all((tmp_path / name).read_text() == flat for name in ("colours.csv", "named.csv", "each.csv"))


@pytest.mark.parametrize("table", ["t.csv", "t.parquet"])
def test_a_table_of_paths(lociscope: Command, fields: Path, tmp_path: Path, table: str) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    ids = ["a1", "b2", "c3"]
    paths = {name.upper(): [f"fields/{each}_{name}.png" for each in ids] for name in ("red", "green", "blue", "yellow")}
    made = pa.table({"ID": ids, **paths, "pixel_size": [5.125] * 3, "well": ["A01", "A02", "A03"]})
    (pyarrow.csv.write_csv if table == "t.csv" else pq.write_table)(made, tmp_path / table)
    assert lociscope("predict", table, "-o", "out.csv") == (0, "3 fields in out.csv, 3 new\n", "")
    rows = rows_of(tmp_path / "out.csv")
    assert [(row["id"], row["well"]) for row in rows] == [("a1", "A01"), ("b2", "A02"), ("c3", "A03")]
    assert not any("pixel_size_assumed" in row["warnings"] for row in rows)
    assert lociscope("predict", fields, "--pixel-size", "5.125", "-o", "folder.csv")[0] == 0
    assert [row["p03"] for row in rows] == [row["p03"] for row in rows_of(tmp_path / "folder.csv")]


def test_a_preset_names_plate_and_well_beside_the_locations(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "plate").mkdir()
    for number, channel in enumerate(("blue", "green", "red", "yellow"), 1):
        name = f"P7_B02_s1_w{number}1F3FDE5E-0A1B-4C2D-8E9F-01234567890{number}.png"
        shutil.copy(fields / f"a1_{channel}.png", tmp_path / "plate" / name)
    code, _, err = lociscope("predict", "plate", "-o", "out.parquet", "--preset", "metaxpress")
    assert code == 1
    assert "Pass --channels red=…,green=…,blue=…,yellow=…" in err
    words = ("--preset", "ImageXpress", "--channels", "red=w3,green=w2,blue=w1,yellow=w4")
    assert lociscope("predict", "plate", "-o", "out.parquet", *words)[0] == 0
    read = Predictions.read(tmp_path / "out.parquet")
    assert (read.ids, read.positions) == (["P7_B02_1"], [("P7", "B02", "1")])
    assert lociscope("predict", fields / "..", "plate", "-o", "out.parquet", *words)[1].endswith("complete already\n")
    assert lociscope("predict", "plate", "-o", "out.csv", *words)[0] == 0
    row = rows_of(tmp_path / "out.csv")[0]
    assert list(row)[-3:] == ["plate", "well", "site"]
    assert len(row["locations"].split("; ")) == max(1, len(row["predicted"].split()))
    assert lociscope("predict", "plate", "-o", "x.csv", "--preset", "zeiss")[0] == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "sftp://example.org/a.tif",
            "'sftp://example.org/a.tif' is a URL of the kind 'sftp', which lociscope does not",
        ),
        ("https://me:secret@example.org/a.tif", "'example.org' contains a user name or a password"),
        ("a.czi", "is a Zeiss CZI file, which lociscope does not read. Export it as OME-TIFF"),
        ("a.xlsx", "is a spreadsheet, which lociscope does not read. Save its sheet as CSV"),
        ("labels.csv", r"has no column 'red' (columns: id, target)"),
    ],
)
def test_what_is_refused_by_what_it_is(lociscope: Command, tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "labels.csv").write_text("Id,Target\na,0\n")
    code, out, err = lociscope("predict", source, "-o", "out.csv")
    assert (code, out) == (1, "")
    assert said in err
