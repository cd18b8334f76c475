"""The folder that a plan fills: pictures, one line for each decision, and the tables that are made of them.

run.json            which plan and bundle, and whether it is finished
plan.json           the plan, with every default
decisions.jsonl     one line for each field, written when its picture is on disk
fields/<id>.ome.tif the pictures
catalog.parquet     the Catalog of the fields; `lociscope predict` reads it
predictions.parquet the Predictions
failures.csv        fields that could not be predicted
left.csv            fields that were planned or asked for, and why they were not imaged
micro-manager.log   what Micro-Manager itself says, but for the simulated microscope
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from lociscope.catalog import Catalog, Entry
from lociscope.errors import LociscopeError
from lociscope.images.sources import Failure, write_failures
from lociscope.microscope.plan import Plan
from lociscope.microscope.steer import Left, Request
from lociscope.microscope.stops import Stop
from lociscope.predictions import Predictions
from lociscope.storage import DAMAGED, check_schema, replacing, unwritable

SCHEMA = 1
SOURCE = "lociscope microscope"


@dataclass(slots=True)
class Journal:
    """One output folder.

    Attributes:
        folder: The folder.
        identity: The plan and the bundle, as hashes; a folder of others is refused.
        finished: Whether nothing is left to do.
        lines: The lines of `decisions.jsonl`.
    """

    folder: Path
    identity: dict[str, Any]
    finished: bool = False
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, plan: Plan, bundle: str) -> Self:
        """Makes the folder, or opens it where an earlier call stopped.

        Args:
            folder: The folder.
            plan: The plan.
            bundle: The bundle's sha256.

        Raises:
            LociscopeError: It holds other files, or what another plan or bundle made, or cannot be written.
        """
        told = json.dumps(plan.model_dump(mode="json", by_alias=True, exclude={"output", "log"}), sort_keys=True)
        journal = cls(folder, {"plan": hashlib.sha256(told.encode()).hexdigest(), "bundle": bundle})
        if journal._record.exists():
            journal._resume()
        elif folder.exists() and (not folder.is_dir() or any(path.name[0] != "." for path in folder.iterdir())):
            raise LociscopeError(f"'{folder}' exists and is not of `lociscope microscope`. Name another with -o.")
        else:
            journal._write_record()
        if not (folder / "plan.json").exists():  # a kill may have come between the two
            with replacing(folder / "plan.json") as part:
                part.write_text(plan.model_dump_json(by_alias=True, indent=1) + "\n", "utf-8")
        return journal

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
            raise unwritable(path, error) from error
        self.lines.append(line)

    def close(self, left: Sequence[Left], *, finished: bool) -> None:
        """Writes the tables of everything that there is, of this call and of earlier ones.

        Args:
            left: Fields that were not imaged.
            finished: Whether nothing remains for another call.
        """
        read = [line for line in self.lines if "failed" not in line]
        if read:
            self.predictions().write(self.folder / "predictions.parquet")
            entries = [self._entry(line) for line in read]
            Catalog.of(entries, self.folder).write(self.folder / "catalog.parquet")
        write_failures(self.failures(), self.folder / "failures.csv")
        with replacing(self.folder / "left.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("id", "why"), *((each.id, each.why) for each in left)])
        self.finished = finished
        self._write_record()

    def predictions(self) -> Predictions:
        """The Predictions of all fields that could be predicted, in the order in which they were imaged."""
        lines = [line for line in self.lines if "failed" not in line]
        return Predictions(
            [line["field"] for line in lines],
            np.array([line["probability"] for line in lines], np.float32).reshape(len(lines), -1),
            [tuple(line["predicted"]) for line in lines],
            [line["status"] for line in lines],
            [tuple(line["warnings"]) for line in lines],
        ).located({line["field"]: {"well": line["well"], "site": str(line["site"])} for line in lines})

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
                Request(Stop(**stop), urgency) for stop, urgency in line["wanted"] if stop["id"] not in here
            ]
            for line in self.lines
            if line.get("wanted")
        }

    @staticmethod
    def wanted(requests: Sequence[Request]) -> list[tuple[dict[str, Any], float]]:
        """Requests as a line keeps them."""
        return [(asdict(request.stop), request.urgency) for request in requests]

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

    def _write_record(self) -> None:
        with replacing(self._record) as part:
            part.write_text(json.dumps({"schema": SCHEMA, **self.identity, "finished": self.finished}) + "\n", "utf-8")

    def _resume(self) -> None:
        try:
            record = dict(json.loads(self._record.read_text("utf-8")))
            check_schema(record.get("schema"), SCHEMA, f"'{self._record}'")
            path = self.folder / "decisions.jsonl"
            text = path.read_text("utf-8") if path.exists() else ""
            self.lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        except DAMAGED as error:
            raise LociscopeError(f"'{self.folder}' is damaged ({error}). Name another folder with -o.") from error
        for key, what in (("plan", "plan"), ("bundle", "bundle")):
            if record.get(key) != self.identity[key]:
                raise LociscopeError(f"'{self.folder}' was begun with another {what}. Name another folder with -o.")
        self.finished = bool(record.get("finished"))
        if text and not text.endswith("\n"):  # cut off by a kill: that field is imaged again
            with replacing(path) as part:
                part.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self.lines), "utf-8")
