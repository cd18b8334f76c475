"""One fit for every network: Recipe and packed fields in, Run out."""

import logging
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from lociscope.decide.places import best_constant, decide_places
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS, format_target
from lociscope.models import build_network
from lociscope.models.backend import load_keras
from lociscope.predictions import Predictions
from lociscope.run import Environment, Run
from lociscope.storage import replacing

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from lociscope.data.pack import Packed
    from lociscope.recipe import Recipe, Train

logger = logging.getLogger(__name__)
RECORDED = ("lociscope", "numpy", "keras", "tensorflow", "onnxruntime")


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
    train: "Packed",
    valid: "Packed",
    source: str,
    folder: Path,
    progress: "Callable[[int, str], None] | None" = None,
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

    Returns:
        The finished Run.

    Raises:
        LociscopeError: The folder holds a Run of another recipe or other fields, or the loss diverges.
    """
    start_tensorflow(recipe.train.seed)
    from lociscope.training.callbacks import Keeper

    network = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
    steps = steps_per_epoch(len(train), recipe.train.batch)
    model = _compiled(network, recipe.train, steps)
    run = _claim(folder, recipe, _environment(recipe, train, valid, source, network.count_params()))
    keeper = Keeper(run, steps, recipe.train.checkpoint_steps, progress)
    keeper.resume(model)
    _train(model, keeper, recipe, train, valid, steps)
    if keeper.best:
        model.set_weights(keeper.best)
    network.save(run.best_model)
    _predict_valid(run, network, valid, recipe)
    run.mark_done()
    return run


def _train(model: "keras.Model", keeper: Any, recipe: "Recipe", train: "Packed", valid: "Packed", steps: int) -> None:  # noqa: ANN401
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

    total = settings.epochs * steps
    warmup = int(settings.warmup * total)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else settings.learning_rate,
        max(total - warmup, 1),
        alpha=0.01,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if settings.optimizer == "adam":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=settings.weight_decay or None)
    loss = {"bce": keras.losses.BinaryCrossentropy, "focal": keras.losses.BinaryFocalCrossentropy}[settings.loss]
    model = keras.Model(network.input, network.get_layer("logits").output, name=f"{network.name}_logits")
    model.compile(optimizer, loss(from_logits=True))
    optimizer.build(model.trainable_variables)
    return model


def _claim(folder: Path, recipe: "Recipe", environment: Environment) -> Run:
    """Makes the Run's folder, or checks that what is there is the same training."""
    run = Run(folder)
    if run.recipe_file.is_file():
        if run.recipe() != recipe:
            raise LociscopeError(f"'{folder}' is a Run of another recipe. Name another folder with -o.")
        before = run.environment()
        if before.data_hash != environment.data_hash:
            raise LociscopeError(f"'{folder}' is a Run on other fields. Name another folder with -o.")
        if before.versions != environment.versions:
            logger.warning("going on with other library versions than the training began with")
        return run
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(run.environment_file) as part:
        part.write_text(environment.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    with replacing(run.recipe_file) as part:
        recipe.write(part)
    return run


def _environment(recipe: "Recipe", train: "Packed", valid: "Packed", source: str, parameters: int) -> Environment:
    return Environment(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=recipe.train.seed,
        git=_git(),
        versions={"python": platform.python_version(), **{name: version(name) for name in RECORDED}},
        machine=f"{platform.system()} {platform.machine()}",
        data=source,
        data_hash=train.sha256,
        fields={"train": len(train), "valid": len(valid)},
        parameters=parameters,
    )


def _git() -> str | None:
    """The commit of the checkout that this code lies in; None where it was installed."""
    here = Path(__file__).parent
    try:
        said = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def _predict_valid(run: Run, network: "keras.Model", valid: "Packed", recipe: "Recipe") -> None:
    """Stores what the network says of the fields that it was not trained on, and their truth."""
    outputs = [network(x, training=False) for x, _ in evaluation_batches(valid, recipe.train.batch)]
    probability = np.concatenate([np.asarray(output["probabilities"]) for output in outputs])
    embedding = np.concatenate([np.asarray(output["embedding"]) for output in outputs])
    thresholds = np.full(N_LABELS, best_constant(valid.y, probability))
    predicted, status = decide_places(probability, thresholds)
    Predictions(valid.ids, probability, predicted, status, [()] * len(valid), embedding).write(run.predictions_file)
    with replacing(run.truth_file) as part, part.open("w", encoding="utf-8") as file:
        file.write("Id,Target\n")
        file.writelines(
            f"{name},{format_target(np.flatnonzero(row))}\n" for name, row in zip(valid.ids, valid.y, strict=True)
        )
