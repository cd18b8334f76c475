"""Print docs/reference/microscope-plan.md from the model of the Plan: `python docs/_generate/plan_page.py > …`."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from lociscope.labels import LABELS
from lociscope.microscope.conditions import STATUSES, rare_locations
from lociscope.microscope.plan import Plan
from lociscope.storage.toml_files import find_model

TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("[microscope]", ("microscope",)),
    ("[[objectives]]", ("objectives",)),
    ("[channels]", ("channels",)),
    ("[channels.red], [channels.green], [channels.blue], [channels.yellow]", ("channels", "red")),
    ("[plate]", ("plate",)),
    ("[[rules]]", ("rules",)),
    ("[limits]", ("limits",)),
    ("[budget]", ("budget",)),
    ("[quality]", ("quality",)),
    ("[timing]", ("timing",)),
    ("[specimen]", ("specimen",)),
)
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
KINDS = {
    "tuple[float, float]": "two numbers",
    "tuple[str, ...]": "names",
    "dict[str, tuple[str, ...]]": "a table of locations by well",
}
HEAD = f"""# Plans for a microscope

This page lists every key of a plan, the TOML file that `lociscope microscope run` executes
([how to use one](../how-to/microscope.md)). Unknown keys are errors that suggest the nearest key.
`lociscope microscope plan` prints a plan to start from.

## Rules

`when` is a condition:

```text
condition := and ("or" and)*
and       := not ("and" not)*
not       := "not" not | "(" condition ")" | comparison
comparison:= "mixed" | "status" "=" STATUS | (LOCATION | MEASURE) (">=" | "<") NUMBER
```

A status is one of {", ".join(f"`{status}`" for status in STATUSES)}; `≥` means `>=`, and case does not matter. A name may be
in double quotes.

| compared | is |
|---|---|
| a location | its probability, 0 to 1 |
| `locations` | how many locations reach the thresholds of the bundle; `mixed` means `locations >= 2` |
| `rare` | the highest probability among the locations that less than 1 % of the competition's fields have: {", ".join(LABELS[number] for number in rare_locations())} |
| `differing cells` | the share of whole cells whose locations differ from those of most others in their field, 0 to 1; finding cells needs the extra `cells` and delays each decision |

Locations: {", ".join(LABELS)}.

Rules apply to planned fields only, so that a field imaged again does not trigger further fields. A field that two
rules request is imaged for both. A requested field is compared with its own rule, which it confirms or refutes.

A rule that can never act is refused before anything moves: its comparisons contradict each other, the bundle does not know
a location or never gives a status, none of its wells is planned, or `found` is more than the planned fields. So is one that
might never end: without `most` or `stop`, or with a series longer than the budget.

## Before the first table

| key | default | values | meaning |
|---|---|---|---|
| `schema` | `1` | 1 | version of the plan's format |
"""


def allowed(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo, whose metadata is of any kind
    """Return the values that a key accepts, in short."""
    found = [each for each in get_args(field.annotation) if get_origin(each) is Literal] or [field.annotation]
    if get_origin(found[0]) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(found[0]))
    nested = [each for part in get_args(field.annotation) for each in getattr(part, "__metadata__", ())]
    limits = [
        f"{sign} {getattr(limit, name):g}"
        for each in (*field.metadata, *nested)
        for limit in (each, *getattr(each, "metadata", ()))
        for name, sign in SIGNS.items()
        if hasattr(limit, name)
    ]
    return ", ".join(dict.fromkeys(limits)) or KINDS.get(str(field.annotation).replace("typing.", ""), "")


def default(field: Any) -> str:  # noqa: ANN401
    """Return the default of a key."""
    if field.is_required():
        return "required"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value is None or value == {} else f"`{value}`"


def rows(fields: dict[str, Any]) -> list[str]:
    """Return a row for each key of a table that is not a table itself."""
    return [
        f"| `{key}` | {default(field)} | {allowed(field)} | {field.description} |"
        for key, field in fields.items()
        if field.description and key != "schema_"
    ]


def table(name: str, path: tuple[str, ...]) -> str:
    """Return the section of one table."""
    model = find_model(Plan, path)
    about = (model.__doc__ or "").split(": ", 1)[-1].strip()
    head = ["## `" + "`, `".join(name.split(", ")) + "`", "", about[0].upper() + about[1:], ""]
    return "\n".join(
        [*head, "| key | default | values | meaning |", "|---|---|---|---|", *rows(model.model_fields), ""]
    )


def page() -> str:
    """Return the whole page."""
    first = [*rows(dict(Plan.model_fields)), ""]
    return HEAD + "\n".join([*first, *(table(name, path) for name, path in TABLES)])


if __name__ == "__main__":
    print(page(), end="")
