"""What rules propose, and changes of the objective, until a person answers: once each, whoever is first."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lociscope.microscope.decisions import Decision, Request, Stop

PENDING, ACCEPTED, REJECTED = "pending", "accepted", "rejected"


class AnsweredError(LociscopeError):
    """Somebody has answered this proposal before."""

    code = Code.CONFLICT


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one rule wants after one field.

    Attributes:
        id: `<field>-<rule>`.
        field: The field that the rule looked at.
        well: Its well.
        rule: Number of the rule, from 1; 0 for a program.
        because: The numbers that the rule compared.
        urgency: 0–1.
        requests: The fields to image.
        stops: The parts of the plan to end.
        change: For a change of the objective, from what to what; it belongs to no field and no rule.
        state: `pending`, `accepted` or `rejected`.
        by: Who answered.
        at: When, as Unix time.
    """

    id: str
    field: str
    well: str
    rule: int
    because: Mapping[str, float]
    urgency: float
    requests: tuple[Request, ...] = ()
    stops: tuple[Stop, ...] = ()
    change: str = ""
    state: str = PENDING
    by: str = ""
    at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the proposal as the live page and programs get it."""
        return {
            "id": self.id, "field": self.field, "well": self.well, "rule": self.rule, "because": dict(self.because),
            "urgency": round(min(self.urgency, 1.0), 4), "state": self.state, "by": self.by,
            "fields": [request.position.id for request in self.requests],
            "objective": self.requests[0].position.objective if self.requests else None,
            "stops": [stop.scope for stop in self.stops], "change": self.change,
        }  # fmt: skip


class ProposalQueue:
    """The proposals of a run; every method may be called from any thread.

    Args:
        carry_out: Called with the requests and stops of a proposal that was accepted.
        store: Called with each answer before it takes effect: the proposal's id, whether it was accepted, and who
            answered.
        answers: Answers of earlier calls, by the id of the proposal.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Request], Sequence[Stop]], object],
        store: Callable[[str, bool, str], object] = lambda identifier, accepted, by: None,
        answers: Mapping[str, bool] | None = None,
    ) -> None:
        self._carry_out = carry_out
        self._store = store
        self._answers = dict(answers or {})
        self._lock = threading.Lock()
        self._proposals: dict[str, Proposal] = {}
        self._closed = False
        self.changed = threading.Event()
        """Set whenever a proposal is added or answered, for whoever waits for one."""

    @property
    def pending(self) -> list[Proposal]:
        """The proposals that wait for an answer, the most urgent first."""
        return sorted((each for each in self.all() if each.state == PENDING), key=lambda each: -each.urgency)

    @property
    def expects_answers(self) -> bool:
        """Whether a person may still accept something."""
        return not self._closed and bool(self.pending)

    def all(self) -> list[Proposal]:
        """Return every proposal, in the order in which they came."""
        with self._lock:
            return list(self._proposals.values())

    def close(self) -> None:
        """Expect no further answers: nobody is there any more."""
        self._closed = True
        self.changed.set()

    def propose(self, field: str, well: str, decision: Decision) -> None:
        """Add what the rules want after a field; an answer of an earlier call takes effect at once."""
        for verdict in decision.verdicts:
            requests = tuple(each for each in decision.requests if (each.position.rule or 0) == verdict.rule)
            stops = tuple(each for each in decision.stops if each.rule == verdict.rule)
            if not requests and not stops:
                continue
            identifier = f"{field}-{verdict.rule}"
            made = Proposal(identifier, field, well, verdict.rule, verdict.because, verdict.urgency, requests, stops)
            earlier = self._answers.get(identifier)
            if earlier is not None:
                made = replace(made, state=ACCEPTED if earlier else REJECTED, by="an earlier call")
            with self._lock:
                self._proposals[identifier] = made
            if earlier:
                self._carry_out(requests, stops)
        self.changed.set()

    def ask_change(self, change: str) -> str:
        """Ask a person to agree to a change of the objective, each time anew; return the id of the question."""
        with self._lock:
            identifier = f"objective-{sum(bool(each.change) for each in self._proposals.values()) + 1}"
            self._proposals[identifier] = Proposal(identifier, "", "", 0, {}, math.inf, change=change)
        self.changed.set()
        return identifier

    def find_answer(self, identifier: str) -> bool | None:
        """Return whether a proposal was accepted; None while a person may still answer it."""
        with self._lock:
            state = self._proposals[identifier].state
        return None if state == PENDING and not self._closed else state == ACCEPTED

    def answer(self, identifier: str, *, accept: bool, by: str) -> Proposal:
        """Accept or reject a proposal.

        Args:
            identifier: The id of the proposal.
            accept: Whether to carry it out.
            by: Who answers, such as `the terminal` or a name.

        Returns:
            The answered proposal.

        Raises:
            AnsweredError: It is answered already; the error names who answered, how and when.
            LociscopeError: The proposal is unknown, or the run expects no answers any more.
        """
        with self._lock:
            found = self._proposals.get(identifier)
            if found is None:
                raise LociscopeError(
                    f"There is no proposal {identifier[:80]!r}. Load the page again.", code=Code.NOT_FOUND
                )
            if found.state != PENDING:
                ago = f" {time.time() - found.at:.0f} s ago" if found.at else ""
                raise AnsweredError(
                    f"Proposal '{identifier}' was {found.state} by {found.by or 'somebody'}{ago}. Nothing was changed."
                )
            if self._closed:
                raise LociscopeError("The run has ended, and carries out no proposal any more.", code=Code.REFUSED)
            self._store(identifier, accept, by)
            if accept:  # before it stops being pending, since the run may end when nothing is
                self._carry_out(found.requests, found.stops)
            answered = replace(found, state=ACCEPTED if accept else REJECTED, by=by, at=time.time())
            self._proposals[identifier] = answered
        self.changed.set()
        return answered
