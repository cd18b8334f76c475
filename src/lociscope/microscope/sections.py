"""The tables of a plan, as TOML has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lociscope.channels import CHANNEL_NAMES
from lociscope.labels import find_class
from lociscope.microscope.rules import parse_rule

if TYPE_CHECKING:
    from lociscope.microscope.conditions import Condition

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

    turns: Literal["ask", "same-immersion", "all"] = Field(
        "same-immersion",
        description="Which changes of the objective happen without asking a person: none, those that keep the "
        "immersion, or all.",
    )


class Objective(Section):
    """`[[objectives]]`: the objectives that may be used; the first is for the overview."""

    name: str = Field(pattern=r"^[A-Za-z0-9.]{1,20}$", description="Its name in rules, such as `20x`.")
    label: str | None = Field(None, description="Its label in the turret; by default its name.")
    pixel_size: Positive | None = Field(
        None, description="Side of a pixel in µm; by default that of the configuration."
    )
    offset_um: Range = Field(
        (0.0, 0.0), description="Added to the stage position with this objective, so that it shows the same place, µm."
    )
    immersion: Literal["air", "water", "glycerol", "silicone", "oil"] = Field(
        "air", description="What is between it and the plate."
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
    """`[[rules]]`: what to do with fields that meet a condition: image again, or stop their well."""

    when: str = Field(description="A condition, such as `status = unsure or Centrosome >= 0.5`.")
    wells: tuple[str, ...] = Field((), description="Wells or blocks of them to which it applies; by default all.")
    found: int = Field(1, ge=1, le=1_000_000, description="It acts from this one on of the fields that meet `when`.")
    per: Literal["well", "plate"] = Field("well", description="What `found` counts over.")
    objective: str | None = Field(None, description="Objective to use; by default that of the overview.")
    zoom: Positive | None = Field(None, description="Instead of `objective`: how many times finer than the overview.")
    sites: int = Field(1, ge=1, le=100, description="Fields to image, side by side around the centre of the field.")
    z_stack: tuple[Positive, Positive] | None = Field(
        None, description="Height of a stack of planes around the focus, and their distance, µm."
    )
    times: int = Field(1, ge=1, le=10_000, description="Time points of a series.")
    every_s: Positive | None = Field(None, description="Time between the starts of two time points, s.")
    most: int | None = Field(
        None, ge=1, le=1_000_000, description="Most fields that this rule may image; each plane and time point counts."
    )
    most_per_well: int | None = Field(None, ge=1, le=1_000_000, description="The same for each well.")
    enough: int | None = Field(
        None, ge=1, le=1_000_000, description="It ends once so many fields that it requested meet `when` themselves."
    )
    stop: Literal["well", "plate"] | None = Field(
        None, description="Instead of imaging: skip the planned fields that are left in the well, or on the plate."
    )
    priority: int = Field(5, ge=1, le=9, description="Among requested fields, those of the highest come first.")
    order: Literal["now", "last"] = Field(
        "last", description="At once, or after the planned fields, the most urgent first."
    )

    @property
    def condition(self) -> Condition:
        """Return the parsed condition of `when`."""
        return parse_rule(self.when)

    @property
    def planes(self) -> tuple[float, ...]:
        """Return the offsets of the planes from the focus, µm, from below."""
        if self.z_stack is None:
            return (0.0,)
        height, step = self.z_stack
        count = int(height / step + 1e-9)
        return tuple((number - count / 2) * step for number in range(count + 1))


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
    light_s: Positive | None = Field(
        None, description="Most light for one planned field and those requested around it, s of exposure."
    )


class Quality(Section):
    """`[quality]`: what to do when a device or an image fails."""

    retries: int = Field(0, ge=0, le=10, description="How often an image is tried again after a device failed.")
    skip: int = Field(
        0,
        ge=0,
        le=1000,
        description="Most fields in a row that are left out and listed because a device fails; one more ends the run.",
    )
    autofocus_um: Cost = Field(
        0.0,
        description="How far up and down to look for the focus of an unsharp field, to image it again, µm; 0: not.",
    )
    shorten: int = Field(
        0,
        ge=0,
        le=10,
        description="How often a field with a saturated channel is imaged again, each time with half the exposure of "
        "that channel.",
    )
    shortest_ms: Positive = Field(1.0, description="Shortest exposure that this may choose, ms.")
    drift_um: Cost = Field(
        0.0,
        description="Most that the stage's drift is corrected by, µm: fields that are imaged again are registered on "
        "their first image; 0: not. Needs the extra `cells`.",
    )
    dark_fields: int = Field(
        0,
        ge=0,
        le=1000,
        description="Fields in a row in which a reference channel may be empty or faint before the run ends; 0: any.",
    )


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
    drift: Range = Field((0.0, 0.0), description="How far the plate creeps along x and y, µm per minute.")
    pace: float = Field(0.0, ge=0, le=100, description="Seconds to wait for each simulated second; 0 does not wait.")

    def target(self, well: str) -> tuple[int, ...] | None:
        """Return the classes that the plan gives for a well, or None."""
        names = self.antibodies.get(well)
        return None if names is None else tuple(sorted({find_class(name) or 0 for name in names}))
