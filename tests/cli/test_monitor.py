"""`lociscope monitor check`: a report on stdout, a page, JSON and exit codes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.bundle import encode_reference, read_bundle, write_bundle
from lociscope.images.discovery.naming import Rules
from lociscope.images.field import Field
from lociscope.images.io.write import write_planes
from lociscope.predict.predictor import open_bundle
from lociscope.predict.reference import measure_reference
from lociscope.registry.model_registry import Registry
from lociscope.workflows.predict import predict_files

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


def pixels(seed: int, gain: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.gamma(2, 30, (32, 32, 4)) * np.array([gain, 1, 1, 1]) * rng.uniform(0.7, 1.3, 4)
    return np.asarray(np.clip(made, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def predicted(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve fields each in `before.*`, similar ones in `similar.*`, and dim red ones in `dim.*` (.db and .parquet)."""
    folder = tmp_path_factory.mktemp("predicted")
    for name, first, gain in (("before", 0, 1.0), ("similar", 100, 1.0), ("dim", 200, 0.3)):
        for number in range(12):
            write_planes(folder / name, f"f{number}", pixels(first + number, gain))
        predict_files(
            folder / name,
            folder / f"{name}.parquet",
            bundle=tiny_bundle,
            rules=Rules(pixel_size=164 / 32),
            embeddings=True,
            log=str(folder / f"{name}.db"),
        )
    return folder


@pytest.fixture
def logs(lociscope: Command, predicted: Path, tmp_path: Path) -> Path:
    """A copy of what `predicted` holds, in the current folder."""
    return shutil.copytree(predicted, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def with_reference(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle with a reference of sixty fields."""
    bundle = read_bundle(tiny_bundle)
    fields = (Field(str(number), pixels(number), 164 / 32) for number in range(300, 360))
    reference, _ = measure_reference(open_bundle(tiny_bundle), fields, "fields of this test")
    extra = {"reference.npz": encode_reference(reference)}
    write_bundle(tmp_path / "referenced", bundle.card, bundle.model, bundle.selftest, extra)
    return tmp_path / "referenced"


def test_drift_is_reported_as_text_page_and_exit_code(lociscope: Command, logs: Path) -> None:
    code, out, err = lociscope("monitor", "check", "--log", "dim.db", "--reference", "before.db", "-o", "page.html")
    assert code == 4
    head, *lines, page = out.splitlines()
    assert head == "drift: log 'dim.db' (12 fields) differs from log 'before.db', at a level of 0.05"
    assert any(line.startswith("  The red channel ") for line in lines)
    assert not any("blue" in line for line in lines)
    assert "shows only large shifts" in err
    assert page == "page.html"
    assert "Model output" in (logs / page).read_text()


def test_no_drift_is_exit_0_and_json_is_the_report(lociscope: Command, logs: Path) -> None:
    code, out, _ = lociscope("monitor", "check", "--log", "similar.db", "--reference", "before.db", "--json")
    found = json.loads(out)
    assert (code, found["drifted"], found["schema"]) == (0, False, 3)
    assert (len(found["statistics"]), len(found["locations"])) == (34, 28)
    assert found["embedding"]["p"] > 0.05
    code, out, _ = lociscope("monitor", "check", "--log", "similar.db", "--reference", "before.db")
    assert (code, out.split(":")[0]) == (0, "no drift")
    checked, figures = out.splitlines()[1:]
    assert checked == "  checked: locations, pixel statistics, embeddings"
    assert figures.startswith("  0 of 63 figures moved; smallest corrected p ")
    assert (found["checked"], found["not_checked"]) == (["locations", "pixel statistics", "embeddings"], [])


def test_predictions_are_compared_without_statistics(lociscope: Command, logs: Path) -> None:
    code, out, _ = lociscope("monitor", "check", "dim.parquet", "--reference", "before.parquet", "--json")
    found = json.loads(out)
    assert (found["statistics"], code) == ([], 4 if found["drifted"] else 5)
    assert (found["checked"], [each["part"] for each in found["not_checked"]]) == (
        ["locations", "embeddings"],
        ["pixel statistics"],
    )
    assert found["embedding"] is not None
    assert lociscope("predict", "before", "-o", "before.csv", "--pixel-size", 164 / 32)[0] == 0
    code, out, _ = lociscope("monitor", "check", "similar.parquet", "--reference", "before.csv")
    head, *lines = out.splitlines()
    assert code == 5
    assert head.startswith("no drift in what was checked: 'similar.parquet' (12 fields) is similar to 'before.csv'")
    assert lines == [
        "  checked: locations",
        "  not checked: pixel statistics. The window and the reference have none; a log and the reference of a bundle "
        "have them.",
        "  not checked: embeddings. The reference has none, or not of all fields. Predict with a log, or keep the "
        "embeddings in the Predictions (.parquet).",
        lines[-1],
    ]


def test_the_bundle_that_predicted_is_the_reference_by_default(
    lociscope: Command, logs: Path, with_reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--pixel-size", 164 / 32, "--log", "mine.db")
    assert lociscope("predict", "similar", "-o", "mine.csv", "-b", with_reference, *words)[0] == 0
    assert lociscope("predict", "dim", "-o", "dim.csv", "-b", with_reference, *words)[0] == 0
    monkeypatch.delenv("LOCISCOPE_BUNDLE")
    code, _, err = lociscope("monitor", "check", "--log", "mine.db")
    assert code == 1
    assert "which is not the one that ships and no --registry is passed. Pass it as --bundle" in err
    Registry(logs / "models").add(with_reference, who="ann", why="")
    for option, named in (("--registry", "models"), ("--bundle", "referenced"), ("--reference", "referenced")):
        code, out, _ = lociscope("monitor", "check", "--log", "mine.db", option, named)
        assert (code, "the reference of tiny0 (60 fields" in out) == (4, True)


def test_rows_of_other_bundles_are_left_out_and_noted(
    lociscope: Command, logs: Path, make_bundle: Callable[..., Path]
) -> None:
    other = make_bundle(logs / "other", 5)
    words = ("--pixel-size", 164 / 32, "-b", other, "--log", "before.db")
    assert lociscope("predict", "similar", "-o", "other.csv", *words)[0] == 0
    _, out, err = lociscope("monitor", "check", "--log", "before.db", "-b", other, "--reference", "similar.db")
    assert "note: 12 fields of other bundles in that time left out." in err
    assert "  checked: pixel statistics\n  not checked: locations. Bundle" in out


def test_a_window_is_a_time(lociscope: Command, logs: Path) -> None:
    words = ("monitor", "check", "--log", "similar.db", "--reference", "before.db")
    code, _, err = lociscope(*words, "--since", "2100-01-01")
    assert code == 1
    assert "has no row of that time; its rows are from 2" in err
    assert lociscope(*words, "--since", "1h", "--until", "2100-01-01T00:00+02:00")[0] == 0
    code, _, err = lociscope(*words, "--reference-until", "2001-01-01")
    assert (code, "Change --reference-since or --reference-until" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "There is nothing to check"),
        (("--log", "none.db"), 1, "There is no log 'none.db'"),
        (("--log", "empty.db"), 1, "Log 'empty.db' is empty"),
        (("--log", "newer.db"), 1, "has schema 9, newer than 1"),
        (
            ("--log", "few.db", "--reference", "before.db"),
            1,
            "Log 'few.db' is too small to distinguish drift from chance: 3",
        ),
        (("--log", "before.db"), 1, "carries no reference. Export it again"),
        (("--log", "before.db", "--since", "yesterday"), 2, "--since is not a time: 'yesterday'"),
        (("--log", "before.db", "--group", "("), 2, "--group is not a regular expression"),
        (("none.parquet",), 1, "Cannot read Predictions"),
    ],
)
def test_what_cannot_be_checked_is_an_error(
    lociscope: Command, logs: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    from lociscope.prediction_log.log import open_log

    for name in ("empty.db", "newer.db"):
        open_log(str(logs / name)).close()
    with sqlite3.connect(logs / "newer.db") as connection:
        connection.execute("UPDATE lociscope_log SET value = '9'")
    connection.close()
    few = ("predict", *(f"before/f{number}_{colour}.png" for number in range(3) for colour in
           ("red", "green", "blue", "yellow")))  # fmt: skip
    assert lociscope(*few, "-o", "few.csv", "--log", "few.db")[0] == 0
    printed = lociscope("monitor", "check", *words)
    assert (printed[0], printed[1]) == (code, "")
    assert message in printed[2]


def set_times(log: Path, days: dict[int, str]) -> None:
    """Give the rows of a log the times of days."""
    with sqlite3.connect(log) as connection:
        for seq, time in days.items():
            connection.execute("UPDATE lociscope_predictions SET time = ? WHERE seq = ?", (time, seq))


def test_windows_over_time_report_what_moved_since_when(lociscope: Command, logs: Path) -> None:
    for name in ("similar", "dim"):
        assert lociscope("predict", name, "-o", f"all-{name}.csv", "--pixel-size", 164 / 32, "--log", "all.db")[0] == 0
    set_times(logs / "all.db", {row: f"2026-05-0{1 + (row - 1) // 6}T08:00:{row:02}.000000Z" for row in range(1, 25)})
    words = ("monitor", "report", "--log", "all.db", "--reference", "before.db")
    code, out, _ = lociscope(*words, "--every", "2d", "-o", "page.html", "--fields", "dim")
    first, second, *others = out.splitlines()
    assert code == 4
    assert (first, second) == ("2026-05-01  12 fields  no drift", "2026-05-03  12 fields  drift")
    assert others[0].startswith("  likely cause: ")
    assert any(line.startswith("moved since 2026-05-03: Microtubules (red): ") for line in others)
    page = (logs / "page.html").read_text()
    assert page.count("<figcaption>f") == 3
    assert "Nothing." not in page
    code, out, _ = lociscope(*words, "--every", 12, "--json")
    found = json.loads(out)
    assert (code, found["by"], [each["fields"] for each in found["windows"]]) == (4, "12 fields", [12, 12])
    code, out, _ = lociscope(*words, "--until", "2026-05-03", "--every", "1d")
    assert (code, out.splitlines()) == (0, ["2026-05-01  6 fields  no drift", "2026-05-02  6 fields  no drift"])


def test_accuracy_is_printed_by_window_and_as_json(lociscope: Command, logs: Path) -> None:
    code, out, err = lociscope("monitor", "accuracy", "--log", "before.db", "--every", 6)
    first, second = out.splitlines()
    assert code == 0
    assert "estimated on 6 fields: macro-F1 " in first
    assert "estimated on 6 fields: macro-F1 " in second
    assert "estimates assume that the probabilities are calibrated" in err
    found = json.loads(lociscope("monitor", "accuracy", "--log", "before.db", "--every", "1w", "--json")[1])
    assert [(each["estimated"]["fields"], each["measured"]) for each in found] == [(12, None)]
    assert found[0]["estimated"]["precision"]["low"] <= found[0]["estimated"]["precision"]["value"] <= 1


def test_rows_are_deleted(lociscope: Command, logs: Path) -> None:
    assert lociscope("monitor", "delete", "--log", "dim.db")[0] == 2
    assert lociscope("monitor", "delete", "--log", "dim.db", "--matching", "^f[0-3]$")[1] == "4 rows deleted\n"
    assert lociscope("monitor", "delete", "--log", "dim.db", "--before", "2000-01-01")[1] == "0 rows deleted\n"
