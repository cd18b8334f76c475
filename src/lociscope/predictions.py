"""Predictions: for each field its probabilities, the places decided on, and what to know about them."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.labels import LABELS, N_LABELS, format_target, parse_target
from lociscope.storage import AnyPath, cast_column, check_ids, read_table, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

SCHEMA = 1
PROBABILITY_COLUMNS: tuple[str, ...] = tuple(f"p{number:02d}" for number in range(N_LABELS))


@dataclass(frozen=True, slots=True)
class Predictions:
    """A table of n predicted fields.

    Attributes:
        ids: The fields' names, each once.
        probability: (n, 28) float32 in 0–1.
        predicted: Class numbers of each field, ascending; may be empty.
        status: `ok`, or `unsure` where no class reaches its threshold.
        warnings: What was noticed about each field, such as `empty plane: green`.
        embedding: (n, d) float32, where it was asked for.
    """

    ids: list[str]
    probability: np.ndarray
    predicted: list[tuple[int, ...]]
    status: list[str]
    warnings: list[tuple[str, ...]]
    embedding: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def join(cls, parts: "Sequence[Predictions]") -> "Predictions":
        """Puts Predictions behind each other, in order."""
        embeddings = [part.embedding for part in parts if part.embedding is not None]
        return Predictions(
            [name for part in parts for name in part.ids],
            np.concatenate([part.probability for part in parts]) if parts else np.empty((0, N_LABELS), np.float32),
            [numbers for part in parts for numbers in part.predicted],
            [status for part in parts for status in part.status],
            [warnings for part in parts for warnings in part.warnings],
            np.concatenate(embeddings) if len(embeddings) == len(parts) and parts else None,
        )

    def take(self, rows: "Iterable[int]") -> "Predictions":
        """The given rows, in the given order."""
        rows = list(rows)
        return Predictions(
            [self.ids[row] for row in rows],
            self.probability[rows],
            [self.predicted[row] for row in rows],
            [self.status[row] for row in rows],
            [self.warnings[row] for row in rows],
            None if self.embedding is None else self.embedding[rows],
        )

    def write(self, path: AnyPath, origin: "Mapping[str, Any] | None" = None) -> None:
        """Writes `.csv` or, by any other suffix, Parquet, whole or not at all.

        A CSV keeps six decimals and no embedding.

        Args:
            path: The file.
            origin: What made them, kept in Parquet for `read_origin`: `bundle`, `views`, `trainings`.

        Raises:
            LociscopeError: The place cannot be written.
        """
        path = Path(path)
        if path.suffix == ".csv":
            self._write_csv(path)
        else:
            self._write_parquet(path, origin or {})

    def write_submission(self, path: AnyPath, sample: "Mapping[str, str] | None" = None) -> None:
        """Write the competition's `Id,Predicted`; a blank is filled with the likeliest location.

        Args:
            path: The CSV.
            sample: The rows in their order, and what those without prediction are filled with, as
                `lociscope.submission.read_sample` returns them; None writes the predictions as they are.
        """
        said = {
            name: format_target(numbers or (int(row.argmax()),))
            for name, numbers, row in zip(self.ids, self.predicted, self.probability, strict=True)
        }
        rows = said if sample is None else {name: said.get(name, filler) for name, filler in sample.items()}
        with replacing(Path(path)) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("Id", "Predicted"), *rows.items()])

    @classmethod
    def read_submission(cls, path: AnyPath) -> Self:
        """Reads what `write_submission` wrote: the places, and no probabilities (all are 0)."""
        from lociscope.catalog import read_labels

        places = read_labels(path, "Predicted")
        n = len(places)
        return cls(list(places), np.zeros((n, N_LABELS), np.float32), list(places.values()), ["ok"] * n, [()] * n)

    def to_pandas(self) -> "pd.DataFrame":
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
                f"to_pandas needs pandas, which is not installed ({error}). Install it: pip install pandas."
            ) from None
        columns: dict[str, Any] = {
            "id": self.ids,
            "locations": [tuple(LABELS[number] for number in numbers) for numbers in self.predicted],
            "predicted": self.predicted,
            **dict(zip(PROBABILITY_COLUMNS, self.probability.T, strict=True)),
            "status": self.status,
            "warnings": self.warnings,
        }
        if self.embedding is not None:
            columns["embedding"] = list(self.embedding)
        return pd.DataFrame(columns)

    def _write_csv(self, path: "Path") -> None:
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "predicted", *PROBABILITY_COLUMNS, "status", "warnings"])
            for i, name in enumerate(self.ids):
                shares = [f"{value:.6f}" for value in self.probability[i]]
                writer.writerow(
                    [
                        name,
                        format_target(self.predicted[i]),
                        *shares,
                        self.status[i],
                        "; ".join(self.warnings[i]),
                    ]
                )

    def _write_parquet(self, path: "Path", origin: "Mapping[str, Any]") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        floats = pa.list_(pa.float32())
        columns = {
            "id": pa.array(self.ids, pa.string()),
            "predicted": pa.array([list(numbers) for numbers in self.predicted], pa.list_(pa.int64())),
            "probability": pa.array(list(self.probability), floats),
            "status": pa.array(self.status, pa.string()),
            "warnings": pa.array([list(each) for each in self.warnings], pa.list_(pa.string())),
        }
        if self.embedding is not None:
            columns["embedding"] = pa.array(list(self.embedding), floats)
        metadata = {"kind": "predictions", "schema": str(SCHEMA), "origin": json.dumps(dict(origin))}
        table = pa.table(columns).replace_schema_metadata(metadata)
        with replacing(path) as part:
            pq.write_table(table, part)

    @classmethod
    def read(cls, path: AnyPath) -> Self:
        """Reads Predictions from `.parquet` or `.csv`; only `id` and the probabilities are needed.

        Raises:
            LociscopeError: The file is missing, is no Predictions, is of a newer schema, or holds an id that is
                blank or doubled, a place that is no class number, or a probability that is no number in 0–1.
        """
        path = Path(path)
        made = cls._read_csv(path) if path.suffix == ".csv" else cls._read_parquet(path)
        check_ids(made.ids, f"Predictions '{path}'")
        wrong = ~((made.probability >= 0) & (made.probability <= 1))  # also true where not a number
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise LociscopeError(
                f"Predictions '{path}' hold {made.probability[row, column]} as the probability of class {column} "
                f"of {made.ids[row]!r}; expected a number in 0–1. Pass probabilities, not logits."
            )
        return made

    @classmethod
    def _read_parquet(cls, path: "Path") -> Self:
        import pyarrow as pa

        table = read_table(path, "Predictions", "predictions", SCHEMA)
        _need_columns(path, table.column_names, ("id", "probability"))

        def column(name: str, kind: "pa.DataType") -> "list[Any]":
            if name not in table.column_names:
                return [None] * len(table)
            return list(cast_column(table, name, kind, f"Predictions '{path}'").to_pylist())

        return cls(
            column("id", pa.string()),
            _matrix(column("probability", pa.list_(pa.float32())), path),
            [_numbers(row, path) for row in column("predicted", pa.list_(pa.int64()))],
            [status or "ok" for status in column("status", pa.string())],
            [tuple(row or ()) for row in column("warnings", pa.list_(pa.string()))],
            _embedding(column("embedding", pa.list_(pa.float32())), path),
        )

    @classmethod
    def _read_csv(cls, path: "Path") -> Self:
        try:
            with path.open(newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines)
                _need_columns(path, reader.fieldnames or [], ("id", *PROBABILITY_COLUMNS))
                rows = list(reader)
        except OSError as error:
            raise LociscopeError(f"Cannot read Predictions '{path}': {error.strerror}. Check the path.") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise LociscopeError(f"'{path}' is no CSV text ({error}). Name a file that lociscope wrote.") from error
        return cls(
            [row["id"] for row in rows],
            _matrix([[row[name] for name in PROBABILITY_COLUMNS] for row in rows], path),
            [_places(row.get("predicted") or "", f"Predictions '{path}' row {i}") for i, row in enumerate(rows, 1)],
            [row.get("status") or "ok" for row in rows],
            [tuple((row.get("warnings") or "").split("; ")) if row.get("warnings") else () for row in rows],
        )


def read_origin(path: AnyPath) -> dict[str, Any]:
    """Read what made Predictions, as `Predictions.write` was told; empty for a CSV or where nothing is said."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
        found = json.loads(metadata.get(b"origin", b"{}"))
    except (pa.ArrowException, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _need_columns(path: "Path", found: "Sequence[str]", needed: "Sequence[str]") -> None:
    missing = [name for name in needed if name not in found]
    if missing:
        raise LociscopeError(
            f"'{path}' is no Predictions: it has no column {missing[0]!r} (columns: {', '.join(found)[:80]}). "
            "Name a file that `lociscope predict` wrote."
        )


def _matrix(rows: "Sequence[Sequence[object]]", path: "Path") -> np.ndarray:
    wrong = next((i for i, row in enumerate(rows) if row is None or len(row) != N_LABELS), None)
    if wrong is not None:
        raise LociscopeError(f"Predictions '{path}' row {wrong + 1} has no {N_LABELS} probabilities. Make it again.")
    try:
        return np.asarray(rows, np.float32).reshape(len(rows), N_LABELS)
    except (TypeError, ValueError) as error:
        raise LociscopeError(
            f"Predictions '{path}' hold a probability that is no number ({error}). Make them again."
        ) from error


def _places(text: str, what: str) -> tuple[int, ...]:
    try:
        return parse_target(text)
    except LociscopeError as error:
        raise LociscopeError(f"{what}: {error}") from error


def _numbers(row: "Sequence[int] | None", path: "Path") -> tuple[int, ...]:
    wrong = [number for number in row or () if number not in range(N_LABELS)]
    if wrong:
        raise LociscopeError(
            f"Predictions '{path}' hold the place {wrong[0]}; expected class numbers 0–{N_LABELS - 1}. Make them again."
        )
    return tuple(row or ())


def _embedding(rows: "Sequence[Sequence[float] | None]", path: "Path") -> np.ndarray | None:
    lengths = {None if row is None else len(row) for row in rows}
    if lengths <= {None}:
        return None
    if len(lengths) > 1:
        raise LociscopeError(f"Predictions '{path}' hold embeddings of unlike lengths. Make them again.")
    return np.asarray(rows, np.float32)
