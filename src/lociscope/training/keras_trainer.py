"""Train a Keras network: the trainer of `network.kind = "network"` (see `lociscope.training.trainer`)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.data.datasets import load_labelled_fields, load_training_data
from lociscope.data.pipeline.dataset import evaluation_batches, reraise_read_errors, steps_per_epoch, training_batches
from lociscope.decide.logistic import sigmoid
from lociscope.errors import LociscopeError
from lociscope.models import SOURCE, build_network
from lociscope.models.own import hash_source
from lociscope.processes.progress import ignore_progress
from lociscope.training.devices import (
    choose_device,
    explain_memory_errors,
    make_strategy,
    start_tensorflow,
    synchronise_batch_norm,
    warn_of_slow_precision,
)
from lociscope.training.export import export_bundle
from lociscope.training.record import describe_environment, open_run, write_validation
from lociscope.training.scores import score_macro_f1
from lociscope.training.stages import check_stages, compile_stage, freeze, max_epochs
from lociscope.training.tuning.networks import default_space, network_options

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Environment, Run
    from lociscope.data.cache.fields import PackedFields
    from lociscope.data.datasets import TrainingData
    from lociscope.data.pipeline.online import OnlineSimulation
    from lociscope.processes.progress import ProgressCallback
    from lociscope.training.trainer import Device, EpochCallback

LIBRARY = "TensorFlow"
RECORDED_PACKAGES = ("lociscope", "numpy", "keras", "tensorflow", "onnxruntime")
"""Packages whose versions are stored in the Run."""

prepare, prepare_datasets = load_labelled_fields, load_training_data
count_epochs = max_epochs
get_options, get_default_space = network_options, default_space
export = export_bundle


def check(recipe: Recipe, device: Device = "auto") -> None:
    """Raise an error now for whatever `fit` would refuse later: options, stages, devices."""
    choose_device(device)
    warn_of_slow_precision(recipe)
    make_strategy(recipe)
    check_stages(build_network(recipe.network.name, recipe.data.size, recipe.network.options), recipe)


@reraise_read_errors()
def fit(
    recipe: Recipe,
    datasets: TrainingData,
    folder: Path,
    progress: ProgressCallback = ignore_progress,
    on_epoch: EpochCallback | None = None,
) -> Run:
    """Train a network, or resume a training that was interrupted.

    The same recipe, seed and fields give the same weights, whether or not the training was interrupted.

    Args:
        recipe: What to train and how.
        datasets: Fields to train on, and fields on which the best epoch and the threshold are chosen.
        folder: The Run's folder; an unfinished Run of the same recipe and fields is resumed.
        progress: Called with (steps done, steps in all, text) after each step.
        on_epoch: Called with each row of the history once it is stored; an error that it raises leaves the Run
            unfinished.

    Returns:
        The finished Run.

    Raises:
        LociscopeError: The folder holds a Run of another recipe or other fields, a field cannot be read, the loss
            diverges, memory does not suffice, or the machine has fewer devices than the recipe asks for.
    """
    start_tensorflow(recipe.train.seed)
    import keras

    from lociscope.training.callbacks import DivergenceError, RunCallback

    train, valid, _ = datasets
    strategy = make_strategy(recipe)
    with strategy.scope(), explain_memory_errors(recipe):
        network = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
        check_stages(network, recipe)
        trained = _with_precision(network, recipe)
        model = keras.Model(trained.input, trained.get_layer("logits").output, name=f"{network.name}_logits")
        synchronise_batch_norm(model, recipe.train.devices > 1)
        environment = _describe(recipe, datasets, network.count_params())
        run, steps = open_run(folder, recipe, environment), steps_per_epoch(train, recipe)
        batch = min(recipe.train.batch, len(train))
        validation = evaluation_batches(valid, recipe.train.batch)
        score = partial(_validate, validation, valid.y)
        callback = RunCallback(run, recipe, model, steps, batch, score, progress, on_epoch)
        try:
            _train(model, callback, recipe, train, valid, validation)
        except DivergenceError as error:
            raise LociscopeError(f"{error} {_save_best(run, network, callback)}", code=error.code) from error
    synchronise_batch_norm(model, False)
    network.set_weights(callback.best or model.get_weights())
    freeze(network, "all")
    network.save(run.best_model)
    _predict_validation(run, network, valid, recipe)
    run.mark_done()
    return run


def _describe(recipe: Recipe, datasets: TrainingData, parameters: int) -> Environment:
    """Return the environment of a Run, with the hash of the file of a network that is not lociscope's."""
    train, valid, source = datasets
    environment = describe_environment(recipe, train, valid, source, parameters, RECORDED_PACKAGES)
    digest = hash_source(recipe.network.name)
    if digest is None:
        return environment
    return environment.model_copy(update={"versions": {**environment.versions, SOURCE: digest}})


def _with_precision(network: keras.Model, recipe: Recipe) -> keras.Model:
    """Return the network, or where the recipe says so a copy that computes in bfloat16 and keeps float32 weights."""
    if recipe.train.precision == "float32":
        return network
    import keras

    keras.config.set_dtype_policy(recipe.train.precision)
    try:
        copy = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
    finally:
        keras.config.set_dtype_policy("float32")
    copy.set_weights(network.get_weights())
    return copy


def _train(
    model: keras.Model,
    callback: Any,  # noqa: ANN401 - a RunCallback, whose module loads TensorFlow
    recipe: Recipe,
    train: PackedFields | OnlineSimulation,
    valid: PackedFields,
    validation: Any,  # noqa: ANN401 - a tf.data.Dataset
) -> None:
    """Run the remaining steps: the rest of an interrupted epoch, then whole epochs, stage after stage."""
    from lociscope.training.tensorboard import tensorboard_callbacks

    def begin_stage() -> None:
        compile_stage(model, callback.stages[callback.state.stage], recipe.train, callback.steps)

    begin_stage()
    callback.resume(model)
    callbacks = [*tensorboard_callbacks(callback.run.folder / "tensorboard", valid), callback]
    while not (callback.stage_over and callback.state.stage + 1 == len(callback.stages)):
        if callback.stage_over:
            callback.next_stage(model, begin_stage)
        epoch, done = divmod(callback.state.step, callback.steps)
        last = callback.state.stage_start // callback.steps + callback.stages[callback.state.stage].epochs
        model.fit(
            training_batches(train, recipe, callback.state.step),
            steps_per_epoch=callback.steps - done,
            initial_epoch=epoch,
            epochs=epoch + 1 if done else last,
            validation_data=validation,
            callbacks=callbacks,
            shuffle=False,  # the sampler has shuffled the stream
            verbose=0,
        )


def _validate(validation: Any, truth: np.ndarray, model: keras.Model) -> float:  # noqa: ANN401 - a Dataset
    """Return macro-F1 on the validation fields; NaN where a probability is not finite."""
    probability = sigmoid(np.asarray(model.predict(validation, verbose=0), np.float64))
    if not np.isfinite(probability).all():
        return float("nan")
    return score_macro_f1(truth, probability)


def _save_best(run: Run, network: keras.Model, callback: Any) -> str:  # noqa: ANN401 - a RunCallback
    """Save the best weights of a training that diverged, and return the remedy for its error message."""
    rate = callback.stages[callback.state.stage].learning_rate
    remedy = f"Try another Run with a tenth of the learning_rate, {rate / 10:g}"
    if not callback.best:
        return f"{remedy}."
    network.set_weights(callback.best)
    network.save(run.best_model)
    losses = [row["val_loss"] for row in callback.state.history]
    return f"{remedy}; the best weights so far, of epoch {np.argmin(losses) + 1}, are in '{run.best_model}'."


def _predict_validation(run: Run, network: keras.Model, valid: PackedFields, recipe: Recipe) -> None:
    """Store predictions and embeddings of the validation fields, and their truth."""
    outputs: dict[str, list[np.ndarray]] = {"probabilities": [], "embedding": []}
    for x, _ in evaluation_batches(valid, recipe.train.batch):
        output = network(x, training=False)
        for name, arrays in outputs.items():
            arrays.append(np.asarray(output[name]))
    write_validation(run, valid, *map(np.concatenate, outputs.values()))
