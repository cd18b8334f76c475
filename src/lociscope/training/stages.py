"""The stages of a training: which layers learn in each, and with which learning rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.artifacts.recipe import Stage
from lociscope.errors import Code, UsageError, suggest

if TYPE_CHECKING:
    import keras

    from lociscope.artifacts.recipe import Recipe, Train

WHOLE, HEAD = "all", "head"
"""The words of `stages.unfreeze_from` that name no layer."""
_HEAD_BEGINS = ("generalised_mean", "dropout")
"""Names of the first layers of `lociscope.models.heads.places_head`."""
_MANY = 24
"""Names that no sentence lists."""
_LOWEST = 0.01
"""Share of the peak learning rate at which a cosine ends."""


def get_stages(recipe: Recipe) -> tuple[Stage, ...]:
    """The recipe's stages; where it names none, `[train]` is the only one."""
    only = {"unfreeze_from": WHOLE, "epochs": recipe.train.epochs, "learning_rate": recipe.train.learning_rate}
    return recipe.stages or (Stage.model_validate(only),)


def max_epochs(recipe: Recipe) -> int:
    """Epochs of a training that patience does not shorten."""
    return sum(stage.epochs for stage in get_stages(recipe))


def check_stages(network: keras.Model, recipe: Recipe) -> None:
    """Refuses stages that name no layer of the network.

    Raises:
        UsageError: A stage does; the nearest names are told.
    """
    layers = flatten_layers(network)
    last = next((number for number, layer in enumerate(layers) if layer.name == "logits"), len(layers))
    layers = layers[: last + 1]  # what is trained ends there
    for number, stage in enumerate(get_stages(recipe), 1):
        if _first_learning(layers, stage.unfreeze_from) is None:
            known = [HEAD, WHOLE, *(layer.name for layer in layers if layer.weights)]
            remedy = suggest(stage.unfreeze_from, known)
            if len(known) > _MANY and "Did you mean" not in remedy:
                remedy = f" Among its layers: {', '.join(known[2 :: len(known) // 8])}."
            raise UsageError(
                f"Stage {number} begins from {stage.unfreeze_from!r}, which no layer of {recipe.network.name!r} is "
                f"named like.{remedy}",
                code=Code.INVALID_VALUE,
            )


def freeze(model: keras.Model, first: str) -> None:
    """Lets the layers learn from the first one named like `first` on, and keeps those before as they are.

    Frozen batch normalisation uses the statistics that it has, as Keras does wherever `trainable` is false.
    """
    layers = flatten_layers(model)
    start = _first_learning(layers, first) or 0
    for number, layer in enumerate(layers):
        layer.trainable = number >= start


def compile_stage(model: keras.Model, stage: Stage, settings: Train, steps: int) -> None:
    """Freezes what the stage freezes, and gives the model a new optimiser with the stage's schedule.

    Args:
        model: Ends at the logits.
        stage: The stage.
        settings: The recipe's `[train]`.
        steps: Steps of an epoch.
    """
    import keras

    from lociscope.training.losses import get_loss

    freeze(model, stage.unfreeze_from)
    total = stage.epochs * steps
    warmup = int(settings.warmup * total)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else stage.learning_rate,
        max(total - warmup, 1),
        alpha=_LOWEST if settings.schedule == "cosine" else 1.0,
        warmup_target=stage.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if settings.optimizer == "adam":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=settings.weight_decay or None)
    model.compile(optimizer, get_loss(settings.loss))
    optimizer.build(model.trainable_variables)


def flatten_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers in the order of the data, those of a network within the network in its place."""
    found: list[keras.layers.Layer] = []
    for layer in model.layers:
        found += flatten_layers(layer) if hasattr(layer, "layers") else [layer]
    return found


def _first_learning(layers: list[keras.layers.Layer], first: str) -> int | None:
    """The number of the first layer that learns; None where there is none of that name."""
    if first == WHOLE:
        return 0
    if first == HEAD:
        return next(number for number, layer in enumerate(layers) if layer.name in _HEAD_BEGINS)
    return next((number for number, layer in enumerate(layers) if layer.name.startswith(first)), None)
