"""The files of one output: the parts, the finished table, the failures, and what identifies the work.

Beside `OUT` (the path without its suffix) lie `OUT.parts/` while the work goes on, `OUT.run.json` when it is
done, and `OUT.failures.csv` where fields failed.
"""

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.images.sources import write_failures
from lociscope.predictions import Predictions
from lociscope.storage import check_schema, replacing, unwritable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lociscope.bundle import Bundle
    from lociscope.images.sources import Failure

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Options:
    """What shapes the file that is written.

    Attributes:
        kaggle: Write the competition's `Id,Predicted`.
        embeddings: Keep each field's embedding (Parquet only).
    """

    kaggle: bool = False
    embeddings: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One output and the work that makes it.

    Attributes:
        out: The finished table, `.csv` or `.parquet`.
        options: What shapes it.
        identity: What must be the same for the work to go on: the bundle and the options.
    """

    out: "Path"
    options: Options
    identity: dict[str, Any]

    @classmethod
    def of(cls, bundle: "Bundle", out: "Path", options: Options) -> Self:
        """The job of a bundle, an output and its options."""
        identity = {
            "schema": SCHEMA,
            "bundle": bundle.sha256,
            "kaggle": options.kaggle,
            "embeddings": options.embeddings,
            "suffix": out.suffix,
        }
        return cls(out, options, identity)

    @property
    def folder(self) -> "Path":
        """Where the parts are kept."""
        return self.out.with_name(self.out.stem + ".parts")

    @property
    def record(self) -> "Path":
        """What the finished table was made of."""
        return self.out.with_name(self.out.stem + ".run.json")

    @property
    def failures(self) -> "Path":
        """The fields that could not be read."""
        return self.out.with_name(self.out.stem + ".failures.csv")

    def finished(self) -> dict[str, str]:
        """Fingerprints by id of the fields that the finished table holds; none where there is no table.

        Raises:
            LociscopeError: The table is another command's, or was made by another bundle or with other options.
        """
        if not self.out.exists():
            return {}
        if not self.record.exists():
            raise LociscopeError(f"'{self.out}' exists and is not of `lociscope predict`. Name another file with -o.")
        return dict(self._read(self.record)["inputs"])

    def earlier(self) -> Predictions:
        """The rows of the finished table."""
        return Predictions.read_submission(self.out) if self.options.kaggle else Predictions.read(self.out)

    def parts(self, prints: "Mapping[str, str]") -> list[Predictions]:
        """What an earlier call predicted before it was cut off, of fields that have not changed since.

        Args:
            prints: Fingerprints by id, as they are now.
        """
        found = []
        for path in sorted(self.folder.glob("*.npz")):
            marks = self._read(path.with_suffix(".json"))["inputs"]
            part = _load_part(path)
            found.append(part.take([row for row, name in enumerate(part.ids) if prints.get(name) == marks[name]]))
        return found

    def prepare(self) -> None:
        """Makes the folder of parts now, so that a place that cannot be written is told before the work."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def write_part(self, part: Predictions, prints: "Mapping[str, str]") -> None:
        """Keeps a part; what it was made of is written first, so that no part is without it."""
        path = self.folder / f"{len(list(self.folder.glob('*.npz'))):06d}.npz"
        self._record(path.with_suffix(".json"), part.ids, prints)
        with replacing(path) as file:
            _save_part(file, part)

    def finish(self, table: Predictions, prints: "Mapping[str, str]") -> None:
        """Writes the finished table and what it was made of."""
        if self.options.kaggle:
            table.write_submission(self.out)
        else:
            table.write(self.out)
        self._record(self.record, table.ids, prints)

    def close(self, failures: "Sequence[Failure]") -> None:
        """Lists the failures and removes the parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
        write_failures(failures, self.failures)

    def _record(self, path: "Path", ids: list[str], prints: "Mapping[str, str]") -> None:
        with replacing(path) as file:
            file.write_text(json.dumps({**self.identity, "inputs": {name: prints[name] for name in ids}}), "utf-8")

    def _read(self, path: "Path") -> dict[str, Any]:
        try:
            about: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise LociscopeError(f"'{path}' is damaged ({error}). Remove it and '{self.out}' to begin anew.") from error
        check_schema(about.get("schema"), SCHEMA, f"'{path}'")
        if about.get("bundle") != self.identity["bundle"]:
            raise LociscopeError(f"'{self.out}' was begun with another bundle. Name another file with -o.")
        if any(about.get(key) != value for key, value in self.identity.items()):
            raise LociscopeError(f"'{self.out}' was begun with other options. Name another file with -o.")
        return about


def _save_part(path: "Path", part: Predictions) -> None:
    about = {"ids": part.ids, "predicted": part.predicted, "status": part.status, "warnings": part.warnings}
    arrays = {"about": np.array(json.dumps(about)), "probability": part.probability}
    if part.embedding is not None:
        arrays["embedding"] = part.embedding
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _load_part(path: "Path") -> Predictions:
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        return Predictions(
            about["ids"],
            arrays["probability"],
            [tuple(numbers) for numbers in about["predicted"]],
            about["status"],
            [tuple(each) for each in about["warnings"]],
            arrays["embedding"] if "embedding" in arrays.files else None,
        )
