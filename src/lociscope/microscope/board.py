"""The state of a run for people who watch it: what is imaged, decided and proposed, and how to pause or stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS
from lociscope.microscope.describe import describe_rule
from lociscope.microscope.positions import expand_wells
from lociscope.microscope.request_queue import light_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.microscope.loop import SteeringLoop
    from lociscope.microscope.proposals import Proposal
    from lociscope.microscope.run_result import RunResult

State = Literal["opening", "running", "paused", "stopping", "ended"]

RECENT_FIELDS, RECENT_DECISIONS = 12, 40
"""Most fields and decisions that a page shows."""

_EMPTY: dict[str, Any] = {
    "mode": "", "folder": "", "fields": 0, "planned": 0, "planned_done": 0, "requested": 0, "failed": 0, "left": 0,
    "elapsed_s": 0.0, "budget_minutes": 0.0, "light_s": 0.0, "light_most_s": 0.0, "light_budget_s": None, "rules": [],
    "wells": {}, "recent": [], "decisions": [], "proposals": [],
}  # fmt: skip
"""A snapshot before the run begins."""


class Board:
    """Observes one run; every method may be called from any thread."""

    answers = True

    def __init__(self) -> None:
        self._loop: SteeringLoop | None = None
        self._result: RunResult | None = None
        self._failure = ""
        self._stopping = False

    def on_started(self, loop: SteeringLoop) -> None:
        """Begin to observe."""
        self._loop = loop

    def on_field(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        """Do nothing: the journal has the field."""

    def finish(self, result: RunResult | None, failure: str = "") -> None:
        """Note how the run ended.

        Args:
            result: Its result; None if it could not begin.
            failure: Why it could not begin.
        """
        self._result = result
        self._failure = failure or (str(result.error) if result is not None and result.error is not None else "")
        self._stopping = True

    @property
    def state(self) -> State:
        """What the run does now."""
        if self._result is not None or self._failure:
            return "ended"
        if self._loop is None:
            return "opening"
        if self._stopping:
            return "stopping"
        return "paused" if self._loop.scheduler.paused else "running"

    def pause(self) -> None:
        """Begin no further field until `resume` is called.

        Raises:
            LociscopeError: The run does not run.
        """
        self._running().scheduler.pause()

    def resume(self) -> None:
        """Continue after a pause.

        Raises:
            LociscopeError: The run does not run.
        """
        self._running().scheduler.resume()

    def stop(self) -> None:
        """End the run after the current image, as Ctrl-C does.

        Raises:
            LociscopeError: The run does not run.
        """
        loop = self._running()
        self._stopping = True
        loop.request_stop()

    def answer(self, proposal: str, *, accept: bool, by: str) -> Proposal:
        """Accept or reject a proposal.

        Raises:
            AnsweredError: Somebody was first.
            LociscopeError: The proposal is unknown, or the run has ended.
        """
        return self._running().proposals.answer(proposal, accept=accept, by=by)

    def image_path(self, field: str) -> Path:
        """Return the file of a field.

        Raises:
            LociscopeError: The field is unknown, or not predicted yet.
        """
        loop = self._loop
        line = next((each for each in loop.journal.lines if each["field"] == field), None) if loop else None
        if loop is None or line is None:
            raise LociscopeError(
                f"Field {field[:80]!r} is unknown, or not predicted yet. Reload the page.", code=Code.UNKNOWN_NAME
            )
        return loop.journal.image_path(line)

    def fingerprint(self) -> str:
        """Return a text that differs whenever a page has something new to show."""
        loop = self._loop
        if loop is None:
            return self.state
        proposals = [(each.id, each.state) for each in loop.proposals.all()]
        return f"{self.state} {len(loop.journal.lines)} {hash(tuple(proposals))}"

    def snapshot(self) -> dict[str, Any]:
        """Return everything that a page shows, as data."""
        loop = self._loop
        common = _EMPTY | {"state": self.state, "error": self._failure}
        if loop is None:
            return common
        lines = list(loop.journal.lines)
        light: dict[str, float] = {}
        for each in loop.journal.imaged_fields():
            light[each.root] = light.get(each.root, 0.0) + light_seconds(loop.plan, each)
        skipped = [] if self._result is None else self._result.skipped
        return common | {
            "mode": loop.plan.mode,
            "folder": str(loop.journal.folder),
            "fields": len(lines),
            "planned": len(loop.planned),
            "planned_done": sum(line.get("of") is None for line in lines),
            "requested": sum(line.get("of") is not None for line in lines),
            "failed": sum("failed" in line for line in lines),
            "left": len(skipped),
            "elapsed_s": round(max((line["at_s"] for line in lines), default=0.0), 1),
            "budget_minutes": loop.plan.budget.minutes,
            "light_s": round(sum(light.values()), 2),
            "light_most_s": round(max(light.values(), default=0.0), 2),
            "light_budget_s": loop.plan.budget.light_s,
            "rules": [describe_rule(rule, loop.plan, loop.scale) for rule in loop.plan.rules],
            "wells": _count_wells(loop, lines),
            "recent": [_summarize(line) for line in reversed(lines[-RECENT_FIELDS:])],
            "decisions": _list_decisions(lines),
            "proposals": [proposal.to_dict() for proposal in loop.proposals.pending],
        }

    def _running(self) -> SteeringLoop:
        if self._loop is None or self.state == "ended":
            raise LociscopeError("The run does not run now, so nothing was changed.", code=Code.CONFLICT)
        return self._loop


def _count_wells(loop: SteeringLoop, lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return for each planned well how many fields are planned, done, and requested."""
    wells = {well: {"planned": 0, "done": 0, "again": 0} for well in expand_wells(loop.plan.plate)}
    for position in loop.planned:
        wells[position.well]["planned"] += 1
    for line in lines:
        if line.get("well") in wells:
            wells[line["well"]]["done" if line.get("of") is None else "again"] += 1
    return wells


def _summarize(line: Mapping[str, Any]) -> dict[str, Any]:
    probability = line.get("probability") or []
    names = sorted(line.get("predicted", ()), key=lambda number: -(probability[number] or 0))
    return {
        "field": line["field"], "well": line["well"], "objective": line["objective"], "of": line["of"],
        "status": line.get("status", "failed"), "failed": line.get("failed", ""),
        "locations": [
            {"number": number, "name": LABELS[number], "probability": probability[number]} for number in names
        ],
        "warnings": list(line.get("warnings", ())),
    }  # fmt: skip


def _list_decisions(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the last verdicts other than `no`, the newest first, each with its field and time."""
    found: list[dict[str, Any]] = []
    for line in reversed(lines):
        for verdict in line.get("rules", ()):
            if verdict["verdict"] != "no" and len(found) < RECENT_DECISIONS:
                found.append({"field": line["field"], "at_s": line["at_s"], **verdict})
    return found
