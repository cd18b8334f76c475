"""Stages of a training (gradual fine-tuning): which layers are trained in each, and with which learning rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.artifacts.recipe import Stage
from lociscope.errors import Code, UsageError, suggest

if TYPE_CHECKING:
    import keras

    from lociscope.artifacts.recipe import Recipe, Train

WHOLE, HEAD = "all", "head"
"""Values of `stages.unfreeze_from` that are not the name of a layer."""
_HEAD_LAYERS = ("generalised_mean", "dropout")
"""Names of the first layers of `lociscope.models.heads.location_head`. The head of an own network without them is its
last layer with weights."""
_MAX_NAMES = 24
"""Most names that an error message lists."""
_FINAL_SHARE = 0.01
"""Share of the peak learning rate at which a cosine ends."""


def get_stages(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the recipe's stages; a recipe without stages has one, from `[train]`."""
    only = {"unfreeze_from": WHOLE, "epochs": recipe.train.epochs, "learning_rate": recipe.train.learning_rate}
    return recipe.stages or (Stage.model_validate(only),)


def max_epochs(recipe: Recipe) -> int:
    """Return the number of epochs of a training without early stopping."""
    return sum(stage.epochs for stage in get_stages(recipe))


def check_stages(network: keras.Model, recipe: Recipe) -> None:
    """Raise an error for a stage that names no layer of the network.

    Raises:
        UsageError: A stage names no layer; the message suggests the nearest names.
    """
    layers = flatten_layers(network)
    last = next((number for number, layer in enumerate(layers) if layer.name == "logits"), len(layers))
    layers = layers[: last + 1]  # the layers after it are not trained
    for number, stage in enumerate(get_stages(recipe), 1):
        if _find_first_trained(layers, stage.unfreeze_from) is None:
            known = [HEAD, WHOLE, *(layer.name for layer in layers if layer.weights)]
            remedy = suggest(stage.unfreeze_from, known)
            if len(known) > _MAX_NAMES and "Did you mean" not in remedy:
                remedy = f" Among its layers: {', '.join(known[2 :: len(known) // 8])}."
            raise UsageError(
                f"Stage {number} begins from {stage.unfreeze_from!r}, but no layer of {recipe.network.name!r} has a "
                f"name like that.{remedy}",
                code=Code.INVALID_VALUE,
            )


def freeze(model: keras.Model, first: str) -> None:
    """Train the layers from the first one whose name begins with `first`, and freeze those before it.

    Frozen batch normalisation uses its stored statistics, as Keras does wherever `trainable` is false.
    """
    layers = flatten_layers(model)
    start = _find_first_trained(layers, first) or 0
    for number, layer in enumerate(layers):
        layer.trainable = number >= start


def compile_stage(model: keras.Model, stage: Stage, settings: Train, steps: int) -> None:
    """Freeze the stage's frozen layers, and compile the model with a new optimiser and the stage's schedule.

    Args:
        model: The model, whose output is the logits.
        stage: The stage.
        settings: The recipe's `[train]`.
        steps: Steps per epoch.
    """
    import keras

    from lociscope.training.losses import get_loss

    freeze(model, stage.unfreeze_from)
    total = stage.epochs * steps
    warmup = int(settings.warmup * total)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else stage.learning_rate,
        max(total - warmup, 1),
        alpha=_FINAL_SHARE if settings.schedule == "cosine" else 1.0,
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
    """Return the layers in the order of the data, with those of a nested network in its position."""
    found: list[keras.layers.Layer] = []
    for layer in model.layers:
        found += flatten_layers(layer) if hasattr(layer, "layers") else [layer]
    return found


def _find_first_trained(layers: list[keras.layers.Layer], first: str) -> int | None:
    """Return the index of the first layer that is trained; None if no layer has such a name."""
    if first == WHOLE:
        return 0
    if first == HEAD:
        weighted = [number for number, layer in enumerate(layers) if layer.weights]
        last = weighted[-1] if weighted else None
        return next((number for number, layer in enumerate(layers) if layer.name in _HEAD_LAYERS), last)
    return next((number for number, layer in enumerate(layers) if layer.name.startswith(first)), None)
