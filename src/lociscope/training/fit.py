"""One fit for every network: Recipe and packed fields in, Run out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from lociscope.models import build_network
from lociscope.models.backend import load_keras
from lociscope.training.record import claim, environment_of, keep_validation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras

    from lociscope.data.fresh import Fresh
    from lociscope.data.pack import Packed
    from lociscope.recipe import Recipe, Train
    from lociscope.run import Run

RECORDED = ("lociscope", "numpy", "keras", "tensorflow", "onnxruntime")
"""Packages whose versions a network's Run keeps."""


def start_tensorflow(seed: int) -> None:
    """Loads TensorFlow, seeds everything, and asks for results that repeat to the last bit.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    load_keras()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit(
    recipe: "Recipe",
    train: "Packed | Fresh",
    valid: "Packed",
    source: str,
    folder: "Path",
    progress: "Callable[[int, str], None] | None" = None,
    on_epoch: "Callable[[dict[str, float]], None] | None" = None,
) -> "Run":
    """Trains a network, or goes on with a training that was cut off.

    The same recipe, seed and fields give the same weights, whether or not the training was interrupted.

    Args:
        recipe: What to train and how.
        train: Fields to learn from.
        valid: Fields to choose the best epoch and the threshold on.
        source: Where the fields came from, for the record.
        folder: The Run to make; an unfinished one of the same recipe and fields is continued.
        progress: Called with (step, text) after each step.
        on_epoch: Called with each row of the history after it is kept; what it raises leaves the Run unfinished.

    Returns:
        The finished Run.

    Raises:
        LociscopeError: The folder holds a Run of another recipe or other fields, or the loss diverges.
    """
    start_tensorflow(recipe.train.seed)
    from lociscope.training.callbacks import Keeper

    network = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
    steps = steps_per_epoch(train, recipe)
    model = _compiled(_trained_form(network, recipe), recipe.train, steps)
    parameters = network.count_params()
    run = claim(folder, recipe, environment_of(recipe, train, valid, source, parameters, RECORDED))
    keeper = Keeper(run, steps, recipe.train.checkpoint_steps, progress, on_epoch)
    keeper.resume(model)
    _train(model, keeper, recipe, train, valid, steps)
    network.set_weights(keeper.best or model.get_weights())
    network.save(run.best_model)
    _predict_valid(run, network, valid, recipe)
    run.mark_done()
    return run


def _trained_form(network: "keras.Model", recipe: "Recipe") -> "keras.Model":
    """The network that takes the steps: itself, or its like that computes in bfloat16 and keeps float32 weights."""
    if recipe.train.precision == "float32":
        return network
    import keras

    keras.config.set_dtype_policy(recipe.train.precision)
    try:
        like = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
    finally:
        keras.config.set_dtype_policy("float32")
    like.set_weights(network.get_weights())
    return like


def _train(
    model: "keras.Model",
    keeper: Any,  # noqa: ANN401
    recipe: "Recipe",
    train: "Packed | Fresh",
    valid: "Packed",
    steps: int,
) -> None:
    """Runs what is left: the rest of an epoch that was cut off, then whole epochs."""
    import keras

    board = keras.callbacks.TensorBoard(keeper.run.folder / "tensorboard", write_graph=False)
    validation = evaluation_batches(valid, recipe.train.batch)
    total = recipe.train.epochs * steps
    while keeper.state.step < total:
        epoch, done = divmod(keeper.state.step, steps)
        model.fit(
            training_batches(train, recipe, keeper.state.step),
            steps_per_epoch=steps - done,
            initial_epoch=epoch,
            epochs=epoch + 1 if done else recipe.train.epochs,
            validation_data=validation,
            callbacks=[keeper, board],
            shuffle=False,  # the stream has its own order
            verbose=0,
        )


def _compiled(network: "keras.Model", settings: "Train", steps: int) -> "keras.Model":
    """A model that ends at the logits, with loss and optimiser."""
    import keras

    from lociscope.training.losses import loss_of

    total = settings.epochs * steps
    warmup = int(settings.warmup * total)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else settings.learning_rate,
        max(total - warmup, 1),
        alpha=0.01 if settings.schedule == "cosine" else 1.0,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if settings.optimizer == "adam":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=settings.weight_decay or None)
    model = keras.Model(network.input, network.get_layer("logits").output, name=f"{network.name}_logits")
    model.compile(optimizer, loss_of(settings.loss))
    optimizer.build(model.trainable_variables)
    return model


def _predict_valid(run: "Run", network: "keras.Model", valid: "Packed", recipe: "Recipe") -> None:
    """Stores what the network says of the fields that it was not trained on, and their truth."""
    outputs = [network(x, training=False) for x, _ in evaluation_batches(valid, recipe.train.batch)]
    probability = np.concatenate([np.asarray(output["probabilities"]) for output in outputs])
    embedding = np.concatenate([np.asarray(output["embedding"]) for output in outputs])
    keep_validation(run, valid, probability, embedding)
