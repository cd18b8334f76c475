"""The Plan of a microscope as a TOML file: what to image, when to image a field again, and how far to move."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.labels import LABELS, find_class
from lociscope.microscope.rules import Condition, parse_rule
from lociscope.storage.schema import check_schema
from lociscope.storage.toml_files import read_toml, to_usage_error

SCHEMA = 1
SHIPPED = Path(__file__).parent / "plans"
_EXAMPLE = "Write it: `lociscope microscope plan` prints an example."
SIMULATED, DEMO = "simulated", "demo"

Range = tuple[float, float]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Cost = Annotated[float, Field(ge=0, le=1e6)]


class Section(BaseModel):
    """A table of the plan: frozen, strict about types and unknown keys, with finite numbers only (TOML has `inf`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Microscope(Section):
    """`[microscope]`: which microscope, and the names of its parts in its configuration."""

    config: str = Field(description="A Micro-Manager configuration (.cfg), `demo`, or `simulated`.")
    frame: tuple[Annotated[int, Field(ge=16, le=32768)], Annotated[int, Field(ge=16, le=32768)]] = Field(
        description="Width and height of the camera's image in px; a camera with another size is refused."
    )
    turret: str = Field("Objective", description="The device that changes the objective.")
    timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Most seconds that one image may take, besides its exposure."
    )


class Objective(Section):
    """`[[objectives]]`: the objectives that may be used; the first is for the overview."""

    name: str = Field(pattern=r"^[A-Za-z0-9.]{1,20}$", description="Its name in rules, such as `20x`.")
    label: str | None = Field(None, description="Its label in the turret; by default its name.")
    pixel_size: Positive | None = Field(
        None, description="Side of a pixel in µm; by default that of the configuration."
    )
    focus_um: float = Field(0.0, ge=-1e4, le=1e4, description="Added to the focus with this objective, µm.")


class Exposure(Section):
    """`[channels.red]`, …: one channel."""

    preset: str = Field(description="Its preset in the group of channels.")
    exposure_ms: float = Field(gt=0, le=600_000, description="Exposure in ms.")


class Channels(Section):
    """`[channels]`: the presets of the four channels."""

    group: str = Field("Channel", description="The group of presets in the configuration.")
    red: Exposure = Field(description="Microtubules.")
    green: Exposure = Field(description="The protein.")
    blue: Exposure = Field(description="The nucleus.")
    yellow: Exposure = Field(description="The endoplasmic reticulum.")

    def of(self, index: int) -> Exposure:
        """Return the channel with an index of RGBY."""
        exposure: Exposure = getattr(self, CHANNEL_NAMES[index])
        return exposure


class Plate(Section):
    """`[plate]`: the wells, and the fields of each."""

    name: str = Field("96-well", description="A plate of useq-schema, such as `96-well`.")
    a1: Range = Field(description="Stage position of the centre of A1, µm.")
    rotation: float = Field(0.0, ge=-180, le=180, description="Rotation of the plate, degrees anticlockwise.")
    wells: tuple[str, ...] = Field(min_length=1, description="Wells, such as `A1`, or blocks of them, such as `A1:C4`.")
    sites: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]] = Field(
        (1, 1), description="Rows and columns of fields around the centre of each well."
    )
    gap: float = Field(0.0, ge=0, le=1e5, description="Distance between neighbouring fields, µm.")
    z: float | None = Field(
        None, description="Focus in µm; by default where it is when the run begins, or where a focus lock keeps it."
    )


class Rule(Section):
    """`[[rules]]`: when to image a field again, and how."""

    when: str = Field(description="A condition, such as `status = unsure or Centrosome >= 0.5`.")
    objective: str | None = Field(None, description="Objective to use; by default that of the overview.")
    zoom: Positive | None = Field(None, description="Instead of `objective`: how many times finer than the overview.")
    sites: int = Field(1, ge=1, le=100, description="Fields to image, side by side around the centre of the field.")
    most: int = Field(ge=1, le=1_000_000, description="Most fields that this rule may image.")
    order: Literal["now", "last"] = Field(
        "last", description="At once, or after the planned fields, the most urgent first."
    )

    @property
    def condition(self) -> Condition:
        """Return the parsed condition of `when`."""
        return parse_rule(self.when)


class Limits(Section):
    """`[limits]`: how far the stage may move; without this table nothing moves."""

    x: Range = Field(description="Least and greatest x, µm.")
    y: Range = Field(description="Least and greatest y, µm.")
    z: Range = Field(description="Least and greatest focus, µm.")
    safe_z: float | None = Field(
        None,
        description="Focus to go to before the objective changes or the stage travels over 1 mm, µm; it returns.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for axis in "xyz":
            low, high = getattr(self, axis)
            if not low < high:
                raise ValueError(f"{axis} is {low:g} to {high:g}; write the smaller number first")
        if self.safe_z is not None and not self.z[0] <= self.safe_z <= self.z[1]:
            raise ValueError(f"safe_z {self.safe_z:g} is outside z {self.z[0]:g} to {self.z[1]:g}")
        return self


class Budget(Section):
    """`[budget]`: when to stop, counting planned and requested fields."""

    fields: int = Field(100_000, ge=1, le=10_000_000, description="Most fields.")
    minutes: float = Field(1440.0, gt=0, le=1e6, description="No field starts that would end after this time.")


class Timing(Section):
    """`[timing]`: duration of each step, for the estimate, the budget, and the clock of the simulated microscope."""

    stage_um_per_s: Positive = Field(5000.0, description="Speed of the stage, µm/s.")
    settle_s: Cost = Field(0.3, description="Wait after a move of the stage, s.")
    channel_s: Cost = Field(0.1, description="Change of the channel, s.")
    objective_s: Cost = Field(3.0, description="Change of the objective, s.")
    readout_s: Cost = Field(0.05, description="Reading one image, s.")


class SpecimenPlan(Section):
    """`[specimen]`: the cells under the simulated microscope; other microscopes ignore this table."""

    seed: int = Field(0, ge=0, description="Seed of the plate; the same seed shows the same cells.")
    balance: float = Field(0.5, ge=0, le=1, description="How far rare locations are oversampled among the wells.")
    antibodies: dict[str, tuple[str, ...]] = Field({}, description="Locations by well, instead of random ones.")
    cell_line: str | None = Field(None, description="Cell line of every well; by default random for each well.")
    pace: float = Field(0.0, ge=0, le=100, description="Seconds to wait for each simulated second; 0 does not wait.")

    def target(self, well: str) -> tuple[int, ...] | None:
        """Return the classes that the plan gives for a well, or None."""
        names = self.antibodies.get(well)
        return None if names is None else tuple(sorted({find_class(name) or 0 for name in names}))


class Plan(Section):
    """A whole plan."""

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    output: str = Field("acquired", description="Folder to write, relative to the working directory.")
    bundle: str | None = Field(None, description="The bundle; by default the one that ships.")
    log: str | None = Field(None, description="Log in which predictions are kept as well, as `--log` accepts it.")
    microscope: Microscope
    objectives: tuple[Objective, ...] = Field(min_length=1)
    channels: Channels
    plate: Plate
    rules: tuple[Rule, ...] = ()
    limits: Limits | None = None
    budget: Budget = Budget()
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
            parse_rule(rule.when)
            plan.objective(rule.objective)
        except LociscopeError as error:
            raise UsageError(f"rule {number}: {error}", code=error.code) from error
        if rule.objective and rule.zoom:
            raise UsageError(f"rule {number} has both objective and zoom. Keep one of them.", code=Code.INVALID_VALUE)
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
