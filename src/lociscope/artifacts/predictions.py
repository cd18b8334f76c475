"""Predictions: for each field its probabilities, the predicted locations, and warnings."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from lociscope.artifacts.external_predictions import (
    check_probabilities,
    get_texts,
    read_embedding,
    read_predicted,
    read_probabilities,
    read_warnings,
)
from lociscope.artifacts.label_table import read_labels
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS, N_LABELS, format_target
from lociscope.storage.atomic import atomic_write
from lociscope.storage.parquet import cast_column, to_list_array
from lociscope.storage.schema import check_ids
from lociscope.storage.table_files import check_suffix, read_any, standardize_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from lociscope.storage.paths import AnyPath
    from lociscope.warnings import FieldWarning

SCHEMA = 1
SUFFIXES = (".csv", ".parquet")
"""Of the files that are written."""
PROBABILITY_COLUMNS: tuple[str, ...] = tuple(f"p{number:02d}" for number in range(N_LABELS))


class Position(NamedTuple):
    """Where a field was imaged; an empty string where it is unknown."""

    plate: str = ""
    well: str = ""
    site: str = ""


_KNOWN = ("id", "predicted", "probability", "status", "warnings", "embedding", "locations", *Position._fields)


@dataclass(frozen=True, slots=True)
class Predictions:
    """A table of n predicted fields.

    Attributes:
        ids: The fields' names, each once.
        probability: (n, 28) float32 in 0–1; NaN, null in files, for a class that the model does not know.
        predicted: Class numbers of each field, ascending; may be empty.
        status: `ok`, or `unsure` where no class reaches its threshold.
        warnings: About the files and the pixels of each field.
        embedding: (n, d) float32, where it was asked for.
        positions: Plate, well and site of each field; None where all are unknown.
    """

    ids: list[str]
    probability: np.ndarray
    predicted: list[tuple[int, ...]]
    status: list[str]
    warnings: list[tuple[FieldWarning, ...]]
    embedding: np.ndarray | None = None
    positions: list[Position] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Concatenate Predictions, in order."""
        embeddings = [part.embedding for part in parts if part.embedding is not None]
        return Predictions(
            [name for part in parts for name in part.ids],
            np.concatenate([part.probability for part in parts]) if parts else np.empty((0, N_LABELS), np.float32),
            [numbers for part in parts for numbers in part.predicted],
            [status for part in parts for status in part.status],
            [warnings for part in parts for warnings in part.warnings],
            np.concatenate(embeddings) if len(embeddings) == len(parts) and parts else None,
            [position for part in parts for position in part.positions or [Position()] * len(part)]
            if any(part.positions for part in parts)
            else None,
        )

    def take(self, rows: Iterable[int]) -> Predictions:
        """Return the given rows, in the given order."""
        rows = list(rows)
        return Predictions(
            [self.ids[row] for row in rows],
            self.probability[rows],
            [self.predicted[row] for row in rows],
            [self.status[row] for row in rows],
            [self.warnings[row] for row in rows],
            None if self.embedding is None else self.embedding[rows],
            None if self.positions is None else [self.positions[row] for row in rows],
        )

    def with_positions(self, origins: Mapping[str, Mapping[str, str]]) -> Predictions:
        """Return the same Predictions with plate, well and site.

        Args:
            origins: By id, the known values of `plate`, `well` and `site`.
        """
        before = self.positions or [Position()] * len(self)
        positions = [_to_position(origins.get(name), known) for name, known in zip(self.ids, before, strict=True)]
        return replace(self, positions=positions if any(map(any, positions)) else None)

    @property
    def _position_columns(self) -> dict[str, list[str]]:
        """The columns of plate, well and site that are not blank."""
        columns = zip(Position._fields, zip(*self.positions or (), strict=True), strict=False)
        return {name: list(values) for name, values in columns if any(values)}

    @property
    def _warning_texts(self) -> list[tuple[str, ...]]:
        return [tuple(map(str, warnings)) for warnings in self.warnings]

    def write(self, path: AnyPath, origin: Mapping[str, Any] | None = None) -> None:
        """Write `.csv` or `.parquet` atomically.

        A CSV holds probabilities to six decimals and no embedding.

        Args:
            path: The file.
            origin: What made them, kept in Parquet for `lociscope.artifacts.origin.read_origin`: `bundle`, `views`,
                `trainings`.

        Raises:
            UsageError: The path has another suffix.
            LociscopeError: The location cannot be written.
        """
        path = Path(path)
        check_suffix(path, *SUFFIXES)
        if path.suffix == ".csv":
            self._write_csv(path)
        else:
            self._write_parquet(path, origin or {})

    def write_submission(self, path: AnyPath, sample: Mapping[str, str] | None = None) -> None:
        """Write the competition's `Id,Predicted`; a field without location gets the most probable one.

        Args:
            path: The CSV.
            sample: The rows in order, with the value of a field without prediction, as
                `lociscope.artifacts.submission.read_sample` returns them; None writes a row for each prediction.
        """
        predicted = {
            name: format_target(numbers or (int(np.nanargmax(row)),))
            for name, numbers, row in zip(self.ids, self.predicted, self.probability, strict=True)
        }
        rows = predicted if sample is None else {name: predicted.get(name, filler) for name, filler in sample.items()}
        with atomic_write(Path(path)) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("Id", "Predicted"), *rows.items()])

    @classmethod
    def read_submission(cls, path: AnyPath) -> Self:
        """Read what `write_submission` wrote: the predicted locations; all probabilities are 0."""
        labels = read_labels(path, "Predicted")
        n = len(labels)
        return cls(list(labels), np.zeros((n, N_LABELS), np.float32), list(labels.values()), ["ok"] * n, [()] * n)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame, one row a field.

        Returns:
            The columns `id`, `locations` (names), `predicted` (class numbers), `p00` … `p27`, `status`, `warnings`, and
            `embedding` where there is one; those of several values hold tuples, `embedding` arrays.

        Raises:
            LociscopeError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise LociscopeError(
                f"to_pandas needs pandas, which is not installed ({error}). Install it: pip install pandas.",
                code=Code.MISSING_EXTRA,
            ) from None
        columns: dict[str, Any] = {
            "id": self.ids,
            "locations": [tuple(LABELS[number] for number in numbers) for numbers in self.predicted],
            "predicted": self.predicted,
            **dict(zip(PROBABILITY_COLUMNS, self.probability.T, strict=True)),
            "status": self.status,
            "warnings": self._warning_texts,
        }
        if self.embedding is not None:
            columns["embedding"] = list(self.embedding)
        return pd.DataFrame(columns)

    def _write_csv(self, path: Path) -> None:
        with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            positions, warnings = self._position_columns, self._warning_texts
            writer.writerow(["id", "locations", "predicted", *PROBABILITY_COLUMNS, "status", "warnings", *positions])
            for i, name in enumerate(self.ids):
                probabilities = ["" if np.isnan(value) else f"{value:.6f}" for value in self.probability[i]]
                writer.writerow(
                    [
                        name,
                        "; ".join(LABELS[number] for number in self.predicted[i]),
                        format_target(self.predicted[i]),
                        *probabilities,
                        self.status[i],
                        "; ".join(warnings[i]),
                        *(values[i] for values in positions.values()),
                    ]
                )

    def _write_parquet(self, path: Path, origin: Mapping[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        floats = pa.list_(pa.float32())
        columns = {
            "id": pa.array(self.ids, pa.string()),
            "locations": pa.array([[LABELS[k] for k in numbers] for numbers in self.predicted], pa.list_(pa.string())),
            "predicted": pa.array([list(numbers) for numbers in self.predicted], pa.list_(pa.int64())),
            "probability": to_list_array(self.probability),
            "status": pa.array(self.status, pa.string()),
            "warnings": pa.array([list(texts) for texts in self._warning_texts], pa.list_(pa.string())),
        }
        for name, values in self._position_columns.items():
            columns[name] = pa.array([value or None for value in values], pa.string())
        if self.embedding is not None:
            columns["embedding"] = pa.array(list(self.embedding), floats)
        metadata = {"kind": "predictions", "schema": str(SCHEMA), "origin": json.dumps(dict(origin))}
        table = pa.table(columns).replace_schema_metadata(metadata)
        with atomic_write(path) as part:
            pq.write_table(table, part)

    @classmethod
    def read(cls, path: AnyPath) -> Self:
        """Read Predictions of any program from Parquet or CSV; only `id` and the probabilities are needed.

        The probabilities are a column of lists of 28, or 28 columns named by number (`p00` … `p27`, `class_0` …) or
        after the locations. Without a column `predicted`, the classes above 0.5 are predicted.

        Raises:
            LociscopeError: The file is missing, is not a table of Predictions, is of a newer schema, or holds an id
                that is blank or duplicated, a class number outside 0–27, or a probability outside 0–1.
        """
        import pyarrow as pa

        path = Path(path)
        what = f"Predictions '{path}'"
        table, _ = read_any(path, "Predictions", "predictions", SCHEMA)
        table = standardize_columns(table, _KNOWN, what)
        if "id" not in table.column_names:
            raise LociscopeError(
                f"'{path}' is not a table of Predictions: it has no column 'id' (columns: "
                f"{', '.join(table.column_names)[:80]}). Pass a file that `lociscope predict` wrote.",
                code=Code.WRONG_FILE,
            )
        ids = cast_column(table, "id", pa.string(), what).to_pylist()
        check_ids(ids, what)
        probability = read_probabilities(table, path)
        check_probabilities(probability, ids, what)
        return cls(
            ids,
            probability,
            read_predicted(table, probability, what),
            [status or "ok" for status in get_texts(table, "status")],
            read_warnings(table),
            read_embedding(table, path),
            _read_positions(table),
        )


def _to_position(origin: Mapping[str, str] | None, known: Position) -> Position:
    return known if origin is None else Position(*(origin.get(name, "") for name in Position._fields))


def _read_positions(table: pa.Table) -> list[Position] | None:
    positions = [Position(*row) for row in zip(*(get_texts(table, name) for name in Position._fields), strict=True)]
    return positions if any(map(any, positions)) else None
