"""The folder that a plan fills: pictures, one line for each decision, and the tables that are made of them.

run.json            which plan and bundle, and whether it is finished
plan.json           the plan, with every default
focus.json          where the focus belongs, written before it is moved away
decisions.jsonl     one line for each field, written when its picture is on disk
fields/<id>.ome.tif the pictures
catalog.parquet     the Catalog of the fields; `lociscope predict` reads it
predictions.parquet the Predictions
failures.csv        fields that could not be predicted
left.csv            fields that were planned or asked for, and why they were not imaged
micro-manager.log   what Micro-Manager itself says, but for the simulated microscope
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
from lociscope.microscope.event_scheduler import Request, Skipped
from lociscope.microscope.positions import Position
from lociscope.storage.atomic import atomic_write, unwritable_error
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.microscope.plan import Plan

SCHEMA = 2
MAY_CHANGE: dict[str, Any] = {"output": True, "log": True, "budget": True, "microscope": {"timeout_s"}}
"""Keys of the plan that a later call may change: where it writes, and how long it may take."""
_ONLY = "Only budget, microscope.timeout_s, output and log of a plan may change."
LOG = "micro-manager.log"
SOURCE = "lociscope microscope"


@dataclass(slots=True)
class Journal:
    """One output folder.

    Attributes:
        folder: The folder.
        identity: The plan and the bundle, as hashes; a folder of others is refused.
        budget: The plan's; a call that may spend more goes on where an earlier one had spent its own.
        finished: Whether nothing is left to do.
        fresh: Whether this call began the folder.
        lines: The lines of `decisions.jsonl`.
    """

    folder: Path
    identity: dict[str, Any]
    budget: dict[str, Any]
    finished: bool = False
    fresh: bool = False
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, plan: Plan, bundle: str) -> Self:
        """Make the folder, or open it where an earlier call stopped.

        Args:
            folder: The folder.
            plan: The plan.
            bundle: The bundle's sha256.

        Raises:
            LociscopeError: It holds other files, or what another plan or bundle made, or cannot be written.
        """
        identity = {"plan": _hash(plan, MAY_CHANGE), "bundle": bundle}
        journal = cls(folder, identity, plan.budget.model_dump(mode="json"))
        if journal._record.exists():
            journal._resume(plan)
        elif folder.exists() and (not folder.is_dir() or any(path.name[0] != "." for path in folder.iterdir())):
            raise LociscopeError(
                f"'{folder}' exists and is not of `lociscope microscope`. Name another with -o.", code=Code.CONFLICT
            )
        else:
            journal._write_record()
            journal.fresh = True
        kept, now = folder / "plan.json", plan.model_dump_json(by_alias=True, indent=1) + "\n"
        if not kept.exists() or kept.read_bytes() != now.encode():
            with atomic_write(kept) as part:
                part.write_text(now, "utf-8")
        return journal

    def discard(self) -> None:
        """Remove what this call began, where nothing was imaged: a corrected plan may then use the folder."""
        if self.fresh and not self.lines:
            for name in ("run.json", "plan.json", "focus.json", LOG):
                with suppress(OSError):  # a log that is still open stays on Windows
                    (self.folder / name).unlink()

    def picture(self, name: str) -> Path:
        """Where a field's picture lies."""
        return self.folder / "fields" / f"{name}.ome.tif"

    def append(self, line: dict[str, Any]) -> None:
        """Keeps what became of a field, whose picture must be on disk by now.

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

    def close(self, left: Sequence[Skipped], *, finished: bool) -> None:
        """Writes the tables of everything that there is, of this call and of earlier ones.

        Args:
            left: Fields that were not imaged.
            finished: Whether nothing remains for another call.
        """
        read = [line for line in self.lines if "failed" not in line]
        if read:
            self.predictions().write(self.folder / "predictions.parquet")
            entries = [self._entry(line) for line in read]
            Catalog.from_entries(entries, self.folder).write(self.folder / "catalog.parquet")
        write_failures(self.failures(), self.folder / "failures.csv")
        with atomic_write(self.folder / "left.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("id", "why"), *((each.id, each.why) for each in left)])
        self.finished = finished
        self._write_record(spent=any(each.why.startswith("the budget of") for each in left))

    def predictions(self) -> Predictions:
        """The Predictions of all fields that could be predicted, in the order in which they were imaged."""
        lines = [line for line in self.lines if "failed" not in line]
        return Predictions(
            [line["field"] for line in lines],
            np.array([line["probability"] for line in lines], np.float32).reshape(len(lines), -1),
            [tuple(line["predicted"]) for line in lines],
            [line["status"] for line in lines],
            [parse_warnings(line["warnings"]) for line in lines],
        ).with_positions({line["field"]: {"well": line["well"], "site": str(line["site"])} for line in lines})

    def failures(self) -> list[Failure]:
        """The fields that could not be predicted."""
        return [
            Failure(line["field"], str(self.picture(line["field"])), line["failed"])
            for line in self.lines
            if "failed" in line
        ]

    def begun(self) -> Counter[int | None]:
        """How many fields are imaged, by the rule that asked for them."""
        return Counter(line["rule"] for line in self.lines)

    def requests(self) -> dict[str, list[Request]]:
        """What earlier decisions asked for that is not imaged yet, by the field that was decided on."""
        here = {line["field"] for line in self.lines}
        return {
            line["field"]: [
                Request(Position(**position), urgency)
                for position, urgency in line["wanted"]
                if position["id"] not in here
            ]
            for line in self.lines
            if line.get("wanted")
        }

    @staticmethod
    def wanted(requests: Sequence[Request]) -> list[tuple[dict[str, Any], float]]:
        """Requests as a line keeps them."""
        return [(asdict(request.position), request.urgency) for request in requests]

    def focus(self) -> dict[str, Any] | None:
        """Where the focus belonged when an earlier call last moved it away; None where none did.

        Raises:
            LociscopeError: The file is damaged.
        """
        try:
            known = dict(json.loads(self._focus.read_text("utf-8")))
            return {"z": float(known["z"]), "locked": bool(known["locked"])}
        except FileNotFoundError:
            return None
        except CORRUPT_FILE_ERRORS as error:
            raise LociscopeError(
                f"'{self._focus}' is damaged ({error}). Focus on cells, remove it, and give the command again.",
                code=Code.CORRUPT,
            ) from error

    def save_focus(self, z: float, *, locked: bool) -> None:
        """Note where the focus belongs, before it is moved away.

        Args:
            z: Focus in µm, of an objective whose `focus_um` is 0.
            locked: Whether a focus lock holds it.
        """
        with atomic_write(self._focus) as part:
            part.write_text(json.dumps({"z": z, "locked": locked}) + "\n", "utf-8")

    @property
    def _focus(self) -> Path:
        return self.folder / "focus.json"

    def _entry(self, line: dict[str, Any]) -> Entry:
        path = self.picture(line["field"]).relative_to(self.folder).as_posix()
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
            self.lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        except CORRUPT_FILE_ERRORS as error:
            raise LociscopeError(
                f"'{self.folder}' is damaged ({error}). Name another folder with -o.", code=Code.CORRUPT
            ) from error
        known = self.identity
        if record["schema"] == 1:  # which hashed the budget and the time limit with the rest
            known = {**known, "plan": _hash(plan, {"output": True, "log": True})}
        for key, remedy in (("plan", f" {_ONLY}"), ("bundle", "")):
            if record.get(key) != known[key]:
                raise LociscopeError(
                    f"'{self.folder}' was begun with another {key}. Name another folder with -o.{remedy}",
                    code=Code.INVALID_VALUE,
                )
        self.finished = bool(record.get("finished")) and record.get("spent") in (None, self.budget)
        if text and not text.endswith("\n"):  # cut off by a kill: that field is imaged again
            with atomic_write(path) as part:
                part.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self.lines), "utf-8")


def _hash(plan: Plan, without: dict[str, Any]) -> str:
    """Return the sha256 of a plan without some of its keys."""
    values = plan.model_dump(mode="json", by_alias=True, exclude=without)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
