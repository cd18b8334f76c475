"""The files of one output: parts, finished table, failures, and the record of what made them.

Beside `OUT` (the path without its suffix) are `OUT.parts/` during the work, `OUT.run.json` after it, and
`OUT.failures.csv` if fields failed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.artifacts.card import hash_trainings
from lociscope.artifacts.predictions import Position, Predictions
from lociscope.artifacts.submission import hash_sample
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import write_failures
from lociscope.predict.shards import NAME as MANIFEST
from lociscope.predict.shards import hash_shard, read_manifest, write_manifest
from lociscope.predict.test_time_augmentation import N_VIEWS
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error, unwritable_error
from lociscope.storage.locks import exclusive_lock
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.images.discovery.sources import Failure

SCHEMA = 1
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Which columns and rows the file has.

    Attributes:
        kaggle: Write the competition's `Id,Predicted`.
        embeddings: Write each field's embedding (Parquet only).
        sample: The rows of a sample submission in their order, from `lociscope.artifacts.submission.read_sample`.
    """

    kaggle: bool = False
    embeddings: bool = False
    sample: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PredictionOutput:
    """The files of one output.

    Attributes:
        out: The finished table, `.csv` or `.parquet`.
        options: Its columns and rows.
        identity: What must be equal to resume the work: the bundle, the options and the number of views (1, or 8 with
            test-time augmentation).
        trainings: Hashes of the trainings behind the bundle, by which an ensemble recognises its members.
    """

    out: Path
    options: OutputOptions
    identity: dict[str, Any]
    trainings: tuple[str, ...] = ()

    @classmethod
    def create(cls, bundle: Bundle, out: Path, options: OutputOptions, *, tta: bool = False) -> Self:
        """Return the output of a bundle; `tta` says whether test-time augmentation is used."""
        identity = {
            "bundle": bundle.sha256,
            "kaggle": options.kaggle,
            "embeddings": options.embeddings,
            "suffix": out.suffix,
            "views": N_VIEWS if tta else 1,
            "sample": hash_sample(options.sample),
        }
        return cls(out, options, identity, tuple(hash_trainings(bundle.card.provenance)))

    @property
    def folder(self) -> Path:
        """Return the folder of the parts."""
        return self.out.with_name(self.out.stem + ".parts")

    @property
    def record(self) -> Path:
        """Return the file that says what the finished table was made of."""
        return self.out.with_name(self.out.stem + ".run.json")

    @property
    def failures(self) -> Path:
        """Return the file that lists the fields that could not be read."""
        return self.out.with_name(self.out.stem + ".failures.csv")

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from writing this output; do nothing where nobody may write.

        Raises:
            LociscopeError: Another process writes it.
        """
        parent = self.out.absolute().parent
        if parent.is_dir() and not os.access(parent, os.W_OK):
            return nullcontext()
        message = f"'{self.out}' is being written by another process. Wait until it ends, or pass another `output`."
        return exclusive_lock(self.folder, message, needed=False)

    def read_fingerprints(self) -> dict[str, str]:
        """Return the fingerprints, by id, of the fields in the finished table; empty without a table.

        Raises:
            LociscopeError: The table was written by another command or bundle, or with other options.
        """
        about = self._records().get(self.out.suffix)
        if not self.out.exists():
            return {}
        if about is not None:
            self.check_same(about)
            return dict(about["inputs"])
        if any(self.folder.glob("*.npz")):
            return {}  # killed after the first table and before its record: the parts have all rows
        raise LociscopeError(
            f"'{self.out}' exists and was not written by `lociscope predict`. Pass another `output`.",
            code=Code.CONFLICT,
        )

    def read_table(self) -> Predictions:
        """Return the rows of the finished table."""
        if not self.options.kaggle:
            return Predictions.read(self.out)
        table = Predictions.read_submission(self.out)
        if self.options.sample is None:
            return table
        predicted = self.read_fingerprints()  # the other rows are filled from the sample
        return table.take([row for row, name in enumerate(table.ids) if name in predicted])

    def read_valid_parts(self, fingerprints: Mapping[str, str]) -> list[Predictions]:
        """Return what an interrupted call predicted, without the fields that have changed since.

        Args:
            fingerprints: The present fingerprints by id.

        Raises:
            LociscopeError: The parts belong to another bundle or other options.
        """
        return [
            part.take([row for row, name in enumerate(part.ids) if fingerprints.get(name) == marks[name]])
            for part, marks in self.read_parts()
        ]

    def read_parts(self) -> Iterator[tuple[Predictions, dict[str, str]]]:
        """Yield the parts of an interrupted call, oldest first, with the fingerprints of their fields.

        Raises:
            LociscopeError: The parts belong to another bundle or other options.
        """
        manifest = read_manifest(self.folder)
        if manifest:
            self.check_same(manifest)
        for path in sorted(self.folder.glob("*.npz")):
            try:
                if manifest.get("shards", {}).get(path.name, "") not in ("", hash_shard(path)):
                    raise ValueError("its hash is not the one in the manifest")
                about, part = _load_part(path)
            except CORRUPT_FILE_ERRORS as error:
                logger.warning("'%s' is damaged (%s); its fields are predicted again", path, error)
                continue
            check_schema(about["schema"], SCHEMA, f"'{path}'")
            self.check_same(about)
            yield part, about["inputs"]

    def prepare(self) -> None:
        """Create the folder of parts, so that an unwritable location is reported before the work.

        Half-written temporary files of a killed call are removed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for final in (self.out, self.record):
                for left in self.out.parent.glob(f".{escape(final.name)}.*.part"):
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable_error(self.folder, error) from error

    def write_part(self, part: Predictions, fingerprints: Mapping[str, str]) -> Path:
        """Write a part with the fingerprints of its fields, list it in the manifest, and return its path."""
        path = self.folder / f"{time.time_ns():020d}.npz"
        with atomic_write(path) as file:
            _save_part(file, part, {"schema": SCHEMA, **self._describe(part.ids, fingerprints)})
        shards = read_manifest(self.folder).get("shards", {})
        write_manifest(self.folder, self.identity, shards | {path.name: hash_shard(path)})
        return path

    def write_table(self, table: Predictions, fingerprints: Mapping[str, str]) -> None:
        """Write the finished table and the record of what it was made of."""
        if self.options.kaggle:
            table.write_submission(self.out, self.options.sample)
        else:
            origin = {key: self.identity[key] for key in ("bundle", "views")}
            table.write(self.out, origin | {"trainings": self.trainings})
        records = self._records() | {self.out.suffix: self._describe(table.ids, fingerprints)}
        with atomic_write(self.record) as file:
            file.write_text(json.dumps({"schema": SCHEMA, **records}), "utf-8")

    def remove_parts(self) -> None:
        """Remove the parts, whose rows the finished table holds."""
        for path in (*self.folder.glob("*.npz"), self.folder / MANIFEST):
            path.unlink(missing_ok=True)

    def close(self, failures: Sequence[Failure]) -> None:
        """List the failures and remove the folder of parts."""
        write_failures(failures, self.failures)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _describe(self, ids: list[str], fingerprints: Mapping[str, str]) -> dict[str, Any]:
        """Return the identity and the fingerprints; a row that another program added has an empty one."""
        inputs = {name: fingerprints.get(name, "") for name in ids}
        return {**self.identity, "trainings": self.trainings, "inputs": inputs}

    def _records(self) -> dict[str, Any]:
        """Return the record by the suffix of the table: `OUT.csv` and `OUT.parquet` share one file."""
        try:
            records: dict[str, Any] = dict(json.loads(self.record.read_text("utf-8")))
            check_schema(records.pop("schema", None), SCHEMA, f"'{self.record}'")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unreadable_error(self.record, error) from error
        except (ValueError, TypeError) as error:
            raise LociscopeError(
                f"'{self.record}' is damaged ({error}). Pass another `output`, or remove it and '{self.out}' "
                "to start again.",
                code=Code.CORRUPT,
            ) from error
        return records

    def check_same(self, about: Mapping[str, Any]) -> None:
        """Refuse to resume what another bundle, or another choice of options, has begun.

        Raises:
            LociscopeError: The identity differs.
        """
        if about["suffix"] != self.out.suffix:
            raise LociscopeError(
                f"'{self.folder}' holds unfinished work on '{self.out.stem}{about['suffix']}'. Finish that first, or "
                "pass another `output`.",
                code=Code.CONFLICT,
            )
        if about["bundle"] != self.identity["bundle"]:
            raise LociscopeError(
                f"'{self.out}' was begun with another bundle. Pass another `output`.", code=Code.CONFLICT
            )
        about = {"views": 1, "sample": None, **about}  # outputs begun before these options existed
        if any(about[key] != value for key, value in self.identity.items()):
            raise LociscopeError(
                f"'{self.out}' was begun with other options. Pass another `output`.", code=Code.CONFLICT
            )


def _save_part(path: Path, part: Predictions, about: dict[str, Any]) -> None:
    about |= {
        "ids": part.ids,
        "predicted": part.predicted,
        "status": part.status,
        "warnings": [[str(warning) for warning in warnings] for warnings in part.warnings],
        "positions": part.positions,
    }
    arrays = {"about": np.array(json.dumps(about)), "probability": part.probability}
    if part.embedding is not None:
        arrays["embedding"] = part.embedding
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _load_part(path: Path) -> tuple[dict[str, Any], Predictions]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        return about, Predictions(
            about["ids"],
            arrays["probability"],
            [tuple(numbers) for numbers in about["predicted"]],
            about["status"],
            [parse_warnings(texts) for texts in about["warnings"]],
            arrays["embedding"] if "embedding" in arrays.files else None,
            None if about.get("positions") is None else [Position(*each) for each in about["positions"]],
        )
