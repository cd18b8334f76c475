"""The Plan of a microscope as a TOML file: what to image, when to image a field again, and how far to move."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.labels import LABELS
from lociscope.microscope.rule_checks import check_rule
from lociscope.microscope.sections import (
    Budget,
    Channels,
    Limits,
    Microscope,
    Objective,
    Plate,
    Quality,
    Rule,
    Section,
    SpecimenPlan,
    Timing,
)
from lociscope.storage.schema import check_schema
from lociscope.storage.toml_files import read_toml, to_usage_error

SCHEMA = 1
SHIPPED = Path(__file__).parent / "plans"
_EXAMPLE = "Write it: `lociscope microscope plan` prints an example."
SIMULATED, DEMO = "simulated", "demo"

Mode = Literal["observe", "propose", "act"]
"""Whether rules only observe, propose fields for a person to accept, or act themselves."""
ImageFormat = Literal["ome-zarr", "ome-tiff"]
"""One OME-Zarr plate, or an OME-TIFF for each field."""


class Plan(Section):
    """A whole plan."""

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    output: str = Field("acquired", description="Folder to write, relative to the working directory.")
    bundle: str | None = Field(None, description="The bundle; by default the one that ships.")
    log: str | None = Field(None, description="Log in which predictions are kept as well, as `--log` accepts it.")
    mode: Mode = Field(
        "act", description="Whether rules only observe, propose fields for a person to accept, or act themselves."
    )
    images: ImageFormat = Field(
        "ome-zarr", description="Whether the images become one OME-Zarr plate, or an OME-TIFF for each field."
    )
    labels: bool = Field(
        False,
        description="Whether to find the cells of each field after its decision, and write them beside its image as "
        "labels; needs the extra `cells`.",
    )
    microscope: Microscope
    objectives: tuple[Objective, ...] = Field(min_length=1)
    channels: Channels
    plate: Plate
    rules: tuple[Rule, ...] = ()
    limits: Limits | None = None
    budget: Budget = Budget()
    quality: Quality = Quality()
    timing: Timing = Timing()
    specimen: SpecimenPlan = SpecimenPlan()

    @classmethod
    def read(cls, name: str) -> Self:
        """Read a shipped plan by its name, or a TOML file by its path.

        Args:
            name: `simulated`, `demo`, or a path.

        Raises:
            LociscopeError: The plan does not exist, is not TOML, has a newer schema, or a key, value, objective,
                location or rule is wrong.
        """
        values = read_toml(name, SHIPPED, "plan")
        return cls.check(values, f"Plan '{name}'")

    @classmethod
    def check(cls, values: dict[str, Any], what: str) -> Self:
        """Build a plan from nested values; errors call it `what`.

        Raises:
            LociscopeError: The values have a newer schema, or a key, value, objective, location or rule is wrong.
        """
        check_schema(values.get("schema", SCHEMA), SCHEMA, what)
        try:
            plan = cls.model_validate(_to_tuples(values))
        except ValidationError as error:
            raise to_usage_error(error, what, cls, _EXAMPLE) from error
        try:
            _check_names(plan)
        except LociscopeError as error:
            raise UsageError(f"{what}: {error}", code=error.code) from error
        return plan

    def needs_person(self, before: str, after: str) -> bool:
        """Return whether a person must agree to the change from one objective to another, by their names."""
        if before == after or self.microscope.turns == "all":
            return False
        same = self.objective(before).immersion == self.objective(after).immersion
        return self.microscope.turns == "ask" or not same

    @property
    def may_ask(self) -> bool:
        """Whether a run of it may have to ask a person: for proposals, or before the objective changes."""
        names = [each.name for each in self.objectives]
        return self.mode == "propose" or any(self.needs_person(one, other) for one in names for other in names)

    def objective(self, name: str | None) -> Objective:
        """Return an objective by its name; None is that of the overview.

        Raises:
            UsageError: The plan does not list the objective.
        """
        known = {each.name: each for each in self.objectives}
        if name is None:
            return self.objectives[0]
        if name not in known:
            raise UsageError(f"The plan lists no objective {name!r}.{suggest(name, known)}", code=Code.UNKNOWN_NAME)
        return known[name]


def _check_names(plan: Plan) -> None:
    """Check what no single table can: names of other tables, of locations, and rules."""
    names = [each.name for each in plan.objectives]
    if len(set(names)) < len(names):
        raise UsageError(f"two objectives have the same name ({', '.join(names)}). Rename one.", code=Code.DUPLICATE)
    for number, rule in enumerate(plan.rules, 1):
        try:
            plan.objective(rule.objective)
            check_rule(rule, plan)
        except LociscopeError as error:
            raise UsageError(f"rule {number}: {error}", code=error.code) from error
    for well, locations in plan.specimen.antibodies.items():
        wrong = next((location for location in locations if location not in LABELS), None)
        if wrong is not None:
            raise UsageError(
                f"specimen.antibodies.{well}: there is no location {wrong!r}.{suggest(wrong, LABELS)}",
                code=Code.UNKNOWN_NAME,
            )


def _to_tuples(value: Any) -> Any:  # noqa: ANN401 - values of TOML
    """Return TOML's arrays as tuples, since a strict model does not accept a list for one."""
    if isinstance(value, dict):
        return {key: _to_tuples(each) for key, each in value.items()}
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value
