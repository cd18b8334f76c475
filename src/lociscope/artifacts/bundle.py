"""The Bundle: the folder of one deployable model, which training exports and prediction opens."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle_files import (
    MANIFEST as MANIFEST,
)
from lociscope.artifacts.bundle_files import (
    MAX_FILE_BYTES,
    MEMBER,
    PAYLOADS,
    check_unlisted,
    checked,
    incomplete_error,
    member_manifest,
    parse_manifest,
    read_file,
)
from lociscope.artifacts.card import SCHEMA, Card, encode_card, read_card
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.labels import N_LABELS, expand_classes
from lociscope.storage.atomic import atomic_write
from lociscope.storage.keras_files import check_keras
from lociscope.storage.onnx_files import check_onnx
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lociscope.storage.paths import AnyPath

DEFAULT_BUNDLE = Path(__file__).parents[1] / "default_bundle"
MAX_REFERENCE_BYTES = 1 << 26
SELFTEST_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Selftest:
    """An input and the output that the model must reproduce.

    Attributes:
        input: (n, height, width, 4) float32 in 0–1.
        probabilities: (n, 28) float32; NaN for a class that the model does not know.
    """

    input: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True, slots=True)
class Reference:
    """Statistics and predictions of held-out fields, with which `lociscope monitor` compares.

    Attributes:
        names: Names of the k statistics, as in `lociscope.images.statistics.STATISTICS`.
        statistics: (n, k) float32.
        probability: (n, 28) float32 in 0–1; NaN for a class that the model does not know.
        embedding: (n, d) float32; d is 0 for a model without embeddings.
    """

    names: tuple[str, ...]
    statistics: np.ndarray
    probability: np.ndarray
    embedding: np.ndarray


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its contents at the time when their hashes were checked.

    Attributes:
        folder: The folder that was read.
        card: Its card.
        model: The bytes of the file that `PAYLOADS` names: the ONNX model, or that of another kind.
        selftest: Its self-test.
        sha256: Hash of the MANIFEST, which names the hash of every file: the identity of the bundle.
        reference: The bytes of `reference.npz`, or None; `read_reference` parses them.
        detector: The bytes of `detector.npz`, or None; `lociscope.predict.out_of_distribution` parses them.
        members: The bundles of an ensemble, in the order of its weights.
    """

    folder: Path
    card: Card
    model: bytes
    selftest: Selftest
    sha256: str
    reference: bytes | None = None
    detector: bytes | None = None
    members: tuple[Bundle, ...] = ()


def read_bundle(folder: AnyPath | None = None) -> Bundle:
    """Open a bundle and check everything that can be checked without running the model.

    Args:
        folder: The bundle; None for the one that ships with lociscope.

    Returns:
        The bundle, in memory.

    Raises:
        LociscopeError: A file is missing, altered, truncated, not listed, of a newer schema, or would reach outside the
            bundle.
    """
    return _read_bundle(DEFAULT_BUNDLE if folder is None else Path(folder))


def _read_bundle(folder: Path, *, nested: bool = False) -> Bundle:
    manifest = read_file(folder, MANIFEST)
    files = {name: checked(folder, name, digest) for name, digest in parse_manifest(folder, manifest).items()}
    check_unlisted(folder, files)
    if "model.onnx" in files:
        check_onnx(files["model.onnx"], f"Bundle '{folder}': model.onnx")
    if "model.keras" in files:
        check_keras(files["model.keras"], f"Bundle '{folder}': model.keras")
    card = read_card(files["card.json"], f"Bundle '{folder}': card.json")
    if nested and card.kind == "ensemble":
        raise LociscopeError(
            f"Bundle '{folder.parent.parent}': a member is an ensemble itself. Export it with the members of that "
            "ensemble.",
            code=Code.REFUSED_CONTENT,
        )
    if PAYLOADS[card.kind] not in files:
        raise incomplete_error(folder, PAYLOADS[card.kind])
    selftest = _read_selftest(files["selftest.npz"], card, f"Bundle '{folder}': selftest.npz")
    return Bundle(
        folder,
        card,
        files[PAYLOADS[card.kind]],
        selftest,
        hashlib.sha256(manifest).hexdigest(),
        files.get("reference.npz"),
        files.get("detector.npz"),
        _read_members(folder, card, files),
    )


def _read_members(folder: Path, card: Card, files: Mapping[str, bytes]) -> tuple[Bundle, ...]:
    """Open the members of an ensemble, whose MANIFESTs are those that were hashed."""
    names = [name for name in files if MEMBER.fullmatch(name)]
    if [member_manifest(number) for number in range(len(names))] != sorted(names, key=lambda name: (len(name), name)):
        raise LociscopeError(
            f"Bundle '{folder}': MANIFEST does not number its members from 0. Export it again.", code=Code.CORRUPT
        )
    if bool(names) != (card.kind == "ensemble"):
        raise incomplete_error(folder, member_manifest(0))
    paths = [folder / "members" / str(number) for number in range(len(names))]
    if any(path.is_symlink() for path in (folder / "members", *paths)):
        raise LociscopeError(
            f"Bundle '{folder}': its members are links, which may lead outside it. Copy the members instead.",
            code=Code.REFUSED_CONTENT,
        )
    members = tuple(_read_bundle(path, nested=True) for path in paths)
    for number, member in enumerate(members):  # nobody replaced it between the two reads
        if member.sha256 != hashlib.sha256(files[member_manifest(number)]).hexdigest():
            raise LociscopeError(f"'{member.folder}' changed while it was read. Try again.", code=Code.ALTERED)
    return members


def read_reference(bundle: Bundle) -> Reference | None:
    """Read the reference of a bundle.

    Args:
        bundle: The opened bundle.

    Returns:
        Its reference, or None where it has none.

    Raises:
        LociscopeError: `reference.npz` is damaged, too large, of a newer schema, or its arrays do not fit together.
    """
    if bundle.reference is None:
        return None
    what = f"Bundle '{bundle.folder}': reference.npz"
    found = _read_arrays(
        bundle.reference, ("names", "statistics", "probability", "embedding"), MAX_REFERENCE_BYTES, what
    )
    names, tables = found["names"], [found[name] for name in ("statistics", "probability", "embedding")]
    n = len(tables[0]) if tables[0].ndim else 0
    unknown = np.isnan(expand_classes(np.zeros(len(bundle.card.classes)), bundle.card.classes))
    for table, width in zip(tables, (names.size, N_LABELS, None), strict=True):
        fits = table.ndim == 2 and table.shape == (n, table.shape[1] if width is None else width)
        if n == 0 or names.dtype.kind != "U" or table.dtype.kind != "f" or not fits or not _is_finite(table, unknown):
            raise LociscopeError(
                f"{what} holds {table.shape} of {table.dtype} where {n} rows of finite floats should be. "
                "Export the bundle again.",
                code=Code.CORRUPT,
            )
    return Reference(tuple(names.ravel().tolist()), *(table.astype(np.float32) for table in tables))


def _is_finite(table: np.ndarray, unknown: np.ndarray) -> bool:
    """Return whether all numbers are finite, except those of the classes that the model does not know."""
    checked = table[:, ~unknown] if table.ndim == 2 and table.shape[1] == len(unknown) else table
    return bool(np.isfinite(checked).all())


def encode_reference(reference: Reference) -> bytes:
    """Return the bytes of `reference.npz`; embeddings are stored in half precision."""
    arrays = io.BytesIO()
    limit = float(np.finfo(np.float16).max)
    np.savez_compressed(
        arrays,
        schema=SCHEMA,
        names=np.array(reference.names, str),
        statistics=reference.statistics.astype(np.float32),
        probability=reference.probability.astype(np.float32),
        embedding=np.clip(reference.embedding, -limit, limit).astype(np.float16),
    )
    return arrays.getvalue()


def write_bundle(
    folder: Path,
    card: Card,
    model: bytes,
    selftest: Selftest,
    extra: Mapping[str, bytes],
    members: Sequence[Path] = (),
) -> None:
    """Write a bundle atomically.

    Args:
        folder: The bundle; an existing bundle is replaced, any other folder is refused.
        card: Its card.
        model: The contents of the file that `PAYLOADS` names for the kind of the card.
        selftest: An input and its expected output.
        extra: Contents of the optional files, by name.
        members: The bundles of an ensemble, which are copied.

    Raises:
        LociscopeError: The folder holds anything but a bundle, or cannot be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise LociscopeError(
            f"'{folder}' exists and is not a bundle. Choose another folder with `output`.", code=Code.CONFLICT
        )
    arrays = io.BytesIO()
    np.savez_compressed(arrays, schema=SCHEMA, input=selftest.input, probabilities=selftest.probabilities)
    files = {
        PAYLOADS[card.kind]: model,
        "card.json": encode_card(card),
        "selftest.npz": arrays.getvalue(),
        **extra,
    }
    manifests = {member_manifest(number): read_file(member, MANIFEST) for number, member in enumerate(members)}
    listed = sorted({**files, **manifests}.items())
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in listed]
    with atomic_write(folder) as part:
        part.mkdir()
        for name, data in files.items():
            (part / name).write_bytes(data)
        for number, member in enumerate(members):
            shutil.copytree(member, part / "members" / str(number))
        (part / MANIFEST).write_text("".join(lines), encoding="utf-8")


def _read_selftest(data: bytes, card: Card, what: str) -> Selftest:
    arrays = _read_arrays(data, ("input", "probabilities"), MAX_FILE_BYTES, what)
    selftest = Selftest(arrays["input"], arrays["probabilities"])
    n = len(selftest.input) if selftest.input.ndim else 0
    for array, shape in (
        (selftest.input, (n, card.input.height, card.input.width, len(CHANNEL_NAMES))),
        (selftest.probabilities, (n, N_LABELS)),
    ):
        if n == 0 or array.shape != shape or array.dtype != np.float32:
            raise LociscopeError(
                f"{what} holds {array.shape} of {array.dtype}, expected {shape} of float32 with at least one row. "
                "Export the bundle again.",
                code=Code.CORRUPT,
            )
    return selftest


def _read_arrays(data: bytes, names: tuple[str, ...], limit: int, what: str) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` of a known schema that unpacks to at most `limit` bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > limit:
                raise LociscopeError(
                    f"{what} unpacks to more than {limit >> 20} MiB. Export the bundle again.", code=Code.TOO_LARGE
                )
            arrays = {name: _read_array(archive, name) for name in ("schema", *names)}
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(f"{what} is damaged ({error}). Export the bundle again.", code=Code.CORRUPT) from error
    check_schema(arrays["schema"], SCHEMA, what)
    return arrays


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)
