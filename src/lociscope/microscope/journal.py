"""Read and write the output folder of a plan: images, one line for each decision, and tables made of them.

run.json            the hashes of plan and bundle, and whether the run is finished
plan.json           the plan, with every default
focus.json          the target of the focus, written before the focus is withdrawn
decisions.jsonl     one line for each field, written when its image is on disk
fields/<id>.ome.tif the images
catalog.parquet     the Catalog of the fields; `lociscope predict` reads it
predictions.parquet the Predictions
failures.csv        fields that could not be predicted
left.csv            planned and requested fields that were not imaged, and why
micro-manager.log   the log of Micro-Manager, except for the simulated microscope
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.microscope.event_scheduler import Request, Skipped, SkipReason
from lociscope.microscope.positions import Position
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unwritable_error
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.microscope.plan import Plan

SCHEMA = 2
MAY_CHANGE: dict[str, Any] = {"output": True, "log": True, "budget": True, "microscope": {"timeout_s"}}
"""Keys of the plan that a later call may change: where it writes, and how long it may take."""
_CHANGEABLE = "Only budget, microscope.timeout_s, output and log of a plan may change."
LOG = "micro-manager.log"
SOURCE = "lociscope microscope"
_SKIP_TEXTS = {
    SkipReason.INTERRUPTED: "interrupted",
    SkipReason.RULE_LIMIT: "rule {value:g} has imaged its most fields",
    SkipReason.FIELD_BUDGET: "the budget of {value:g} fields is spent",
    SkipReason.TIME_BUDGET: "the budget of {value:g} minutes is spent",
}


@dataclass(slots=True)
class Journal:
    """The output folder of one plan.

    Attributes:
        folder: The folder.
        identity: Hashes of the plan and the bundle; a folder of another plan or bundle is refused.
        budget: The budget of the plan; a call with a larger one resumes after an earlier budget was spent.
        finished: Whether nothing is left to do.
        created: Whether this call created the folder.
        lines: The lines of `decisions.jsonl`.
    """

    folder: Path
    identity: dict[str, Any]
    budget: dict[str, Any]
    finished: bool = False
    created: bool = False
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, plan: Plan, bundle: str) -> Self:
        """Create the folder, or open the folder of an earlier call.

        Args:
            folder: The folder.
            plan: The plan.
            bundle: The bundle's sha256.

        Raises:
            LociscopeError: It contains other files, or the output of another plan or bundle, or cannot be written.
        """
        identity = {"plan": _hash_plan(plan, MAY_CHANGE), "bundle": bundle}
        journal = cls(folder, identity, plan.budget.model_dump(mode="json"))
        if journal._record.exists():
            journal._resume(plan)
        elif folder.exists() and (not folder.is_dir() or any(path.name[0] != "." for path in folder.iterdir())):
            raise LociscopeError(
                f"'{folder}' exists and is not an output folder of a microscope. Pass another `output`.",
                code=Code.CONFLICT,
            )
        else:
            journal._write_record()
            journal.created = True
        path, text = folder / "plan.json", plan.model_dump_json(by_alias=True, indent=1) + "\n"
        if not path.exists() or path.read_bytes() != text.encode():
            with atomic_write(path) as part:
                part.write_text(text, "utf-8")
        return journal

    def discard(self) -> None:
        """Remove the files of a new folder in which nothing was imaged, so that a corrected plan may use it."""
        if self.created and not self.lines:
            for name in ("run.json", "plan.json", "focus.json", LOG):
                with suppress(OSError):  # Windows does not remove a log that is still open
                    (self.folder / name).unlink()

    def image_path(self, name: str) -> Path:
        """Return the path of a field's image."""
        return self.folder / "fields" / f"{name}.ome.tif"

    def append(self, line: dict[str, Any]) -> None:
        """Append the decision about a field, whose image must be on disk.

        Raises:
            LociscopeError: The line cannot be written.
        """
        path = self.folder / "decisions.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise unwritable_error(path, error) from error
        self.lines.append(line)

    def close(self, skipped: Sequence[Skipped], *, finished: bool) -> None:
        """Write the tables of all fields, of this call and of earlier ones.

        Args:
            skipped: Fields that were not imaged.
            finished: Whether nothing is left for another call.
        """
        predicted = [line for line in self.lines if "failed" not in line]
        if predicted:
            self.predictions().write(self.folder / "predictions.parquet")
            entries = [self._entry(line) for line in predicted]
            Catalog.from_entries(entries, self.folder).write(self.folder / "catalog.parquet")
        write_failures(self.failures(), self.folder / "failures.csv")
        rows = [(each.id, _SKIP_TEXTS[each.reason].format(value=each.value)) for each in skipped]
        with atomic_write(self.folder / "left.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("id", "why"), *rows])
        self.finished = finished
        self._write_record(
            spent=any(each.reason in (SkipReason.FIELD_BUDGET, SkipReason.TIME_BUDGET) for each in skipped)
        )

    def predictions(self) -> Predictions:
        """Return the Predictions of all fields that could be predicted, in the order in which they were imaged."""
        lines = [line for line in self.lines if "failed" not in line]
        return Predictions(
            [line["field"] for line in lines],
            np.array([line["probability"] for line in lines], np.float32).reshape(len(lines), -1),
            [tuple(line["predicted"]) for line in lines],
            [line["status"] for line in lines],
            [parse_warnings(line["warnings"]) for line in lines],
        ).with_positions({line["field"]: {"well": line["well"], "site": str(line["site"])} for line in lines})

    def failures(self) -> list[Failure]:
        """Return the fields that could not be predicted."""
        return [
            Failure(line["field"], str(self.image_path(line["field"])), line["failed"], line.get("code", ""))
            for line in self.lines
            if "failed" in line
        ]

    def count_by_rule(self) -> Counter[int | None]:
        """Return how many fields were imaged, by the rule that requested them (None for planned ones)."""
        return Counter(line["rule"] for line in self.lines)

    def pending_requests(self) -> dict[str, list[Request]]:
        """Return the requests of earlier decisions that are not imaged yet, by the field that caused them."""
        imaged = {line["field"] for line in self.lines}
        return {
            line["field"]: [
                Request(Position(**position), urgency)
                for position, urgency in line["wanted"]
                if position["id"] not in imaged
            ]
            for line in self.lines
            if line.get("wanted")
        }

    @staticmethod
    def serialize_requests(requests: Sequence[Request]) -> list[tuple[dict[str, Any], float]]:
        """Return requests as a line of `decisions.jsonl` has them."""
        return [(asdict(request.position), request.urgency) for request in requests]

    def load_focus(self) -> dict[str, Any] | None:
        """Return the target of the focus that an earlier call saved; None if none did.

        Raises:
            LociscopeError: The file is damaged.
        """
        try:
            saved = dict(json.loads(self._focus.read_text("utf-8")))
            return {"z": float(saved["z"]), "locked": bool(saved["locked"])}
        except FileNotFoundError:
            return None
        except CORRUPT_FILE_ERRORS as error:
            raise LociscopeError(
                f"'{self._focus}' is damaged ({error}). Focus on cells, remove it, and run the plan again.",
                code=Code.CORRUPT,
            ) from error

    def save_focus(self, z: float, *, locked: bool) -> None:
        """Save the target of the focus, before the focus is withdrawn.

        Args:
            z: Focus in µm, of an objective whose `focus_um` is 0.
            locked: Whether a focus lock is on.
        """
        with atomic_write(self._focus) as part:
            part.write_text(json.dumps({"z": z, "locked": locked}) + "\n", "utf-8")

    @property
    def _focus(self) -> Path:
        return self.folder / "focus.json"

    def _entry(self, line: dict[str, Any]) -> Entry:
        path = self.image_path(line["field"]).relative_to(self.folder).as_posix()
        target = line.get("target")
        return Entry(
            line["field"], None if target is None else tuple(target), path, path, path, path,
            well=line["well"], site=str(line["site"]), pixel_size=line["pixel_size"], source=SOURCE,
        )  # fmt: skip

    @property
    def _record(self) -> Path:
        return self.folder / "run.json"

    def _write_record(self, *, spent: bool = False) -> None:
        about = {"schema": SCHEMA, **self.identity, "finished": self.finished, "spent": self.budget if spent else None}
        with atomic_write(self._record) as part:
            part.write_text(json.dumps(about) + "\n", "utf-8")

    def _resume(self, plan: Plan) -> None:
        try:
            record = dict(json.loads(self._record.read_text("utf-8")))
            check_schema(record.get("schema"), SCHEMA, f"'{self._record}'")
            path = self.folder / "decisions.jsonl"
            text = path.read_text("utf-8") if path.exists() else ""
            self.lines = [json.loads(line) for line in text.split("\n")[:-1]]
        except CORRUPT_FILE_ERRORS as error:
            raise LociscopeError(
                f"'{self.folder}' is damaged ({error}). Pass another folder as `output`.", code=Code.CORRUPT
            ) from error
        expected = self.identity
        if record["schema"] == 1:  # schema 1 hashed the budget and the time limit too
            expected = {**expected, "plan": _hash_plan(plan, {"output": True, "log": True})}
        for key, remedy in (("plan", f" {_CHANGEABLE}"), ("bundle", "")):
            if record.get(key) != expected[key]:
                raise LociscopeError(
                    f"'{self.folder}' was started with another {key}. Pass another folder as `output`.{remedy}",
                    code=Code.CONFLICT,
                )
        self.finished = bool(record.get("finished")) and record.get("spent") in (None, self.budget)
        if text and not text.endswith("\n"):  # a kill truncated the last line: that field is imaged again
            with atomic_write(path) as part:
                part.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self.lines), "utf-8")


def _hash_plan(plan: Plan, without: dict[str, Any]) -> str:
    """Return the sha256 of a plan without some of its keys."""
    values = plan.model_dump(mode="json", by_alias=True, exclude=without)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
