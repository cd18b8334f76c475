"""Read and write the output folder of a plan: images, one line for each decision, and tables made of them.

run.json            the hashes of plan and bundle, and whether the run is finished
plan.json           the plan, with every default
focus.json          the target of the focus, written before the focus is withdrawn
decisions.jsonl     one line for each field, written when its image is on disk
answers.jsonl       one line for each proposal that a person accepted or rejected
plate.ome.zarr/     the images, or
fields/<id>.ome.tif the images if the plan says `images = "ome-tiff"`
labels/             the cells of these, if the plan says `labels = true`
catalog.parquet     the Catalog of the fields; `lociscope predict` reads it
predictions.parquet the Predictions
failures.csv        fields that could not be predicted
left.csv            planned and requested fields that were not imaged, and why
micro-manager.log   the log of Micro-Manager, except for the simulated microscope
"""

from __future__ import annotations

import csv
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.microscope.decisions import SKIP_TEXTS, Request, Skipped, SkipReason, Verdict
from lociscope.microscope.journal_lines import append_line, make_position, read_position
from lociscope.microscope.plan_identity import hash_plan
from lociscope.microscope.request_queue import ImagedField, make_next_time_point
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lociscope.microscope.plan import Plan

SCHEMA = 4
_CHANGEABLE = (
    "Only budget, quality, microscope.timeout_s, microscope.turns, mode, images, labels, output and log of a plan may "
    "change."
)
LOG = "micro-manager.log"
SOURCE = "lociscope microscope"


@dataclass(slots=True)
class Journal:
    """The output folder of one plan.

    Attributes:
        folder: The folder.
        identity: Hashes of the plan and the bundle; a folder of another plan or bundle is refused.
        budget: The budget of the plan; a call with a larger one resumes after an earlier budget was spent.
        mode: The mode of the plan; a call with another one resumes what an earlier mode finished.
        finished: Whether nothing is left to do.
        created: Whether this call created the folder.
        lines: The lines of `decisions.jsonl`.
    """

    folder: Path
    identity: dict[str, Any]
    budget: dict[str, Any]
    mode: str = "act"
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
        identity = {"plan": hash_plan(plan, SCHEMA), "bundle": bundle}
        journal = cls(folder, identity, plan.budget.model_dump(mode="json"), plan.mode)
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

    def image_path(self, line: Mapping[str, Any]) -> Path:
        """Return the path of the image of a line; before schema 4 every one was an OME-TIFF."""
        path: str = line.get("image", f"fields/{line['field']}.ome.tif")
        return self.folder / path

    def append(self, line: dict[str, Any]) -> None:
        """Append the decision about a field, whose image must be on disk.

        Raises:
            LociscopeError: The line cannot be written.
        """
        append_line(self.folder / "decisions.jsonl", line)
        self.lines.append(line)

    def append_answer(self, proposal: str, accepted: bool, by: str) -> None:
        """Append the answer of a person to a proposal.

        Raises:
            LociscopeError: The line cannot be written.
        """
        line = {"proposal": proposal, "accepted": accepted, "by": by, "at": round(time.time(), 3)}
        append_line(self.folder / "answers.jsonl", line)

    def read_answers(self) -> dict[str, bool]:
        """Return the answers of earlier calls, by proposal; a line that a kill truncated is left out."""
        path = self.folder / "answers.jsonl"
        if not path.exists():
            return {}
        lines = map(json.loads, path.read_text("utf-8").split("\n")[:-1])
        return {line["proposal"]: bool(line["accepted"]) for line in lines}

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
        rows = [(each.id, SKIP_TEXTS[each.reason].format(value=each.value, detail=each.detail)) for each in skipped]
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
            Failure(line["field"], str(self.image_path(line)), line["failed"], line.get("code", ""))
            for line in self.lines
            if "failed" in line
        ]

    def imaged_fields(self) -> list[ImagedField]:
        """Return the fields that were imaged, as budgets count them."""
        return [
            ImagedField(
                each["rule"],
                each.get("well", ""),
                each.get("of") or each["field"],
                bool(each.get("autofocus")),
                tuple(each.get("exposures") or ()),
            )
            for each in self.lines
        ]

    def pending_requests(self, plan: Plan) -> dict[str, list[Request]]:
        """Return the requests of earlier decisions that are not imaged yet, by the field that caused them.

        The next time point of a series belongs to the field of the last.
        """
        imaged = {line["field"] for line in self.lines}
        pending: dict[str, list[Request]] = {}
        for line in self.lines:
            requests = [Request(make_position(position), urgency) for position, urgency in line.get("wanted", ())]
            if line.get("time"):
                following = make_next_time_point(read_position(line), line["at_s"], plan)
                requests += [following] if following else []
            if requests:
                pending[line["field"]] = [each for each in requests if each.position.id not in imaged]
        return pending

    @staticmethod
    def verdicts(line: Mapping[str, Any]) -> tuple[Verdict, ...]:
        """Return the verdicts of a line."""
        return tuple(Verdict.from_dict(verdict) for verdict in line.get("rules", ()))

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
        path = self.image_path(line).relative_to(self.folder).as_posix()
        target = line.get("target")
        return Entry(
            line["field"], None if target is None else tuple(target), path, path, path, path,
            well=line["well"], site=str(line["site"]), pixel_size=line["pixel_size"], source=SOURCE,
        )  # fmt: skip

    @property
    def _record(self) -> Path:
        return self.folder / "run.json"

    def _write_record(self, *, spent: bool = False) -> None:
        about = {"schema": SCHEMA, **self.identity, "mode": self.mode, "finished": self.finished}
        about["spent"] = self.budget if spent else None
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
        expected = {**self.identity, "plan": hash_plan(plan, record["schema"])}
        for key, remedy in (("plan", f" {_CHANGEABLE}"), ("bundle", "")):
            if record.get(key) != expected[key]:
                raise LociscopeError(
                    f"'{self.folder}' was started with another {key}. Pass another folder as `output`.{remedy}",
                    code=Code.CONFLICT,
                )
        spent = record.get("spent") or {}
        same_budget = all(self.budget[key] == value for key, value in spent.items())
        self.finished = bool(record.get("finished")) and same_budget and record.get("mode", "act") == self.mode
        answers = self.folder / "answers.jsonl"
        if answers.exists() and not (known := answers.read_text("utf-8")).endswith("\n"):
            with atomic_write(answers) as part:
                part.write_text(known[: known.rfind("\n") + 1], "utf-8")
        if text and not text.endswith("\n"):  # a kill truncated the last line: that field is imaged again
            with atomic_write(path) as part:
                part.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self.lines), "utf-8")
