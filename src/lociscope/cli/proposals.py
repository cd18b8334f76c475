"""Ask in the terminal what the rules of a plan propose."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from lociscope.cli import console
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    import numpy as np

    from lociscope.microscope.loop import SteeringLoop
    from lociscope.microscope.proposals import Proposal

WHO = "the terminal"
_HELP = "Answer y (yes), n (no), a (yes to all of this rule), or s (ask nothing more)."


class TerminalAnswers:
    """Asks about one proposal after the other on stderr, and reads the answers from stdin.

    When stdin ends, nobody is asked any more; what was not answered is listed in `left.csv` and asked by the next call.

    Args:
        answers: Where answers are read; None for stdin.
    """

    answers = True

    def __init__(self, answers: TextIO | None = None) -> None:
        self._input = answers
        self._accepted: set[int] = set()

    def on_started(self, loop: SteeringLoop) -> None:
        """Begin to ask, in a thread that the process does not wait for."""
        threading.Thread(target=self._ask_all, args=(loop,), name="terminal", daemon=True).start()

    def on_field(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        """Do nothing: proposals announce themselves."""

    def _ask_all(self, loop: SteeringLoop) -> None:
        proposals = loop.proposals
        while True:
            proposals.changed.clear()
            pending = proposals.pending
            if not pending:
                proposals.changed.wait()
                continue
            if not self._ask(loop, pending[0]):
                proposals.close()
                return

    def _ask(self, loop: SteeringLoop, proposal: Proposal) -> bool:
        """Ask about one proposal; return whether to go on."""
        if proposal.change or proposal.rule not in self._accepted:
            console.print_error(describe_proposal(proposal))
            answer = (self._input or sys.stdin).readline()
            word = answer.strip().lower()
            if not answer or word in ("s", "stop"):
                return False
            if word not in ("y", "yes", "n", "no", "a", "all"):
                console.print_error(_HELP)
                return True
            if word in ("a", "all") and not proposal.change:
                self._accepted.add(proposal.rule)
            accept = word[0] in "ya"
        else:
            accept = True
        try:
            loop.proposals.answer(proposal.id, accept=accept, by=WHO)
        except LociscopeError as error:
            console.print_error(f"lociscope: {error}")
        return True


def describe_proposal(proposal: Proposal) -> str:
    """Return a proposal as a question."""
    if proposal.change:
        return (
            f"Change the objective from {proposal.change}. Is it ready, with its immersion? [y]es, [n]o: leave its "
            "fields out, [s]top asking"
        )
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in proposal.because.items())
    why = f" ({numbers})" if numbers else ""
    if proposal.stops:
        what = f"image no further planned field of the {proposal.stops[0].scope}"
    else:
        fields = console.count_fields(len(proposal.requests))
        what = f"image {fields} with {proposal.requests[0].position.objective}"
    return f"{proposal.field}, rule {proposal.rule}{why}: {what}? [y]es, [n]o, [a]ll of this rule, [s]top asking"
