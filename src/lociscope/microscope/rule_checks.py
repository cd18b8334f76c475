"""Refuse rules that can never hold, would never end, or contradict themselves, before anything moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.errors import Code, UsageError
from lociscope.microscope.conditions import can_hold

if TYPE_CHECKING:
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Rule

MAX_PLANES = 200
"""Most planes of a stack."""


def check_rule(rule: Rule, plan: Plan) -> None:
    """Check what a rule alone, and the tables of the plan, show about it.

    Raises:
        UsageError: Its condition cannot be parsed or never holds, it would never end, or two keys exclude each other.
    """
    if not can_hold(rule.condition):
        raise _refuse(f"no field can meet {rule.when!r}: its comparisons contradict each other. Correct `when`.")
    if rule.objective and rule.zoom:
        raise _refuse("it has both objective and zoom. Keep one of them.")
    if rule.stop is None:
        _check_end(rule, plan)
    else:
        _check_stop(rule)
    _check_stack(rule, plan)


def check_wells(rule: Rule, planned: list[str], applies: list[str], sites: int) -> None:
    """Check that the fields of a plan can bring a rule to act.

    Args:
        rule: The rule.
        planned: The wells of the plan.
        applies: The wells to which the rule applies.
        sites: Number of planned fields of a well.

    Raises:
        UsageError: None of its wells is planned, or `found` is more than the fields that it counts over.
    """
    common = [well for well in applies if well in planned]
    if not common:
        raise _refuse(
            f"none of its wells ({', '.join(rule.wells)}) is in plate.wells, so it never holds. Correct them."
        )
    fields = sites if rule.per == "well" else sites * len(common)
    if rule.found > fields:
        where = "a well of the plan has" if rule.per == "well" else "its wells have"
        raise _refuse(
            f"found is {rule.found}, and {where} {fields} planned fields, so it never acts. Lower found, or plan more "
            "sites."
        )


def _check_end(rule: Rule, plan: Plan) -> None:
    if rule.most is None:
        raise _refuse("it has neither most nor stop, so it might never end. Write the most fields that it may image.")
    if (rule.times > 1) is not (rule.every_s is not None):
        raise _refuse("a series needs both times (2 or more) and every_s. Write both, or neither.")
    if rule.every_s is not None and (rule.times - 1) * rule.every_s > plan.budget.minutes * 60:
        raise _refuse(
            f"its series takes {(rule.times - 1) * rule.every_s / 60:g} min, more than budget.minutes "
            f"({plan.budget.minutes:g}), so it would never end. Shorten it, or raise the budget."
        )


def _check_stop(rule: Rule) -> None:
    allowed = {"when", "wells", "found", "per", "stop"}
    given = sorted(rule.model_fields_set - allowed)
    if given:
        raise _refuse(
            f"it stops the {rule.stop} and images nothing, so {' and '.join(given)} would have no effect. Leave it out."
        )


def _check_stack(rule: Rule, plan: Plan) -> None:
    if rule.z_stack is None:
        return
    if plan.plate.z is None:
        raise _refuse("a stack needs a known focus. Write plate.z, or leave z_stack out.")
    if not 2 <= len(rule.planes) <= MAX_PLANES:
        raise _refuse(f"its stack has {len(rule.planes)} planes; expected 2 to {MAX_PLANES}. Change z_stack.")


def _refuse(message: str) -> UsageError:
    return UsageError(message, code=Code.INVALID_VALUE)
