"""The files of one output: the parts, the finished table, the failures, and what identifies the work.

Beside `OUT` (the path without its suffix) lie `OUT.parts/` while the work goes on, `OUT.run.json` when it is
done, and `OUT.failures.csv` where fields failed.
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
from lociscope.storage.atomic import atomic_write, unwritable_error
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
class Options:
    """What shapes the file that is written.

    Attributes:
        kaggle: Write the competition's `Id,Predicted`.
        embeddings: Keep each field's embedding (Parquet only).
        sample: Of a submission: its rows in their order, as `lociscope.artifacts.submission.read_sample` returns them.
    """

    kaggle: bool = False
    embeddings: bool = False
    sample: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One output and the work that makes it.

    Attributes:
        out: The finished table, `.csv` or `.parquet`.
        options: What shapes it.
        identity: What must be the same for the work to go on: the bundle, the options and the views.
        trainings: Hashes of the trainings behind the bundle, by which an ensemble recognises its members.
    """

    out: Path
    options: Options
    identity: dict[str, Any]
    trainings: tuple[str, ...] = ()

    @classmethod
    def of(cls, bundle: Bundle, out: Path, options: Options, views: int = 1) -> Self:
        """The job of a bundle, an output, its options, and the views of each field."""
        identity = {
            "bundle": bundle.sha256,
            "kaggle": options.kaggle,
            "embeddings": options.embeddings,
            "suffix": out.suffix,
            "views": views,
            "sample": hash_sample(options.sample),
        }
        return cls(out, options, identity, tuple(hash_trainings(bundle.card.provenance)))

    @property
    def folder(self) -> Path:
        """Where the parts are kept."""
        return self.out.with_name(self.out.stem + ".parts")

    @property
    def record(self) -> Path:
        """What the finished table was made of."""
        return self.out.with_name(self.out.stem + ".run.json")

    @property
    def failures(self) -> Path:
        """The fields that could not be read."""
        return self.out.with_name(self.out.stem + ".failures.csv")

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from working on this output; where nobody may write, there is none to keep out.

        Raises:
            LociscopeError: Another process works on it.
        """
        parent = self.out.absolute().parent
        if parent.is_dir() and not os.access(parent, os.W_OK):
            return nullcontext()
        taken = f"'{self.out}' is being written by another process. Wait until it ends, or name another file with -o."
        return exclusive_lock(self.folder, taken, needed=False)

    def finished(self) -> dict[str, str]:
        """Fingerprints by id of the fields that the finished table holds; none where there is no table.

        Raises:
            LociscopeError: The table is another command's, or was made by another bundle or with other options.
        """
        about = self._records().get(self.out.suffix)
        if not self.out.exists():
            return {}
        if about is not None:
            self._check_same(about)
            return dict(about["inputs"])
        if any(self.folder.glob("*.npz")):  # cut off after the first table and before its record: the parts hold it all
            return {}
        raise LociscopeError(
            f"'{self.out}' exists and is not of `lociscope predict`. Name another file with -o.", code=Code.CONFLICT
        )

    def earlier(self) -> Predictions:
        """The rows of the finished table."""
        if not self.options.kaggle:
            return Predictions.read(self.out)
        table = Predictions.read_submission(self.out)
        if self.options.sample is None:
            return table
        predicted = self.finished()  # the other rows are what the sample fills in
        return table.take([row for row, name in enumerate(table.ids) if name in predicted])

    def parts(self, prints: Mapping[str, str]) -> list[Predictions]:
        """What an earlier call predicted before it was cut off, of fields that have not changed since.

        Args:
            prints: Fingerprints by id, as they are now.

        Raises:
            LociscopeError: The parts are of another bundle or other options.
        """
        return [
            part.take([row for row, name in enumerate(part.ids) if prints.get(name) == marks[name]])
            for part, marks in self.kept()
        ]

    def kept(self) -> Iterator[tuple[Predictions, dict[str, str]]]:
        """Every part that an earlier call wrote, oldest first, with the fingerprints of its fields.

        Raises:
            LociscopeError: The parts are of another bundle or other options.
        """
        for path in sorted(self.folder.glob("*.npz")):
            try:
                about, part = _load_part(path)
            except CORRUPT_FILE_ERRORS as error:
                logger.warning("'%s' is damaged (%s); its fields are predicted again", path, error)
                continue
            check_schema(about["schema"], SCHEMA, f"'{path}'")
            self._check_same(about)
            yield part, about["inputs"]

    def prepare(self) -> None:
        """Makes the folder of parts now, so that a place that cannot be written is told before the work.

        Files that an earlier call was killed over, half-written under their temporary names, are removed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for final in (self.out, self.record):
                for left in self.out.parent.glob(f".{escape(final.name)}.*.part"):
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable_error(self.folder, error) from error

    def write_part(self, part: Predictions, prints: Mapping[str, str]) -> None:
        """Keeps a part, with what it was made of."""
        with atomic_write(self.folder / f"{time.time_ns():020d}.npz") as file:
            _save_part(file, part, {"schema": SCHEMA, **self._about(part.ids, prints)})

    def finish(self, table: Predictions, prints: Mapping[str, str]) -> None:
        """Writes the finished table and what it was made of."""
        if self.options.kaggle:
            table.write_submission(self.out, self.options.sample)
        else:
            origin = {key: self.identity[key] for key in ("bundle", "views")}
            table.write(self.out, origin | {"trainings": self.trainings})
        records = self._records() | {self.out.suffix: self._about(table.ids, prints)}
        with atomic_write(self.record) as file:
            file.write_text(json.dumps({"schema": SCHEMA, **records}), "utf-8")

    def clear(self) -> None:
        """Removes the parts, which the finished table holds by now, and goes on."""
        for path in self.folder.glob("*.npz"):
            path.unlink(missing_ok=True)

    def close(self, failures: Sequence[Failure]) -> None:
        """Lists the failures and removes the parts."""
        write_failures(failures, self.failures)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _about(self, ids: list[str], prints: Mapping[str, str]) -> dict[str, Any]:
        """The identity and the fingerprints; a row that somebody else added has none."""
        return {**self.identity, "trainings": self.trainings, "inputs": {name: prints.get(name, "") for name in ids}}

    def _records(self) -> dict[str, Any]:
        """What is recorded, by the suffix of the table: `OUT.csv` and `OUT.parquet` share one file."""
        try:
            records: dict[str, Any] = dict(json.loads(self.record.read_text("utf-8")))
            check_schema(records.pop("schema", None), SCHEMA, f"'{self.record}'")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LociscopeError(
                f"Cannot read '{self.record}': {error.strerror}. Check its permissions.", code=Code.UNREADABLE
            ) from error
        except (ValueError, TypeError) as error:
            raise LociscopeError(
                f"'{self.record}' is damaged ({error}). Name another file with -o, or remove it and '{self.out}' "
                "to begin anew.",
                code=Code.CORRUPT,
            ) from error
        return records

    def _check_same(self, about: Mapping[str, Any]) -> None:
        if about["suffix"] != self.out.suffix:
            raise LociscopeError(
                f"'{self.folder}' holds unfinished work on '{self.out.stem}{about['suffix']}'. Finish that first, or "
                "name another file with -o.",
                code=Code.INVALID_VALUE,
            )
        if about["bundle"] != self.identity["bundle"]:
            raise LociscopeError(
                f"'{self.out}' was begun with another bundle. Name another file with -o.", code=Code.CONFLICT
            )
        about = {"views": 1, "sample": None, **about}  # what was begun before there were these options
        if any(about[key] != value for key, value in self.identity.items()):
            raise LociscopeError(
                f"'{self.out}' was begun with other options. Name another file with -o.", code=Code.CONFLICT
            )


def _save_part(path: Path, part: Predictions, about: dict[str, Any]) -> None:
    about |= {
        "ids": part.ids,
        "predicted": part.predicted,
        "status": part.status,
    }
    about["warnings"] = [[str(warning) for warning in warnings] for warnings in part.warnings]
    about |= {"positions": part.positions}
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
