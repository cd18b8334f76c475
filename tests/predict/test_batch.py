"""Many fields to a file: nothing lost, nothing doubled, the good ones go on, and memory does not grow."""

from __future__ import annotations

import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes
from lociscope.predict import batch, loading
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.prediction_log import writer
from lociscope.prediction_log.log import open_log
from lociscope.prediction_log.log_errors import LogError, LogUnavailableError
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from lociscope.images.field import Field
    from lociscope.prediction_log.rows import Row

WriteField = Callable[..., Path]


class KillError(BaseException):
    """Stands for a process that ends here: nothing between catches it."""


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fields a call, one call a part."""
    monkeypatch.setattr(loading, "CALL_FIELDS", 2)
    monkeypatch.setattr(batch, "CALLS_PER_PART", 1)


@pytest.fixture
def fields(write_field: WriteField) -> Path:
    """A folder of nine fields, `f0` to `f8`."""
    for number in range(9):
        folder = write_field(f"f{number}", seed=number, size=16)
    return folder


def predict(predictor: Predictor, sources: Path | Sequence[Path], out: Path, **options: Any) -> BatchResult:
    found, broken = find_fields([sources] if isinstance(sources, Path) else sources)
    return predict_to_file(predictor, found, out, OutputOptions(**options), broken=broken)


def garble(folder: Path, name: str) -> None:
    (folder / f"{name}_green.png").write_text("no picture")


def beside(out: Path) -> list[str]:
    """What is left beside the output when all is done."""
    return sorted(path.name for path in out.parent.iterdir() if path.name.startswith((out.stem, f".{out.stem}")))


@pytest.mark.parametrize(
    ("name", "options"),
    [("out.csv", {}), ("out.csv", {"kaggle": True}), ("out.parquet", {}), ("out.parquet", {"embeddings": True})],
)
def test_a_second_call_finds_all_done(
    predictor: Predictor, fields: Path, tmp_path: Path, name: str, options: dict[str, bool]
) -> None:
    out = tmp_path / name
    first = predict(predictor, fields, out, **options)
    written = out.read_bytes()
    again = predict(predictor, fields, out, **options)
    assert (first.rows, first.new, again.rows, again.new) == (9, 9, 9, 0)
    assert first.failures == again.failures == []
    assert out.read_bytes() == written
    assert beside(out) == [name, "out.run.json"]


def cut(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Ends the process before or after one of the moments at which something appears on disk or goes."""
    left, after = divmod(moment, 2)

    def cutting(real: Callable[..., object]) -> Callable[..., object]:
        def replace(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0 and not after:
                raise KillError
            result = real(*arguments, **named)
            if left < 0:
                raise KillError
            return result

        return replace

    patch.setattr(Path, "replace", cutting(Path.replace))
    patch.setattr(shutil, "rmtree", cutting(shutil.rmtree))


def assert_same_result(out: Path, whole: Path) -> None:
    """The same rows to the last bit, the same failures, and nothing else left beside them."""
    if out.suffix == ".csv":
        assert out.read_bytes() == whole.read_bytes()
    else:
        mine, theirs = Predictions.read(out), Predictions.read(whole)
        assert mine.ids == theirs.ids
        np.testing.assert_array_equal(mine.probability, theirs.probability)
        np.testing.assert_array_equal(mine.embedding, theirs.embedding)
    assert out.with_name("out.failures.csv").read_bytes() == whole.with_name("out.failures.csv").read_bytes()
    assert set(beside(out)) == {out.name, "out.failures.csv", "out.run.json"}


KINDS: list[Any] = [
    ("out.csv", {}),
    pytest.param("out.csv", {"kaggle": True}, marks=pytest.mark.slow),  # written like the other CSV file
    ("out.parquet", {"embeddings": True}),
]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of nine fields, `f0` to `f8`, which the tests do not change; `f3` is damaged."""
    folder = tmp_path_factory.mktemp("damaged") / "fields"
    for number in range(9):
        write_planes(folder, f"f{number}", patches((16, 16, 4), number))
    garble(folder, "f3")
    return folder


@pytest.fixture(scope="module")
def uncut(predictor: Predictor, damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`uncut("out.csv", kaggle=True)` gives what an uninterrupted prediction writes, made once for each kind."""

    @cache
    def write(name: str, **options: bool) -> Path:
        out = tmp_path_factory.mktemp("uncut") / name
        predict(predictor, damaged, out, **options)
        return out

    return write


@pytest.mark.parametrize(("name", "options"), KINDS)
@pytest.mark.parametrize(
    "moment", range(28)
)  # five parts, each with a manifest, table, record, failures, clearing up: before and after
def test_cut_off_at_any_moment_and_given_again_the_result_is_the_same(
    predictor: Predictor,
    damaged: Path,
    uncut: Callable[..., Path],
    tmp_path: Path,
    small_parts: None,
    name: str,
    options: dict[str, bool],
    moment: int,
) -> None:
    out = tmp_path / "cut" / name
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KillError):
        cut(patch, moment)
        predict(predictor, damaged, out, **options)
    resumed = predict(predictor, damaged, out, **options)
    assert [failure.id for failure in resumed.failures] == ["f3"]
    assert resumed.rows == 8
    assert_same_result(out, uncut(name, **options))


@pytest.mark.parametrize(("name", "options"), KINDS)
@pytest.mark.parametrize("moment", range(20))  # three parts and manifests, table, record, failures, clearing up
def test_cut_off_while_it_adds_to_a_table_the_result_is_the_same(
    predictor: Predictor,
    write_field: WriteField,
    tmp_path: Path,
    small_parts: None,
    name: str,
    options: dict[str, bool],
    moment: int,
) -> None:
    whole, out = tmp_path / "whole" / name, tmp_path / "cut" / name
    for number in range(5):
        folder = write_field(f"f{number}", seed=number, size=16)
    for each in (whole, out):
        predict(predictor, folder, each, **options)
    write_field("f0", seed=100, size=16)  # changed
    garble(folder, "f1")
    for number in range(5, 9):
        write_field(f"f{number}", seed=number, size=16)
    predict(predictor, folder, whole, **options)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KillError):
        cut(patch, moment)
        predict(predictor, folder, out, **options)
    resumed = predict(predictor, folder, out, **options)
    assert ([failure.id for failure in resumed.failures], resumed.rows) == (["f1"], 8)
    assert_same_result(out, whole)


def test_what_was_predicted_before_the_cut_is_not_read_again(
    predictor: Predictor, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    read: list[str] = []
    monkeypatch.setattr(loading, "read_field", noting(read, stop_at="f6"))
    with pytest.raises(KillError):
        predict(predictor, fields, tmp_path / "out.csv")
    read.clear()
    monkeypatch.setattr(loading, "read_field", noting(read))
    outcome = predict(predictor, fields, tmp_path / "out.csv")
    assert "f0" not in read
    assert sorted(read)[-3:] == ["f6", "f7", "f8"]
    assert (outcome.rows, outcome.new) == (9, len(read))


def noting(read: list[str], stop_at: str | None = None) -> Callable[[FieldSource], Field]:
    """`read_field`, which notes what it reads, and ends the process at a field."""
    from lociscope.images.io.read import read_field

    def reading(source: FieldSource) -> Field:
        if source.id == stop_at:
            raise KillError
        read.append(source.id)
        return read_field(source)

    return reading


def test_only_new_changed_and_corrected_fields_are_read(
    predictor: Predictor, fields: Path, write_field: WriteField, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    garble(fields, "f4")
    first = predict(predictor, fields, out)
    before = Predictions.read(out)
    assert [failure.id for failure in first.failures] == ["f4"]
    assert first.failures[0].reason.startswith(f"'{fields}/f4_green.png' is not a PNG")
    write_field("f4", seed=4, size=16)
    write_field("f2", pixels=np.full((16, 16, 4), 9, np.uint8))
    write_field("a-new-one", seed=99, size=16)
    read: list[str] = []
    monkeypatch.setattr(loading, "read_field", noting(read))
    second = predict(predictor, fields, out)
    after = Predictions.read(out)
    assert sorted(read) == ["a-new-one", "f2", "f4"]
    assert (second.rows, second.new, second.failures) == (10, 3, [])
    assert after.ids == ["a-new-one", *(f"f{number}" for number in range(9))]
    empty = (FieldWarning(WarningKind.EMPTY_CHANNEL, (name,)) for name in CHANNEL_NAMES)
    assert after.warnings[3] == (FieldWarning(WarningKind.PIXEL_SIZE_ASSUMED), *empty)
    np.testing.assert_array_equal(after.probability[1], before.probability[0])
    assert beside(out) == ["out.csv", "out.run.json"]


def test_a_field_that_breaks_later_leaves_the_table(predictor: Predictor, fields: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    predict(predictor, fields, out)
    garble(fields, "f1")
    (fields / "f2_yellow.png").unlink()
    outcome = predict(predictor, fields, out)
    assert {failure.id for failure in outcome.failures} == {"f1", "f2"}
    assert Predictions.read(out).ids == ["f0", *(f"f{number}" for number in range(3, 9))]
    assert (outcome.rows, outcome.new) == (7, 0)


def test_the_table_can_lose_all_its_rows_and_win_them_back(
    predictor: Predictor, write_field: WriteField, tmp_path: Path
) -> None:
    out, folder = tmp_path / "out.csv", write_field("a1", size=16)
    predict(predictor, folder, out)
    garble(folder, "a1")
    assert predict(predictor, folder, out).rows == 0
    assert len(Predictions.read(out)) == 0
    write_field("a1", size=16)
    assert predict(predictor, folder, out).rows == 1


def test_where_nothing_can_be_read_no_table_is_made(
    predictor: Predictor, write_field: WriteField, tmp_path: Path
) -> None:
    folder = write_field("a1", size=16)
    garble(folder, "a1")
    outcome = predict(predictor, folder, tmp_path / "out.csv")
    assert (outcome.rows, len(outcome.failures)) == (0, 1)
    assert beside(tmp_path / "out.csv") == ["out.failures.csv"]


def test_a_field_that_disappears_before_it_is_read_is_a_failure(
    predictor: Predictor, fields: Path, tmp_path: Path
) -> None:
    found, _ = find_fields([fields])
    (fields / "f4_green.png").unlink()
    result = predict_to_file(predictor, found, tmp_path / "out.csv", OutputOptions())
    assert [(failure.id, failure.code) for failure in result.failures] == [("f4", Code.NOT_FOUND)]
    assert Predictions.read(tmp_path / "out.csv").ids == [f"f{number}" for number in range(9) if number != 4]


def test_a_folder_that_grows_meanwhile_is_completed_by_the_next_call(
    predictor: Predictor, fields: Path, write_field: WriteField, tmp_path: Path, small_parts: None
) -> None:
    found, _ = find_fields([fields])
    more = iter(range(9, 20))

    def grow(done: int, total: int, text: str = "", /) -> None:
        assert total == 9
        write_field(f"f{next(more)}", seed=3, size=16)

    first = predict_to_file(predictor, found, tmp_path / "out.csv", OutputOptions(), progress=grow)
    again = predict(predictor, fields, tmp_path / "out.csv")
    assert (first.new, again.new) == (9, next(more) - 9)
    assert sorted(again.ids) == sorted({path.name.split("_")[0] for path in fields.iterdir()})


def test_rows_of_other_fields_stay(predictor: Predictor, write_field: WriteField, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    predict(predictor, write_field("b", tmp_path / "one", size=16), out)
    outcome = predict(predictor, write_field("a", tmp_path / "two", size=16), out)
    assert (outcome.rows, outcome.new) == (2, 1)
    assert Predictions.read(out).ids == ["a", "b"]


def test_another_way_to_name_a_folder_is_the_same_folder(
    predictor: Predictor, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fields)
    predict(predictor, fields, tmp_path / "out.csv")
    for same in (Path(), Path("..") / fields.name):
        assert predict(predictor, same, tmp_path / "out.csv").new == 0


def test_a_memory_error_fails_one_field(
    predictor: Predictor, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lociscope.images.io.read import read_field

    def reading(source: FieldSource) -> Field:
        if source.id == "f5":
            raise MemoryError
        return read_field(source)

    monkeypatch.setattr(loading, "read_field", reading)
    outcome = predict(predictor, fields, tmp_path / "out.csv")
    (failure,) = outcome.failures
    assert (failure.id, outcome.rows) == ("f5", 8)
    assert failure.code == Code.OUT_OF_MEMORY


def test_embeddings_that_the_model_lacks_are_refused_before_anything_is_made(
    make_bundle: Callable[..., Path], fields: Path, tmp_path: Path
) -> None:
    without = open_bundle(make_bundle(tmp_path / "b", embedding=False))
    with pytest.raises(LociscopeError, match="no output 'embedding'"):
        predict(without, fields, tmp_path / "out.parquet", embeddings=True)
    assert beside(tmp_path / "out.parquet") == []


def test_progress_ends_at_the_end(predictor: Predictor, fields: Path, tmp_path: Path, small_parts: None) -> None:
    garble(fields, "f3")
    reports: list[tuple[int, int]] = []
    found, _ = find_fields([fields])
    broken = [Failure("z", "there", "Because.")]
    predict_to_file(
        predictor,
        found,
        tmp_path / "out.csv",
        OutputOptions(),
        broken=broken,
        progress=lambda *far: reports.append(far),
    )
    assert reports == sorted(reports)
    assert len(reports) == 5
    assert reports[-1] == (9, 9)


@pytest.mark.parametrize("workers", [1, 3])
def test_few_fields_are_in_memory_however_many_there_are(
    predictor: Predictor, write_field: WriteField, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Eight fields under ten names: as many live at once as for one name."""
    monkeypatch.setattr(loading, "CALL_FIELDS", 4)
    folder = write_field("f0", size=16)
    for number in range(1, 8):
        write_field(f"f{number}", size=16, seed=number)
    for path in list(folder.iterdir()):
        for copy in range(1, 10):
            os.link(path, folder / f"{copy}{path.name}")
    lock, live, most = threading.Lock(), 0, 0
    from lociscope.predict.predictor import PreparedField

    prepare = predictor.prepare

    def counting(field: Field) -> PreparedField:
        nonlocal live, most
        made = prepare(field)
        for held in (field.pixels, made.pixels):
            with lock:
                live += 1
                most = max(most, live)
            weakref.finalize(held, gone)
        return made

    def gone() -> None:
        nonlocal live
        live -= 1

    monkeypatch.setattr(predictor, "prepare", counting)
    found, broken = find_fields([folder])
    assert (len(found), broken) == (80, [])
    predict_to_file(predictor, found, tmp_path / "out.csv", OutputOptions(), workers=workers)
    assert most <= workers * (4 + 2)  # for each thread the fields of one call, and one being read and prepared
    assert live == 0


def test_what_is_predicted_is_logged_with_embeddings_that_the_table_does_not_keep(
    predictor: Predictor, fields: Path, tmp_path: Path, small_parts: None
) -> None:
    found, _ = find_fields([fields])
    with open_log(str(tmp_path / "log.db")) as log:
        outcome = predict_to_file(predictor, found, tmp_path / "out.parquet", OutputOptions(), log=log)
        assert (outcome.new, outcome.unlogged) == (9, 0)
        assert predict_to_file(predictor, found, tmp_path / "out.parquet", OutputOptions(), log=log).new == 0
        kept = log.read()
    made = Predictions.read(tmp_path / "out.parquet")
    assert made.embedding is None
    assert kept.predictions.ids == made.ids
    np.testing.assert_array_equal(kept.predictions.probability, made.probability)
    whole = predictor.predict([read_field(source) for source in found], embeddings=True)
    assert kept.predictions.embedding is not None
    assert whole.embedding is not None
    np.testing.assert_allclose(kept.predictions.embedding, whole.embedding, atol=1e-3)
    np.testing.assert_array_equal(kept.statistics[3], predictor.prepare(read_field(found[3])).statistics)
    assert (set(kept.bundles), set(kept.commands)) == ({predictor.bundle.sha256}, {"predict"})


def test_an_interrupt_does_not_wait_for_a_log_that_is_away(
    predictor: Predictor, fields: Path, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int, text: str = "", /) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    found, _ = find_fields([fields])
    monkeypatch.setattr(writer, "HURRY_SECONDS", 0.1)
    with open_log(str(tmp_path / "log.db")) as log:
        monkeypatch.setattr(log, "write", Mock(side_effect=LogUnavailableError("The log is away.")))
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            predict_to_file(predictor, found, tmp_path / "out.csv", OutputOptions(), log=log, progress=interrupt)
        assert time.monotonic() - began < 20  # writer.PATIENCE_SECONDS is 30
    assert list((tmp_path / "out.parts").glob("*.npz"))


def test_a_log_that_fails_costs_no_prediction_and_is_reported(
    predictor: Predictor, fields: Path, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = find_fields([fields])
    with open_log(str(tmp_path / "log.db")) as log:
        write = log.write

        def fail_twice(rows: Sequence[Row], key: str | None = None, last: str | None = None) -> None:
            assert list((tmp_path / "out.parts").glob("*.npz")) or (tmp_path / "out.csv").exists()  # already safe
            if {row["id"] for row in rows} & {"f2", "f6"}:
                raise LogError("The log is full. Make space.")
            write(rows, key, last)

        monkeypatch.setattr(writer, "MOST_AT_ONCE", 1)  # a field each
        monkeypatch.setattr(log, "write", fail_twice)
        outcome = predict_to_file(predictor, found, tmp_path / "out.csv", OutputOptions(), log=log)
        assert (outcome.new, outcome.unlogged, outcome.log_error) == (9, 2, "The log is full. Make space.")
        assert log.read().predictions.ids == ["f0", "f1", "f3", "f4", "f5", "f7", "f8"]
    assert Predictions.read(tmp_path / "out.csv").ids == [f"f{number}" for number in range(9)]
