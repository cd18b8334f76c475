"""The files of predicted cells: parts, finished table, variation of each field, failures.

Beside `OUT` (the path without its suffix) are `OUT.cells.parts/` during the work, `OUT.cells.parquet`,
`OUT.cells.run.json` and `OUT.variation.csv` after it, and `OUT.cells.failures.csv` if cells could not be predicted.
Each part, and the record of the finished table, name the fields that they hold with their fingerprints, so that an
interrupted call is resumed.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any

from lociscope.artifacts.cell_table import KIND, SCHEMA, cell_schema, get_about, is_cell_table, read_cells, write_cells
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import write_failures
from lociscope.predict.variation import measure_variation, to_line, write_variation
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error, unwritable_error
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from lociscope.images.discovery.field_source import Failure

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CellOutput:
    """The files of the cells of one output.

    Attributes:
        out: The table of the fields, `.csv` or `.parquet`.
        identity: What must be equal to resume the work.
    """

    out: Path
    identity: Mapping[str, Any]

    @property
    def table(self) -> Path:
        """Return the finished table of cells."""
        return self._beside(".cells.parquet")

    @property
    def record(self) -> Path:
        """Return the file that names the fields of the finished table."""
        return self._beside(".cells.run.json")

    @property
    def folder(self) -> Path:
        """Return the folder of the parts."""
        return self._beside(".cells.parts")

    @property
    def variation(self) -> Path:
        """Return the table of the variation of each field."""
        return self._beside(".variation.csv")

    @property
    def failures(self) -> Path:
        """Return the list of fields whose cells could not be predicted."""
        return self._beside(".cells.failures.csv")

    @property
    def masks(self) -> Path:
        """Return the folder of label images and outlines."""
        return self._beside(".masks")

    def _beside(self, ending: str) -> Path:
        return self.out.with_name(self.out.stem + ending)

    def read_done(self, fingerprints: Mapping[str, str]) -> dict[str, str]:
        """Return the fields, with their fingerprints, whose cells are predicted; damaged parts are removed.

        Args:
            fingerprints: The present fingerprints; a field that has changed since is not done.

        Raises:
            LociscopeError: The files are of another bundle or other options, or are no tables of cells.
        """
        done: dict[str, str] = {}
        for _, inputs in self._list_inputs():
            done |= {name: mark for name, mark in inputs.items() if fingerprints.get(name, mark) == mark}
        return done

    def prepare(self) -> None:
        """Create the folder of parts, so that an unwritable location is reported before the work.

        Half-written temporary files of a killed call are removed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for final in (self.table, self.variation, self.record):
                for left in self.out.parent.glob(f".{escape(final.name)}.*.part"):
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable_error(self.folder, error) from error

    def write_part(self, table: pa.Table, inputs: Mapping[str, str]) -> None:
        """Write the cells of some fields, which `inputs` names with their fingerprints."""
        write_cells(table, self.folder / f"{time.time_ns():020d}.parquet", {**self.identity, "inputs": dict(inputs)})

    def finish(self, done: Mapping[str, str], predicted: Mapping[str, tuple[int, ...]]) -> tuple[int, list[str]]:
        """Join the parts to the finished table, and write the variation of each field.

        Args:
            done: The fields with their fingerprints.
            predicted: The predicted locations of each field.

        Returns:
            The number of cells, and the fields without cells.
        """
        import pyarrow.parquet as pq

        metadata = {"kind": KIND, "schema": str(SCHEMA), "about": json.dumps(dict(self.identity))}
        lines: dict[str, str] = {}
        with_cells: set[str] = set()
        n = 0
        with atomic_write(self.table) as part, pq.ParquetWriter(part, cell_schema().with_metadata(metadata)) as writer:
            for fields, table in self._stream(done):
                writer.write_table(table.replace_schema_metadata(metadata))
                n += len(table)
                answers = {name: tuple(predicted.get(name, ())) for name in fields}
                lines |= {row["id"]: to_line(row) for row in measure_variation(table, answers)}
                with_cells |= set(table["id"].to_pylist())
        with atomic_write(self.variation) as part:
            write_variation((lines[name] for name in done), part)
        with atomic_write(self.record) as part:
            part.write_text(json.dumps({"schema": SCHEMA, "inputs": dict(done)}), "utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        return n, [name for name in done if name not in with_cells]

    def close(self, failures: Sequence[Failure]) -> None:
        """List the failures."""
        write_failures(failures, self.failures)

    def _list_inputs(self) -> Iterator[tuple[Path, dict[str, str]]]:
        """Yield the finished table and the parts, oldest first, with the fields in them."""
        import pyarrow.parquet as pq

        if self.table.exists():
            if not is_cell_table(self.table):
                raise LociscopeError(
                    f"'{self.table}' exists and is not a table of cells. Pass another `output`.", code=Code.WRONG_FILE
                )
            self._check(get_about(pq.read_schema(self.table)))
            yield self.table, self._read_record()
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                about = get_about(read_cells(path).schema)
            except LociscopeError as error:
                if error.code not in (Code.CORRUPT, Code.WRONG_FILE):
                    raise
                logger.warning("'%s' is damaged (%s); its fields are predicted again", path, error)
                path.unlink(missing_ok=True)
                continue
            self._check(about)
            yield path, about["inputs"]

    def _read_record(self) -> dict[str, str]:
        """Return the fields of the finished table; none where it was written and the record was not."""
        try:
            values = json.loads(self.record.read_text("utf-8"))
            check_schema(values.get("schema"), SCHEMA, f"'{self.record}'")
            return dict(values["inputs"])
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unreadable_error(self.record, error) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LociscopeError(
                f"'{self.record}' is damaged ({error}). Remove it and '{self.table}' to start again.", code=Code.CORRUPT
            ) from error

    def _stream(self, done: Mapping[str, str]) -> Iterator[tuple[list[str], pa.Table]]:
        """Yield each field of `done` once, with its cells: from the newest file that has it as it is now."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        files = list(self._list_inputs())
        newest = {name: path for path, inputs in files for name, mark in inputs.items() if done.get(name) == mark}
        for path, inputs in files:
            without_cells = {name: None for name in inputs if newest.get(name) == path}
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):  # all cells of a field are in one
                    table = file.read_row_group(group)
                    fields = [name for name in dict.fromkeys(table["id"].to_pylist()) if name in without_cells]
                    yield fields, table.filter(pc.is_in(table["id"], pa.array(fields, pa.string())))
                    for name in fields:
                        del without_cells[name]
            yield list(without_cells), cell_schema().empty_table()

    def _check(self, about: Mapping[str, Any]) -> None:
        if any(about.get(key) != value for key, value in self.identity.items()):
            other = "another bundle" if about.get("bundle") != self.identity["bundle"] else "other options"
            raise LociscopeError(
                f"'{self.table}' was begun with {other}. Pass another `output`, or remove it to start again.",
                code=Code.CONFLICT,
            )
