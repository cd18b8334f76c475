"""The Bundle: every byte is checked before it is opened."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.artifacts.bundle import (
    MANIFEST,
    Bundle,
    Reference,
    Selftest,
    encode_reference,
    read_bundle,
    read_reference,
    write_bundle,
)
from lociscope.artifacts.bundle_files import PAYLOADS
from lociscope.artifacts.bundle_files import REQUIRED as FILES
from lociscope.artifacts.card import (
    Card,
    Decision,
    InputSpec,
    OutOfDistribution,
    Score,
    describe_detector,
    encode_card,
    read_card,
)
from lociscope.artifacts.provenance import Provenance
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 8
Change = Callable[[dict[str, bytes]], None]


def model() -> bytes:
    shape = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 28])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["probabilities"])], "g", [shape], [])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


def card(**values: Any) -> Card:
    spec = InputSpec(height=SIZE, width=SIZE, low=0.5, high=99.9)
    decision = Decision(policy="constant", thresholds=(0.5,) * 28)
    texts = {"name": "test", "version": "1", "created": "2026-01-01", "licence": "CC0", "limits": "a test", **values}
    return Card(input=spec, decide=decision, **texts)


def selftest(n: int = 2) -> Selftest:
    generator = np.random.default_rng(0)
    return Selftest(generator.random((n, SIZE, SIZE, 4), np.float32), generator.random((n, 28), np.float32))


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    made = selftest()
    arrays = {"schema": 1, "input": made.input, "probabilities": made.probabilities, **arrays}
    np.savez(buffer, **{name: array for name, array in arrays.items() if array is not ...})
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", card(), model(), selftest(), {})
    return tmp_path / "bundle"


def rehash(folder: Path) -> None:
    """Lists the files as they are now, as somebody who means harm would."""
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / MANIFEST).write_text("".join(lines))


def refused(folder: Path, message: str) -> str:
    with pytest.raises(LociscopeError, match=message) as caught:
        read_bundle(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_written_comes_back(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert isinstance(bundle, Bundle)
    assert bundle.card == card()
    assert bundle.model == model()
    assert bundle.sha256 == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    np.testing.assert_array_equal(bundle.selftest.input, selftest().input)
    np.testing.assert_array_equal(bundle.selftest.probabilities, selftest().probabilities)
    assert bundle.card.input.pixel_size == 164 / SIZE


def test_optional_files_are_read_and_checked(folder: Path) -> None:
    write_bundle(folder, card(version="2"), model(), selftest(), {"reference.npz": b"anything"})
    assert read_bundle(folder).card.version == "2"
    write_bundle(folder, card(), model(), selftest(), {"model.keras": b"anything"})
    refused(folder, "model.keras is not a Keras archive")


def test_only_a_bundle_or_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    (tmp_path / "empty").mkdir()
    for name in ("file", "photos"):
        with pytest.raises(LociscopeError, match=r"exists and is not a bundle. Choose another folder with `output`"):
            write_bundle(tmp_path / name, card(), model(), selftest(), {})
    write_bundle(tmp_path / "empty", card(), model(), selftest(), {})
    assert read_bundle(tmp_path / "empty").card.name == "test"
    assert (tmp_path / "photos" / "cat.png").exists()


# === Altered ===


REQUIRED = (PAYLOADS["network"], *FILES)


@pytest.mark.parametrize("name", REQUIRED)
def test_an_altered_byte(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    refused(folder, f"{name} is not the file that was exported .* Copy or export the bundle again")


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("left", [0, 1, -1])
def test_a_truncated_file(folder: Path, name: str, left: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:left])
    refused(folder, f"{name} is not the file that was exported")


@pytest.mark.parametrize("name", [*REQUIRED, MANIFEST])
def test_a_missing_file_and_a_link(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / name)
    refused(folder, f"is not a bundle: it has no file {name}")
    (folder / name).symlink_to(tmp_path / name)
    refused(folder, f"is not a bundle: it has no file {name}")


def test_a_missing_folder_and_a_file(folder: Path) -> None:
    refused(folder / "none", "the folder does not exist")
    refused(folder / MANIFEST, "the folder does not exist")
    refused(folder / ("n" * 300), "File name too long")


@pytest.mark.parametrize("name", ["weights.bin", ".hidden", "model.keras"])
def test_a_file_that_is_not_listed(folder: Path, name: str) -> None:
    (folder / name).touch()
    refused(folder, f"'{name}' is not in its MANIFEST")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_or_link_that_is_not_listed(folder: Path, tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        (folder / "more").mkdir()
    else:
        (folder / "more").symlink_to(tmp_path)
    refused(folder, "'more' is not in its MANIFEST")


@pytest.mark.parametrize(
    "line",
    [
        "{digest}  ../card.json",
        "{digest}  /etc/passwd",
        "{digest}  sub/model.onnx",
        "{digest}  MANIFEST",
        "{digest}  card.json",
        "{digest} *model.onnx",
        "0  reference.npz",
        "",
        "\0",
    ],
)
def test_a_manifest_with_a_strange_line(folder: Path, line: str) -> None:
    with (folder / MANIFEST).open("a") as file:
        file.write(line.format(digest="0" * 64) + "\n")
    refused(folder, "MANIFEST has the line .*Export the bundle again")


def test_a_manifest_that_lists_too_little(folder: Path) -> None:
    for text in ("", "\n".join((folder / MANIFEST).read_text().splitlines()[1:])):
        (folder / MANIFEST).write_text(text)
        refused(folder, "MANIFEST does not list|MANIFEST has the line")


@given(st.binary(max_size=200))
def test_any_manifest_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_bytes(data)
    refused(folder, "MANIFEST")


def test_no_permission(folder: Path) -> None:
    code = "import sys, pathlib; from lociscope.artifacts import bundle; bundle.read_bundle(pathlib.Path(sys.argv[1]))"
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    for path, mode in ((folder / "card.json", 0o000), (folder, 0o000), (folder, 0o311)):
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            words = [*(prefix if os.geteuid() == 0 else []), sys.executable, "-c", code, str(folder)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("root may read anything, and there is no setpriv to take that from it")
        finally:
            path.chmod(before)
        if done.stderr.startswith("setpriv"):
            pytest.skip(f"setpriv is not allowed here: {done.stderr.strip()}")
        assert "LociscopeError: Cannot " in done.stderr.splitlines()[-1]
        assert "Permission denied. Check the path and its permissions." in done.stderr


# === Rehashed: what the contents say ===


def rewrite(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    rehash(folder)


def altered_card(**values: Any) -> bytes:
    changed = json.loads(encode_card(card())) | values
    return json.dumps({key: value for key, value in changed.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": 6}, "card.json has schema 6, newer than 5, the newest this lociscope reads. Update lociscope."),
        (
            {"schema": 1},
            "of a network trained with preprocessing 1; this lociscope does preprocessing 3",
        ),
        ({"schema": None}, "card.json states no schema"),
        ({"labels": ["Nucleoplasm"]}, "labels or channels are not lociscope's 28 labels"),
        ({"channels": ["green", "red", "blue", "yellow"]}, "labels or channels are not"),
        ({"limits": ...}, "missing required field `limits`"),
        ({"code": "x"}, "unknown field `code`"),
        (
            {"decide": {"policy": "constant", "thresholds": [0.5] * 27}},
            "length >= 28 - at `..decide.thresholds`",
        ),
        (
            {"decide": {"policy": "constant", "thresholds": [float("nan")] * 28}},
            "card.json is damaged",
        ),
        ({"decide": {"policy": "constant", "thresholds": [1.5] * 28}}, "<= 1.0 - at `..decide.thresholds"),
    ],
)
def test_wrong_cards(folder: Path, values: dict[str, Any], message: str) -> None:
    rewrite(folder, "card.json", altered_card(**values))
    refused(folder, message)


def test_a_card_of_schema_2_is_migrated(folder: Path) -> None:
    text = "600 simulated fields of seed 0, fold 1 of 5"
    old = altered_card(schema=2, provenance={"data": text, "folds": [{"data": "Catalog 'a.parquet'"}]})
    rewrite(folder, "card.json", old)
    read = read_bundle(folder).card
    assert read.schema_ == 5
    assert Provenance(**read.provenance["data"]) == Provenance("simulated", fields=600, seed=0, fold=1, folds=5)
    assert Provenance(**read.provenance["folds"][0]["data"]) == Provenance("catalog", "a.parquet")
    assert read_card(encode_card(read), "It") == read


def test_the_shipped_card_is_read(folder: Path) -> None:
    provenance = read_bundle().card.provenance
    assert Provenance(**provenance["data"]) == Provenance("simulated", fields=12_000, seed=0)


@pytest.mark.parametrize("data", [b"", b"[]", b"nonsense", b"\xff", b"[" * 200_000])
def test_cards_that_are_not_json(folder: Path, data: bytes) -> None:
    rewrite(folder, "card.json", data)
    refused(folder, "card.json is damaged")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_in_a_card_are_finite(value: float) -> None:
    valid = card()
    spec = InputSpec(height=8, width=8, low=0, high=100, field_um=value)
    score = Score(value=value, low=0, high=1, n=1, what="x")
    for wrong in (msgspec.structs.replace(valid, input=spec), msgspec.structs.replace(valid, metrics={"lrap": score})):
        with pytest.raises(LociscopeError, match="is damaged"):
            encode_card(wrong)


class Pickled:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the pickle was loaded",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"schema": 6}, "selftest.npz has schema 6, newer than 5"),
        ({"schema": ...}, "selftest.npz is damaged .*schema"),
        ({"schema": np.array([1, 2])}, "selftest.npz states no schema"),
        ({"input": ...}, "selftest.npz is damaged .*input"),
        ({"input": np.array([Pickled()], object)}, "selftest.npz is damaged .*allow_pickle"),
        ({"input": np.float32(1)}, r"holds \(\) of float32, expected \(0, 8, 8, 4\)"),
        ({"input": np.zeros((2, SIZE, SIZE, 3), np.float32)}, r"holds \(2, 8, 8, 3\) .* expected \(2, 8, 8, 4\)"),
        ({"input": np.zeros((2, SIZE, SIZE, 4))}, "of float64, expected .* of float32"),
        ({"input": np.full((2, SIZE, SIZE, 4), "x")}, "of <U1, expected .* of float32"),
        ({"probabilities": np.zeros((1, 28), np.float32)}, r"holds \(1, 28\) .* expected \(2, 28\)"),
        (
            {"input": np.zeros((0, SIZE, SIZE, 4), np.float32), "probabilities": np.zeros((0, 28), np.float32)},
            "with at least one row",
        ),
    ],
)
def test_selftests_that_prove_nothing(folder: Path, arrays: dict[str, Any], message: str) -> None:
    rewrite(folder, "selftest.npz", npz(**arrays))
    refused(folder, message)


def test_a_giant_selftest_is_refused_before_it_is_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lociscope.artifacts.bundle.MAX_FILE_BYTES", 32 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("schema.npy", b"")
        with archive.open("input.npy", "w", force_zip64=True) as member:
            for _ in range(33):
                member.write(bytes(1 << 20))
    rewrite(folder, "selftest.npz", buffer.getvalue())
    tracemalloc.start()
    refused(folder, "selftest.npz unpacks to more than 32 MiB")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_an_array_that_claims_to_be_huge(folder: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (1 << 60,)})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("schema.npy", buffer.getvalue())
    rewrite(folder, "selftest.npz", archive.getvalue())
    refused(folder, "selftest.npz is damaged")


@settings(max_examples=80)
@given(st.data())
def test_random_bytes_in_a_selftest_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "flipped"
    write_bundle(folder, card(), model(), selftest(), {})
    damaged = bytearray(npz())
    for _ in range(data.draw(st.integers(1, 3))):
        # the first array's header and the archive's directory, where it matters
        at = data.draw(st.integers(0, 400) | st.integers(len(damaged) - 300, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    rewrite(folder, "selftest.npz", bytes(damaged[: data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))]))
    try:
        assert read_bundle(folder).selftest.input.shape == (2, SIZE, SIZE, 4)
    except LociscopeError as error:
        assert "selftest.npz" in str(error)


# === Light ===


@pytest.mark.parametrize(
    "statement",
    [
        "from lociscope.artifacts.bundle import read_bundle",
        "from lociscope.images import field, quality, render, scale; from lociscope.images.io import read, write",
        "from lociscope.images.discovery import sources",
        "from lociscope.artifacts.recipe import Recipe; Recipe.read('lenet5')",
        "from lociscope.artifacts.catalog import read_labels; from lociscope.artifacts.predictions import Predictions",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    heavy = (
        "tensorflow",
        "keras",
        "pyarrow",
        "matplotlib",
        "scipy",
        "sklearn",
        "skimage",
        "rich",
        "typer",
        "onnxruntime",
    )
    code = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({heavy!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def reference(n: int = 3, names: tuple[str, ...] = ("a", "b"), wide: int = 5) -> Reference:
    generator = np.random.default_rng(1)
    statistics, probability, embedding = (generator.random((n, width), np.float32) for width in (len(names), 28, wide))
    return Reference(names, statistics, probability, embedding)


@pytest.mark.parametrize("wide", [0, 5])
def test_a_reference_comes_back(folder: Path, wide: int) -> None:
    assert read_reference(read_bundle(folder)) is None
    made = reference(wide=wide)
    write_bundle(folder, card(reference={"fields": 3}), model(), selftest(), {"reference.npz": encode_reference(made)})
    bundle = read_bundle(folder)
    read = read_reference(bundle)
    assert read is not None
    assert read.names == made.names
    np.testing.assert_array_equal(read.statistics, made.statistics)
    np.testing.assert_array_equal(read.probability, made.probability)
    np.testing.assert_allclose(read.embedding, made.embedding, rtol=1e-3)
    assert bundle.card.reference == {"fields": 3}


REFERENCE = {
    "schema": 1,
    "names": np.array(["a", "b"]),
    "statistics": np.zeros((3, 2), np.float32),
    "probability": np.zeros((3, 28), np.float32),
    "embedding": np.zeros((3, 5), np.float16),
}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"schema": 6}, "has schema 6, newer than 5"),
        ({"statistics": np.zeros((3, 3), np.float32)}, "holds (3, 3) of float32 where 3 rows"),
        ({"statistics": np.zeros((0, 2), np.float32)}, "holds (0, 2)"),
        ({"statistics": np.float32(1)}, "holds ()"),
        ({"probability": np.zeros((2, 28), np.float32)}, "holds (2, 28)"),
        ({"probability": np.full((3, 28), np.nan)}, "rows of finite floats"),
        ({"embedding": np.zeros(3, np.float16)}, "holds (3,)"),
        ({"embedding": np.zeros((3, 5), int)}, "holds (3, 5) of int64"),
        ({"names": np.array([1, 2])}, "where 3 rows"),
        ({"names": np.array([{}, {}], object)}, "is damaged (Object arrays cannot be loaded"),
    ],
)
def test_references_that_do_not_fit(folder: Path, arrays: dict[str, Any], message: str) -> None:
    write_bundle(folder, card(), model(), selftest(), {"reference.npz": npz(**REFERENCE | arrays)})
    bundle = read_bundle(folder)
    with pytest.raises(LociscopeError) as caught:
        read_reference(bundle)
    assert message in str(caught.value)


def test_a_damaged_or_oversized_reference_is_refused(folder: Path) -> None:
    some = {name: array for name, array in REFERENCE.items() if name != "embedding"}
    whole = encode_reference(reference())
    giant = npz(**REFERENCE | {"statistics": np.zeros((1 << 24, 2), np.float32)})
    for data, message in ((npz(**some), "is damaged"), (whole[:-9], "is damaged"), (giant, "more than 64 MiB")):
        write_bundle(folder, card(), model(), selftest(), {"reference.npz": data})
        with pytest.raises(LociscopeError, match=message):
            read_reference(read_bundle(folder))


def test_a_card_of_schema_3_has_no_detector_and_is_otherwise_the_same(folder: Path) -> None:
    before = read_bundle(folder).card
    data = {"data": {"kind": "catalog", "name": "a.parquet"}}
    rewrite(folder, "card.json", altered_card(schema=3, provenance=data))
    bundle = read_bundle(folder)
    assert (bundle.card.schema_, bundle.card.out_of_distribution, bundle.detector) == (5, None, None)
    assert bundle.card.provenance == data
    assert describe_detector(bundle.card) == "no detector: the status unlike-training is never given"
    assert bundle.card.decide == before.decide


def test_a_card_describes_its_detector(folder: Path) -> None:
    described: dict[str, Any] = {
        "false_alarms": 0.03,
        "threshold": 3.5,
        "fields": 100,
        "what": "plate1",
        "detected": 0.98,
    }
    rewrite(folder, "card.json", altered_card(out_of_distribution=described))
    card = read_bundle(folder).card
    assert card.out_of_distribution == OutOfDistribution(**described)
    assert "at most 0.03 of known fields" in describe_detector(card)
    rewrite(folder, "card.json", altered_card(out_of_distribution=described | {"detected": 2}))
    refused(folder, "card.json is damaged")
