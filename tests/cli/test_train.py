"""`lociscope train`: a Run that can be cut off anywhere, and that no other training overwrites."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lociscope.artifacts.card import hash_trainings
from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.run import Run
from lociscope.errors import LociscopeError
from lociscope.predict.predictor import open_bundle
from lociscope.workflows.train import lock_run, read_failures

Command = Callable[..., tuple[int, str, str]]
Trained = tuple[Path, Any]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# === One training ===


def test_a_run_holds_what_it_should(trained: Trained) -> None:
    folder, said = trained
    assert (said.code, said.out) == (3, f"{folder}\n"), said.err
    *epochs, failed = said.err.splitlines()
    assert failed.startswith(f"lociscope: 1 field failed, listed in {folder}/failures.csv; the first: ")
    run = Run.open(folder)
    assert [re.sub(r"\d+ s", "0 s", line) for line in epochs if line.startswith("epoch")] == [  # and lines of progress
        f"epoch {number} of 3: loss {row['loss']:.4f}, val_loss {row['val_loss']:.4f}, "
        f"macro-F1 {row['macro_f1']:.3f}, 0 s{', 0 s left' if number < 3 else ''}"
        for number, row in enumerate(run.read_history(), 1)
    ]
    assert all(0 <= row["macro_f1"] <= 1 for row in run.read_history())
    assert [row["epoch"] for row in run.read_history()] == [1, 2, 3]
    assert run.read_environment().fields == {"train": 9, "valid": 3}
    assert run.read_recipe().train.checkpoint_steps == 2
    predictions = run.read_predictions()
    assert set(predictions.ids) == set(run.read_truth())
    assert len(predictions) == 3
    assert "f07" in (folder / "failures.csv").read_text()
    assert not (folder / "packed").exists()


def test_a_finished_run_says_so_and_changes_nothing(lociscope: Command, training: Any, trained: Trained) -> None:
    folder, first = trained
    before = contents(folder)
    code, out, err = lociscope(*training.words, "-o", folder)
    assert (code, out) == (3, f"{folder}\n")
    scores = first.err.splitlines()[-6:]
    assert scores[0] == "Validation scores, with 90 % intervals by group of fields (3 groups):"
    assert [line.split()[0] for line in scores[1:5]] == ["macro-F1", "macro-AP", "LRAP", "val_loss"]
    assert err.splitlines() == [f"'{folder}' is already finished", *scores]
    assert contents(folder) == before


def test_two_do_not_train_in_one_folder(tmp_path: Path) -> None:
    with lock_run(tmp_path / "run"), pytest.raises(LociscopeError, match="is being trained by another process"):
        with lock_run(tmp_path / "run"):
            pass
    assert not (tmp_path / "run").exists()
    with lock_run(tmp_path / "run"):
        (tmp_path / "run" / "made").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["made"]


def test_a_file_that_is_not_a_list_of_failures_is_refused(tmp_path: Path) -> None:
    for text in (b"id;path;reason\nf07;x;y\n", b"id,path,reason\n\xff,x,y\n"):
        (tmp_path / "failures.csv").write_bytes(text)
        with pytest.raises(LociscopeError, match=r"failures\.csv' is not a list of failures"):
            read_failures(tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("-s", "train.epochs=4"), "is a Run of another recipe"), (("-s", "augment.flip=true"), "of another recipe")],
)
def test_a_run_of_another_recipe_is_refused(
    lociscope: Command, training: Any, trained: Trained, words: tuple[str, ...], sentence: str
) -> None:
    before = contents(trained[0])
    code, out, err = lociscope(*training.words, *words, "-o", trained[0])
    assert (code, out) == (1, "")
    assert sentence in err
    assert err.endswith("Name another folder with --output.\n")
    assert contents(trained[0]) == before


def test_a_finished_run_on_other_fields_is_refused(
    lociscope: Command, training: Any, trained: Trained, tmp_path: Path
) -> None:
    entries = list(Catalog.read(training.catalog))
    words = list(training.words)
    place = words.index(str(training.catalog))
    for name, changed in (
        ("fewer", entries[:-1]),
        ("relabelled", [replace(entry, target=(1,)) for entry in entries]),
    ):
        words[place] = str(tmp_path / f"{name}.parquet")
        Catalog.from_entries(changed, tmp_path).write(tmp_path / f"{name}.parquet")
        code, out, err = lociscope(*words, "-o", trained[0])
        assert (code, out) == (1, ""), name
        assert (
            err == f"lociscope: '{trained[0]}' is a finished Run on other fields. Name another folder with --output.\n"
        )
    del words[place - 1 : place + 1]
    assert "on other fields" in lociscope(*words, "-o", trained[0])[2]


def test_a_folder_of_somebody_else_is_left_alone(lociscope: Command, training: Any, tmp_path: Path) -> None:
    (tmp_path / "mine" / "packed").mkdir(parents=True)
    (tmp_path / "mine" / "packed" / "photos.zip").write_text("mine")
    code, out, err = lociscope(*training.words, "-o", "mine")
    assert (code, out, err) == (
        1,
        "",
        "lociscope: 'mine' exists and is not a Run. Name another folder with --output.\n",
    )
    assert contents(tmp_path / "mine") == {"packed/photos.zip": b"mine"}


# === Wrong usage ===


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["lenet55"], "No recipe 'lenet55' (No such file or directory). Did you mean 'lenet5'?"),
        (["lenet5", "-s", "train.epoch=3"], "has the unknown key 'train.epoch'. Did you mean 'epochs'?"),
        (["lenet5", "-s", "trian.epochs=3"], "has the unknown key 'trian'. Did you mean 'train'?"),
        (["lenet5", "-s", "train.epochs=many"], "train.epochs: "),
        (["lenet5", "-s", "train.epochs=0"], "train.epochs: "),
        (["lenet5", "-s", "train.epochs"], "is not of the form key=value"),
        (["lenet5", "-s", "network.name=lenet"], "Network 'lenet' is not known. Did you mean 'lenet5'?"),
        (["lenet5", "-s", "train.loss=dice"], "train.loss: Input should be 'bce', 'focal', 'asymmetric' or 'soft_f1'"),
        (
            ["stages.toml"],
            "Stage 1 begins from 'C55', but no layer of 'lenet5' has a name like that. Did you mean 'C5'?",
        ),
        (["misspelt.toml"], "has the unknown key 'data.sise'. Did you mean 'size'?"),
        (["broken.toml"], "Recipe 'broken.toml' is not TOML: "),
    ],
)
def test_what_a_recipe_does_not_know(lociscope: Command, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "misspelt.toml").write_text("[data]\nsise = 64\n")
    stage = "[[stages]]\nunfreeze_from = 'C55'\nepochs = 1\nlearning_rate = 0.1\n"
    (tmp_path / "stages.toml").write_text(f"[data]\nsize = 32\n{stage}")
    (tmp_path / "broken.toml").write_text("[data\n")
    code, out, err = lociscope("train", *words, "-o", "run")
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("line", "sentence"), ROWS, ids=[line for line, _ in ROWS])
def test_what_the_page_says_of_recipes(lociscope: Command, tmp_path: Path, line: str, sentence: str) -> None:
    (tmp_path / "r.toml").write_text(f"{line}\ndata.size = 32\n")
    code, out, err = lociscope("train", "r.toml", "-o", "run")
    assert (out, err.count("\n")) == ("", 1)
    assert code in (1, 2)
    assert sentence in err
    assert not (tmp_path / "run").exists()


def test_an_option_that_the_network_does_not_know(lociscope: Command, tmp_path: Path) -> None:
    for setting, sentence in (
        ("network.widht=2", "Network 'lenet5' has no option 'widht'. Did you mean 'width'?"),
        ("network.width=100", "Network 'lenet5' cannot be built: width must be in "),
    ):
        code, out, err = lociscope("train", "lenet5", "-s", setting, "-o", "run")
        assert (code, out) == (2, "")
        assert sentence in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("catalog", "sentence"),
    [("none.parquet", "Cannot read Catalog 'none.parquet'"), ("unlabelled.parquet", "has 0 labelled fields")],
)
def test_a_catalog_that_cannot_teach(
    lociscope: Command, training: Any, tmp_path: Path, catalog: str, sentence: str
) -> None:
    entries = [replace(entry, target=None) for entry in Catalog.read(training.catalog)]
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "unlabelled.parquet")
    code, out, err = lociscope("train", "lenet5", "-c", catalog, "-o", "run")
    assert (code, out) == (1, "")
    assert sentence in err


def test_devices_that_are_not_there(lociscope: Command, training: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    for words, sentence in (
        (("--device", "gpu"), "--device gpu was asked for, and TensorFlow finds no GPU."),
        (("--devices", "64"), "train.devices is 64, and TensorFlow finds 1 CPU. Set train.devices=1."),
    ):
        code, out, err = lociscope(*training.words, *words, "-o", "run")
        assert (code, out) == (1, "")
        assert err.startswith(f"lociscope: {sentence}")
        assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


# === A disk for many ===


@pytest.mark.slow
def test_prepared_fields_serve_the_next_training(
    lociscope: Command, training: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lociscope.data.cache import packing
    from lociscope.workflows import train

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("LOCISCOPE_STORE", str(tmp_path / "store"))
    with monkeypatch.context() as patch:
        patch.setattr(train, "fit_datasets", interrupt)
        assert lociscope(*training.words, "-o", "one")[0] == 130
    (kept,) = (tmp_path / "store").iterdir()
    assert {path.name for path in kept.iterdir()} == {"x.npy", "pack.json"}

    def unread(source: Any) -> Any:
        raise AssertionError("read again")

    monkeypatch.setattr(packing, "read_field", unread)
    code, _, err = lociscope(*training.words, "-o", "two")
    assert code == 3
    assert "1 field failed" in err
    for name, array in weights_of(trained[0]).items():
        np.testing.assert_array_equal(weights_of(tmp_path / "two")[name], array, err_msg=name)


# === Folds ===


@pytest.mark.slow
def test_folds_are_trained_joined_and_resumed(
    lociscope: Command, training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lociscope.workflows import crossval
    from lociscope.workflows.train import fit_datasets

    words = [*training.words, "-s", "train.epochs=1", "--folds", "2", "-o", "out"]

    def cut(recipe: Any, datasets: Any, folder: Path, *more: Any) -> Run:
        if folder.name == "fold1":
            raise KeyboardInterrupt
        return fit_datasets(recipe, datasets, folder, *more)

    monkeypatch.setattr(crossval, "fit_datasets", cut)
    assert lociscope(*words)[0] == 130
    assert Run(tmp_path / "out" / "fold0").done
    monkeypatch.setattr(crossval, "fit_datasets", fit_datasets)
    code, out, err = lociscope(*words)
    assert code == 3, err
    assert out == "out\n"
    assert "already finished: fold 0\n" in err
    lines = err.splitlines()
    start = lines.index("Out-of-fold scores of 2 folds, with 90 % intervals by group of fields (12 groups):")
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["macro-F1", "macro-AP", "LRAP"]
    runs = [Run.open(tmp_path / "out" / f"fold{number}") for number in range(2)]
    whole = Run(tmp_path / "out")
    assert whole.read_predictions().ids == [name for run in runs for name in run.read_predictions().ids]
    assert len({*whole.read_truth()} & {*whole.read_groups()}) == 12
    assert all(sum(run.read_environment().fields.values()) == 12 for run in runs)
    assert not (tmp_path / "out" / "packed").exists()
    again = lociscope(*words)
    assert (again[0], again[1]) == (code, out)
    assert "'out' is already finished\n" in again[2]

    assert lociscope("evaluate", "out", "-o", "report")[0] == 0
    assert "each predicted by the one of 2 networks" in (tmp_path / "report" / "report.html").read_text()
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert "of 2 networks that was trained without its fold" in json.dumps(metrics)
    code, made, err = lociscope("export", "out", "-o", "places", "--reference", 0)
    assert (code, made) == (0, "places\n")
    assert err.startswith("Bundle 'places', the average of 2 networks: ")
    predictor = open_bundle(tmp_path / "places")
    assert set(predictor.engine.outputs) == {"probabilities", "embedding", "evidence"}
    each = []
    for run in runs:
        assert lociscope("export", run.folder, "-o", "one", "--reference", 0)[0] == 0
        each.append(
            open_bundle(tmp_path / "one").predict(pixels := np.arange(4096, dtype=np.uint16).reshape(32, 32, 4))
        )
        shutil.rmtree(tmp_path / "one")
    odds = np.mean([np.log(p.probability / (1 - p.probability)) for p in each], axis=0)
    np.testing.assert_allclose(predictor.predict(pixels).probability, 1 / (1 + np.exp(-odds)), atol=1e-5)
    card = predictor.bundle.card
    assert card.provenance["recipe"]["network"]["name"] == "lenet5"
    assert len(set(hash_trainings(card.provenance))) == 2
    (runs[1].folder / "DONE").rename(tmp_path / "away")
    for command in ("evaluate", "export"):
        code, _, err = lociscope(command, "out", "-o", "x")
        assert (code, err) == (
            1, "lociscope: 'out/fold1' is not finished. Run `lociscope train … --folds 2 -o out` again.\n",
        )  # fmt: skip
    (tmp_path / "away").rename(runs[1].folder / "DONE")
    words[words.index("2")] = "4"
    assert lociscope(*words)[2].endswith("'out' holds 2 folds. Name another folder with --output.\n")


@pytest.mark.slow
def test_folds_of_the_features_recipe(lociscope: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small = ("data.fields=12", "data.simulated_size=128", "network.trees=3", "network.head=linear")
    words = ["train", "features", *(word for setting in small for word in ("-s", setting)), "--folds", "2", "-o", "out"]
    code, out, err = lociscope(*words)
    assert code == 0, err
    assert out == "out\n"
    assert "scores of 2 folds, with 90 % intervals by group of fields (6 groups)" in err
    assert "Fold 0 has no field of " in caplog.text


# === Cut off ===


def weights_of(run: Path) -> dict[str, np.ndarray]:
    """Every array in `best.keras`, by its path."""
    import h5py  # type: ignore[import-untyped]

    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(run / "best.keras") as archive:
        data = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(data) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def steps_of(run: Path) -> int:
    """The newest checkpoint's step."""
    return max((int(path.name) for path in (run / "checkpoints").glob("[0-9]*")), default=0)


def kill_when(words: list[str], moment: Callable[[], bool]) -> None:
    """Starts a command, and kills it at a moment."""
    with subprocess.Popen([sys.executable, "-m", "lociscope", *words], stderr=subprocess.PIPE, text=True) as started:
        while started.poll() is None and not moment():
            time.sleep(0.0005)
        assert started.stderr is not None
        assert started.poll() is None, f"ended before the moment came: {started.stderr.read()}"
        started.send_signal(signal.SIGKILL)


def test_packing_resumes_and_reports_what_it_could_not_read_before(
    lociscope: Command, training: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lociscope.data.cache import disk, packing
    from lociscope.images.io.read import read_field
    from lociscope.workflows import train

    run = tmp_path / "run"
    calls: list[str] = []
    last = [""]
    hashes: list[str] = []

    def finish(recipe: Any, datasets: Any, folder: Path, *more: Any) -> Run:
        """Leave the finished Run on the same fields, which takes no training."""
        hashes.append(datasets.train.sha256)
        shutil.copytree(trained[0], folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("failures.csv"))
        return Run(folder)

    def cut(source: Any) -> Any:
        calls.append(source.id)
        if source.id == last[0]:
            raise KeyboardInterrupt
        return read_field(source)

    monkeypatch.setattr(packing, "read_field", cut)
    monkeypatch.setattr(train, "fit_datasets", finish)
    last[0] = "f09"
    assert lociscope(*training.words, "-o", run)[0] == 130
    assert [path.name for path in run.iterdir()] == [".packed.part"]
    assert len((run / ".packed.part" / disk.JOURNAL).read_text().splitlines()) == 9
    last[0] = ""
    code, _, err = lociscope(*training.words, "-o", run)
    assert code == 3
    assert "1 field failed" in err
    assert "f07" in (run / "failures.csv").read_text()
    assert calls == [f"f{number:02d}" for number in (*range(10), *range(9, 13))]
    assert hashes == [Run.open(trained[0]).read_environment().data_hash]


@pytest.mark.slow
def test_killed_at_many_moments_it_ends_with_the_same_weights(training: Any, trained: Trained, tmp_path: Path) -> None:
    alone, said = trained
    run = tmp_path / "run"
    words = [*training.words, "-o", str(run)]
    for moment in (
        lambda: (run / ".packed.part" / "journal.jsonl").exists(),
        lambda: (run / "packed" / "pack.json").exists(),
        lambda: steps_of(run) >= 2,  # of 4 in an epoch
        lambda: (run / "best.keras").exists(),
    ):
        kill_when(words, moment)
        assert not (run / "DONE").exists()
    last = subprocess.run([sys.executable, "-m", "lociscope", *words], capture_output=True, text=True, check=False)
    assert (last.returncode, last.stdout) == (3, f"{run}\n"), last.stderr
    assert last.stderr.splitlines()[-1] == said.err.splitlines()[-1].replace(str(alone), str(run))
    mine, theirs = weights_of(run), weights_of(alone)
    assert mine.keys() == theirs.keys()
    assert len(mine) > 10
    for name, array in theirs.items():
        np.testing.assert_array_equal(mine[name], array, err_msg=name)
    losses = [[row[key] for key in ("epoch", "loss", "val_loss")] for row in Run.open(run).read_history()]
    assert losses == [[row[key] for key in ("epoch", "loss", "val_loss")] for row in Run.open(alone).read_history()]
    made, expected = (Run.open(each).read_predictions().probability for each in (run, alone))
    np.testing.assert_array_equal(made, expected)
    assert not list(run.glob(".packed*"))
    assert not (run / "packed").exists()


@pytest.mark.slow
def test_an_unfinished_run_refuses_other_fields_and_recipes(training: Any, trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    (run / "DONE").unlink()
    said = subprocess.run(
        [sys.executable, "-m", "lociscope", *training.words, "-s", "data.seed=1", "-o", run],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == f"lociscope: '{run}' is a Run of another recipe. Name another folder with --output.\n"
    assert json.loads((run / "environment.json").read_text())["schema"] == 2
