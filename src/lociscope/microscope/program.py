"""A program of the user in place of the rules: a function that yields events of useq-schema for each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError
from lociscope.microscope.decisions import Decision, Request, Stop, Verdict
from lociscope.microscope.positions import Position, find_focus, find_offset, is_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import useq

    from lociscope.microscope.conditions import Facts
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Limits

    Program = Callable[[Position, Facts], Iterable[useq.MDAEvent]]
    """Called with every predicted field, planned or requested; yields an event for each field to image next."""


class ProgramEvaluator:
    """Calls a program for every field, and images what it yields, within the limits and the budget of the plan.

    An event stands for one field: `x_pos` and `y_pos` in µm (by default those of the decided field), `z_pos` (by
    default the plan's focus), and in `metadata` optionally `objective`, a name of the plan, and `urgency`, 0–1.
    Channels and exposures are those of the plan.

    Args:
        program: The function.
        plan: The plan; its rules are not used.
        limits: The limits of the plan.
    """

    def __init__(self, program: Program, plan: Plan, limits: Limits) -> None:
        self._program = program
        self._plan = plan
        self._limits = limits

    @property
    def needs_cells(self) -> bool:
        """Return False: cells are found for rules only."""
        return False

    @property
    def waits_for_requested(self) -> bool:
        """Return True: a program also decides about the fields that it requested."""
        return True

    def replay(self, lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, Stop]]:
        """Return nothing: a program keeps its own state."""
        return []

    def evaluate(self, position: Position, facts: Facts) -> Decision:
        """Return the fields that the program requests.

        Raises:
            LociscopeError: The program fails, or yields something else than events.
        """
        try:
            wanted = list(self._program(position, facts))
        except Exception as error:
            raise LociscopeError(
                f"The program failed at field '{position.id}' ({type(error).__name__}: {error}). Correct it, and run "
                "the plan again.",
                code=Code.INVALID_VALUE,
            ) from error
        made = [self._make_request(position, number, event) for number, event in enumerate(wanted, 1)]
        allowed = tuple(each for each in made if is_inside(each.position, self._limits))
        outside = tuple(each.position.id for each in made if each not in allowed)
        if not made:
            return Decision((Verdict(0, "no", {}),))
        urgency = max((each.urgency for each in allowed), default=0.0)
        names = tuple(each.position.id for each in allowed)
        return Decision((Verdict(0, "again" if allowed else "outside", {}, urgency, names, outside),), allowed)

    def _make_request(self, position: Position, number: int, event: useq.MDAEvent) -> Request:
        import useq

        if not isinstance(event, useq.MDAEvent):
            raise LociscopeError(
                f"The program yielded {type(event).__name__}, expected useq.MDAEvent.", code=Code.INVALID_VALUE
            )
        objective = self._plan.objective(event.metadata.get("objective"))
        right, up = find_offset(self._plan, position.objective, objective.name)
        x = position.x + right if event.x_pos is None else event.x_pos
        y = position.y + up if event.y_pos is None else event.y_pos
        z = find_focus(self._plan, objective) if event.z_pos is None else event.z_pos
        name = f"{position.id}-p{number}"
        made = Position(name, position.well, position.site, x, y, z, objective.name, position.of or position.id)
        return Request(made, min(1.0, max(0.0, float(event.metadata.get("urgency", 0.5)))))
