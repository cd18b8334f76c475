"""One fit for every network: Recipe and packed fields in, Run out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.data.pipeline.dataset import evaluation_batches, reraise_read_errors, steps_per_epoch, training_batches
from lociscope.decide.locations import find_constant_threshold
from lociscope.decide.logistic import sigmoid
from lociscope.decide.metrics import macro_f1
from lociscope.errors import Code, LociscopeError
from lociscope.models import build_network
from lociscope.models.backend import load_keras
from lociscope.training.record import describe_environment, open_run, write_validation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras

    from lociscope.artifacts.provenance import Provenance
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.data.cache.fields import PackedFields
    from lociscope.data.pipeline.online import OnlineSimulation

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

    tf.get_logger().setLevel("ERROR")  # each stage and each Run has its own graph, and TensorFlow warns of the many
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@reraise_read_errors()
def fit(
    recipe: Recipe,
    train: PackedFields | OnlineSimulation,
    valid: PackedFields,
    source: Provenance,
    folder: Path,
    progress: Callable[[int, str], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Run:
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
        LociscopeError: The folder holds a Run of another recipe or other fields, a field cannot be read, the loss
            diverges, memory does not suffice, or there are not as many devices as the recipe wants.
    """
    load_keras()
    import keras

    keras.backend.clear_session()  # what trainings before left in this process
    start_tensorflow(recipe.train.seed)
    from lociscope.training.callbacks import DivergenceError, RunCallback
    from lociscope.training.devices import explain_memory_errors, make_strategy, synchronise_batch_norm
    from lociscope.training.stages import check_stages, freeze

    strategy = make_strategy(recipe)
    with strategy.scope(), explain_memory_errors(recipe):
        network = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
        check_stages(network, recipe)
        trained = _trained_form(network, recipe)
        model = keras.Model(trained.input, trained.get_layer("logits").output, name=f"{network.name}_logits")
        synchronise_batch_norm(model, recipe.train.devices > 1)
        environment = describe_environment(recipe, train, valid, source, network.count_params(), RECORDED)
        run, steps = open_run(folder, recipe, environment), steps_per_epoch(train, recipe)
        batch = min(recipe.train.batch, len(train))
        validation = evaluation_batches(valid, recipe.train.batch)
        callback = RunCallback(
            run, recipe, model, steps, batch, partial(_macro_f1, validation, valid.y), progress, on_epoch
        )
        try:
            _train(model, callback, recipe, train, valid, validation)
        except DivergenceError as error:
            raise LociscopeError(f"{error} {_rescue(run, network, callback)}", code=Code.INVALID_VALUE) from error
    synchronise_batch_norm(model, False)
    network.set_weights(callback.best or model.get_weights())
    freeze(network, "all")
    network.save(run.best_model)
    _predict_valid(run, network, valid, recipe)
    run.mark_done()
    return run


def _trained_form(network: keras.Model, recipe: Recipe) -> keras.Model:
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
    model: keras.Model,
    callback: Any,  # noqa: ANN401 - a RunCallback, whose module loads TensorFlow
    recipe: Recipe,
    train: PackedFields | OnlineSimulation,
    valid: PackedFields,
    validation: Any,  # noqa: ANN401 - a tf.data.Dataset
) -> None:
    """Runs what is left: the rest of an epoch that was cut off, then whole epochs, stage after stage."""
    from lociscope.training.stages import compile_stage
    from lociscope.training.tensorboard import tensorboard_callbacks

    def begin() -> None:
        compile_stage(model, callback.stages[callback.state.stage], recipe.train, callback.steps)

    begin()
    callback.resume(model)
    callbacks = [*tensorboard_callbacks(callback.run.folder / "tensorboard", valid), callback]
    while not (callback.stage_over and callback.state.stage + 1 == len(callback.stages)):
        if callback.stage_over:
            callback.next_stage(model, begin)
        epoch, done = divmod(callback.state.step, callback.steps)
        last = callback.state.began // callback.steps + callback.stages[callback.state.stage].epochs
        model.fit(
            training_batches(train, recipe, callback.state.step),
            steps_per_epoch=callback.steps - done,
            initial_epoch=epoch,
            epochs=epoch + 1 if done else last,
            validation_data=validation,
            callbacks=callbacks,
            shuffle=False,  # the stream has its own order
            verbose=0,
        )


def _macro_f1(validation: Any, truth: np.ndarray, model: keras.Model) -> float:  # noqa: ANN401 - a Dataset
    """Return macro-F1 at the one threshold whose errors cost least; nan where the network has gone astray."""
    probability = sigmoid(np.asarray(model.predict(validation, verbose=0), np.float64))
    if not np.isfinite(probability).all():
        return float("nan")
    return float(macro_f1(truth, probability >= find_constant_threshold(truth, probability)))


def _rescue(run: Run, network: keras.Model, callback: Any) -> str:  # noqa: ANN401 - a RunCallback
    """Keeps the best weights of a training that diverged; says where they are, and what to try."""
    rate = callback.stages[callback.state.stage].learning_rate
    remedy = f"Try another Run with a tenth of the learning_rate, {rate / 10:g}"
    if not callback.best:
        return f"{remedy}."
    network.set_weights(callback.best)
    network.save(run.best_model)
    losses = [row["val_loss"] for row in callback.state.history]
    return f"{remedy}; the best weights so far, of epoch {np.argmin(losses) + 1}, are in '{run.best_model}'."


def _predict_valid(run: Run, network: keras.Model, valid: PackedFields, recipe: Recipe) -> None:
    """Stores what the network says of the fields that it was not trained on, and their truth."""
    said: dict[str, list[np.ndarray]] = {"probabilities": [], "embedding": []}
    for x, _ in evaluation_batches(valid, recipe.train.batch):
        output = network(x, training=False)
        for name, arrays in said.items():
            arrays.append(np.asarray(output[name]))
    write_validation(run, valid, *map(np.concatenate, said.values()))
