"""The Recipe: the hyperparameters of a training, a TOML file with a default for every key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lociscope.artifacts.card import InputSpec
from lociscope.artifacts.recipe_changes import apply_change
from lociscope.artifacts.recipe_upgrade import upgrade_recipe
from lociscope.errors import Code, MissingExtraError, UsageError
from lociscope.storage.schema import check_schema
from lociscope.storage.toml_files import read_toml, to_usage_error

if TYPE_CHECKING:
    from collections.abc import Collection

SCHEMA = 2
SHIPPED = Path(__file__).parents[1] / "recipes"
PER_STAGE = ("epochs", "learning_rate")
"""Keys of `[train]` that each stage replaces by its own."""
TUNE = "tune"
"""The table of a recipe file with the search space of `lociscope tune`; it is not part of the recipe."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Network(_Section):
    """`[network]`: which network, and the options that it takes (see `lociscope.models`)."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: str = Field("network", description="`network`, or `features`: compartment features and no network.")
    name: str = Field(
        "lenet5",
        description="A network of `lociscope.models`, an entry point of `lociscope.networks`, or a function in a file: "
        "`my_net.py:build`, relative to the recipe. For another kind its own name.",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete_kind(cls, values: Any) -> Any:  # noqa: ANN401 - pydantic passes what the file holds
        """Let `kind = "features"` imply the name, and the name `features` the kind, as recipes of schema 1 have it."""
        if isinstance(values, dict):
            if values.get("kind", "network") != "network":
                return {"name": values["kind"], **values}
            if values.get("name") == "features":
                return {"kind": "features", **values}
        return values

    @property
    def options(self) -> dict[str, Any]:
        """The network's own keys; the network itself checks them."""
        return dict(self.model_extra or {})


class Data(_Section):
    """`[data]`: the network's input, and the simulated fields where no Catalog is given."""

    size: int = Field(128, ge=16, le=1024, description="Side of the network's input in px.")
    low: float = Field(0.5, ge=0, le=50, description="Percentile of a channel that becomes 0.")
    high: float = Field(99.9, ge=50, le=100, description="Percentile of a channel that becomes 1.")
    fields: int = Field(4000, ge=2, le=10_000_000, description="Number of simulated fields where no Catalog is given.")
    simulated_size: int = Field(
        256, ge=64, le=2048, description="Side of the simulated fields in px, before scaling to `size`."
    )
    seed: int = Field(0, ge=0, description="Seed of the simulated fields and of the split.")
    balance: float = Field(
        0.5, ge=0, le=1, description="Class balance of simulated fields: 0 the frequencies of HPA v18, 1 nearly even."
    )
    valid: float = Field(0.1, gt=0, lt=1, description="Share of fields held out where the Catalog has no split.")
    pack: bool = Field(True, description="Decode each field once, into a store; false: as it is seen, keeping 1 GiB.")
    online: bool = Field(False, description="Online simulation: simulate new fields in every epoch, during training.")

    @property
    def input(self) -> InputSpec:
        """The network's input, as the card of a bundle states it."""
        return InputSpec(height=self.size, width=self.size, low=self.low, high=self.high)


class Augment(_Section):
    """`[augment]`: data augmentation, random changes of the training fields; 0 or false turns one off."""

    flip: bool = Field(True, description="Mirror and turn by quarters.")
    shift: float = Field(0.1, ge=0, le=0.5, description="Largest shift, as a share of the side; the edge mirrors.")
    rotate: float = Field(0.0, ge=0, le=180, description="Largest turn, in degrees.")
    scale: float = Field(0.0, ge=0, le=1, description="Largest change of the pixel size: 0.2 is 1/1.2 to 1.2 times.")
    shear: float = Field(0.0, ge=0, le=0.5, description="Largest slant: columns moved by a row.")
    crop: float = Field(0.0, ge=0, le=0.8, description="Largest part of the side cut away; the rest fills the input.")
    elastic: float = Field(0.0, ge=0, le=0.1, description="Largest bend, as a share of the side.")
    gain: float = Field(0.2, ge=0, le=1, description="Largest change of a channel's brightness, as a share.")
    offset: float = Field(0.0, ge=0, le=0.5, description="Largest change of a channel's background, of 1.")
    gamma: float = Field(0.0, ge=0, le=1, description="Largest bend of a channel's response, x + g x(1 - x).")
    blur: float = Field(0.0, ge=0, le=1, description="Largest blend with the mean of 3 x 3 pixels.")
    noise: float = Field(0.02, ge=0, le=0.5, description="Largest standard deviation of added noise, of 1.")
    hot_pixels: int = Field(0, ge=0, le=256, description="Most single pixels of a channel that are too bright or dark.")
    channel_dropout: float = Field(0.1, ge=0, le=1, description="Chance that a field loses its ER channel.")
    red_dropout: float = Field(0.0, ge=0, le=1, description="Chance that it loses its microtubule channel.")
    blue_dropout: float = Field(0.0, ge=0, le=1, description="Chance that it loses its nucleus channel.")
    mixup: float = Field(0.0, ge=0, le=1, description="Chance that a field is blended with another, labels too.")
    cutmix: float = Field(0.0, ge=0, le=1, description="Chance that a window of another is pasted in, labels too.")

    @model_validator(mode="after")
    def _one_mixing_at_a_time(self) -> Self:
        if self.mixup + self.cutmix > 1:
            raise ValueError(f"augment.mixup + augment.cutmix must not exceed 1, received {self.mixup + self.cutmix}")
        return self


class Train(_Section):
    """`[train]`: optimizer, schedule, loss and early stopping."""

    epochs: int = Field(20, ge=1, le=10_000, description="Passes over the training fields.")
    batch: int = Field(32, ge=1, le=4096, description="Fields in one step.")
    repeat_threshold: float = Field(
        0.0, ge=0, le=1, description="A class with a share below this is repeated sqrt(threshold / share) times."
    )
    most_repeats: float = Field(4.0, ge=1, le=100, description="Most times that a field is seen in an epoch.")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="AdamW, or SGD with momentum 0.9.")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="After the warm-up the rate falls to 1 % along a cosine, or is constant."
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises from 0.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="AdamW's decoupled decay.")
    loss: Literal["bce", "focal", "asymmetric", "soft_f1"] = Field(
        "bce", description="Binary cross-entropy, focal (gamma 2), asymmetric, or half soft macro-F1."
    )
    ema: float = Field(0.0, ge=0, lt=1, description="Decay of the weights' moving average, which is saved; 0: off.")
    patience: int = Field(
        0, ge=0, le=10_000, description="Early stopping: epochs without a lower val_loss before a stage ends; 0: off."
    )
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        "float32", description="Number format of the training steps; bfloat16 is faster on processors that support it."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of initial weights, field order and augmentation.")
    checkpoint_steps: int = Field(200, ge=1, description="Steps between two checkpoints.")
    devices: int = Field(1, ge=1, le=64, description="GPUs (or virtual CPUs) that share each batch.")


class Stage(_Section):
    """`[[stages]]`: a part of the training in which the first layers are frozen, for fine-tuning."""

    unfreeze_from: str = Field(
        min_length=1, description="`head`, `all`, or the first letters of the name of the first layer to train."
    )
    epochs: int = Field(ge=1, le=10_000, description="Passes over the training fields.")
    learning_rate: float = Field(gt=0, le=10, description="Peak learning rate of the stage.")


class Decide(_Section):
    """`[decide]`: how probabilities become locations."""

    policy: Literal["constant"] = Field(
        "constant",
        description="One threshold for all classes, the one whose errors cost least on the validation fields.",
    )


class Recipe(_Section):
    """A complete recipe; every key has a default."""

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    note: str = Field("", description="What was changed, and why; shown in logbooks, and of no effect.")
    network: Network = Network()
    data: Data = Data()
    augment: Augment = Augment()
    train: Train = Train()
    decide: Decide = Decide()
    stages: tuple[Stage, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        if self.data.low >= self.data.high:
            raise ValueError(f"data.low ({self.data.low}) must be below data.high ({self.data.high})")
        return self

    @classmethod
    def read(cls, name: str, changes: dict[str, Any] | None = None) -> Self:
        """Read a shipped recipe by its name, or a TOML file by its path.

        Args:
            name: `lenet5`, or a path.
            changes: Values by dotted key that replace the file's, such as `{"train.epochs": 3}`; stages are counted
                from 1, as in `{"stages.2.epochs": 3}`.

        Returns:
            The recipe with every default filled in.

        Raises:
            LociscopeError: The recipe does not exist, is not TOML, is of a newer schema, a key or value is wrong, or
                `[train]` has a key that the stages decide.
        """
        values = upgrade_recipe(read_toml(name, SHIPPED, "recipe"))
        values.pop(TUNE, None)
        _resolve_file(values, Path(name).parent if name.endswith(".toml") else Path())
        for key, value in (changes or {}).items():
            apply_change(values, key, value)
        _resolve_file(values, Path())
        recipe = cls.from_dict(values, f"Recipe '{name}'")
        _check_stages_alone(values, (changes or {}).keys(), f"Recipe '{name}'")
        return recipe

    @classmethod
    def read_stored(cls, path: Path) -> Self:
        """Read the recipe of a Run, which may hold keys without effect.

        Raises:
            LociscopeError: As `read`.
        """
        values = read_toml(str(path), SHIPPED, "recipe")
        values.pop(TUNE, None)
        values.get("data", {}).pop("floor", None)  # which recipes had with preprocessing 1
        return cls.from_dict(values, f"Recipe '{path}'")

    @classmethod
    def from_dict(cls, values: dict[str, Any], what: str) -> Self:
        """Make a recipe of nested values; error messages call it `what`.

        Raises:
            LociscopeError: The values are of a newer schema, or a key or value is wrong.
        """
        check_schema(values.get("schema", SCHEMA), SCHEMA, what)
        try:
            return cls.model_validate(upgrade_recipe(values))
        except ValidationError as error:
            raise to_usage_error(error, what, cls, "Write it into the recipe.") from error

    def same_training(self, other: Recipe) -> bool:
        """Return whether another recipe equals this one but for the note."""
        return self.model_copy(update={"note": ""}) == other.model_copy(update={"note": ""})

    def write(self, path: Path) -> None:
        """Write the recipe with every key, as TOML that `read` accepts.

        Raises:
            MissingExtraError: The library that writes TOML is not installed.
        """
        try:
            import tomli_w
        except ImportError:
            raise MissingExtraError("Writing a recipe", "train") from None
        path.write_text(tomli_w.dumps(self.model_dump(by_alias=True)), encoding="utf-8")


def _resolve_file(values: dict[str, Any], folder: Path) -> None:
    """Make the path of a network in a file absolute, `my_net.py:build`, so that a Run names the same file anywhere."""
    network = values.get("network")
    name = network.get("name") if isinstance(network, dict) else None
    if isinstance(name, str) and ".py:" in name:
        path, _, function = name.rpartition(":")
        values["network"] = {**values["network"], "name": f"{(folder / path).resolve()}:{function}"}


def _check_stages_alone(values: dict[str, Any], changes: Collection[str], what: str) -> None:
    """Raise a UsageError where `[train]` has a key that the stages replace, and which would be ignored."""
    stages, train = values.get("stages"), values.get("train", {})
    complete = Train.model_fields.keys() <= train.keys()  # the recipe of a Run holds unused keys too
    for key in PER_STAGE:
        written = key in train and not (complete and train[key] == Train.model_fields[key].default)
        if stages and (written or f"train.{key}" in changes):
            raise UsageError(
                f"{what} sets train.{key}, which has no effect beside [[stages]]: each stage has its own {key}. "
                f"Set stages.1.{key} and so on, or remove the stages with `settings='stages=[]'`.",
                code=Code.INVALID_VALUE,
            )
