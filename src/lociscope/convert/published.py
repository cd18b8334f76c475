"""Models that others published, where their files are, and their hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.storage.download import download, hash_file

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.processes.progress import ProgressCallback


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A published model.

    Attributes:
        name: Its name in `lociscope models fetch`.
        base: The address of the folder with its files.
        files: sha256 of each file, by name.
        converted: sha256 of a file with the same arrays, by name, which a folder may hold in place of the others.
        most_bytes: The most that a file may have.
        licence: SPDX.
        source: Repository, commit and paper, for the card.
        limits: For the card.
    """

    name: str
    base: str
    files: dict[str, str]
    converted: dict[str, str]
    most_bytes: int
    licence: str
    source: str
    limits: str


_COMMIT = "6010347c7c1573fc814e8632a98359b62f048af1"

GAPNET_PL = PublishedModel(
    name="gapnet-pl",
    base=f"https://raw.githubusercontent.com/ml-jku/gapnet-pl/{_COMMIT}/models/",
    files={
        "gapnet-pl.ckpt.data-00000-of-00001": "8b09c5b3e3a2bfc6c81841701aa329c89f1cb85edd1400fa576fb16d0f1a45ab",
        "gapnet-pl.ckpt.index": "8abd2697748cc1b83b54227dc780e68b7680b00516a3c8cc34140b016f3d604d",
        "gapnet-pl.ckpt.meta": "62e1ad9c95cf6e1b4f6c708a5d6b5b333d1339296b5c9228415ec0d1d65c6fa7",
    },
    converted={"gapnet_pl.npz": "bdffe9e04d1512c06b503f6f58dd7b6d3add279f532de93936c55804f3c14acc"},
    most_bytes=64 << 20,
    licence="BSD-2-Clause",
    source=(
        f"github.com/ml-jku/gapnet-pl, commit {_COMMIT[:8]}; Rumetshofer, Hofmarcher, Röhrl, Hochreiter and Klambauer, "
        "Human-level protein localization with convolutional neural networks, ICLR 2019. Copyright 2019 Institute for "
        "Machine Learning, Johannes Kepler University Linz"
    ),
    limits=(
        "Not for diagnosis. Trained by its authors on images of the Human Protein Atlas at 0.08 µm a pixel; it knows "
        "12 of the 28 classes, and Nucleus stands for Nucleoplasm."
    ),
)

PUBLISHED: dict[str, PublishedModel] = {GAPNET_PL.name: GAPNET_PL}


def find_published(name: str) -> PublishedModel:
    """Return a published model by its name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in PUBLISHED:
        raise UsageError(f"No published model is named {name!r}.{suggest(name, PUBLISHED)}", code=Code.UNKNOWN_NAME)
    return PUBLISHED[name]


def fetch_files(model: PublishedModel, folder: Path, progress: ProgressCallback) -> None:
    """Download the files of a model into a folder; what is there already is kept, and what is cut off is resumed.

    Raises:
        LociscopeError: A file cannot be downloaded, or is another one.
    """
    for name, sha256 in model.files.items():
        download(model.base + name, folder / name, sha256, model.most_bytes, progress)


def check_files(model: PublishedModel, folder: Path) -> str:
    """Check the files of a model in a folder.

    Returns:
        `files`, or `converted` where the folder holds the converted arrays instead.

    Raises:
        LociscopeError: A file is missing, cut short, or another one.
    """
    kind = "files" if all((folder / name).is_file() for name in model.files) else "converted"
    expected = model.files if kind == "files" else model.converted
    for name, sha256 in expected.items():
        if not (folder / name).is_file():
            missing = next(each for each in model.files if not (folder / each).is_file())
            raise LociscopeError(
                f"'{folder}' has neither '{missing}' nor '{name}'. Pass a folder with the files of {model.name}, or "
                "omit it to download them.",
                code=Code.NOT_FOUND,
            )
        found = hash_file(folder / name)
        if found != sha256:
            raise LociscopeError(
                f"'{folder / name}' is not the file that the authors published, or is cut short: its sha256 is "
                f"{found[:12]}…, expected {sha256[:12]}…. Copy or download it again.",
                code=Code.ALTERED,
            )
    return kind
