"""What happens between the steps of a training: history, the best weights, checkpoints, progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.training import checkpoint
from lociscope.training.averaging import WeightAverage
from lociscope.training.record import write_history
from lociscope.training.stages import get_stages, max_epochs

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run


class DivergenceError(LociscopeError):
    """The loss is no number any more."""

    code = Code.TRAINING


class RunCallback(keras.callbacks.Callback):
    """Keeps history and best weights, and writes checkpoints that a cut-off training goes on from.

    Args:
        run: The Run that is being made.
        recipe: Its recipe.
        model: The model that takes the steps.
        steps: Steps of an epoch.
        batch: Fields of a step.
        score: Called with the model after each epoch; gives macro-F1 on the validation fields.
        progress: Called with (step, text) after each step.
        on_epoch: Called with each row of the history, after it is kept.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        model: keras.Model,
        steps: int,
        batch: int,
        score: Callable[[keras.Model], float],
        progress: Callable[[int, str], None] | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
    ) -> None:
        super().__init__()
        self.run, self.steps, self.score, self.progress, self.on_epoch = run, steps, score, progress, on_epoch
        self.stages, self.settings = get_stages(recipe), recipe.train
        self.state = checkpoint.read_state(run.checkpoints)
        self.best: list[np.ndarray] = []
        self.average = WeightAverage(model, recipe.train.ema) if recipe.train.ema else None
        self._epochs = max_epochs(recipe)
        self._speed = Speed(batch)
        self._metrics: list[np.ndarray] = []
        self._started = time.monotonic()

    @property
    def stage_over(self) -> bool:
        """Whether the stage has had all its epochs, or as many without a better one as patience allows."""
        last = self.state.step // self.steps
        first = self.state.began // self.steps
        if last - first >= self.stages[self.state.stage].epochs:
            return True
        if not self.settings.patience or last == first:
            return False
        losses = [row["val_loss"] for row in self.state.history]
        best = int(np.argmin(losses)) + 1
        return last - max(best, first) >= self.settings.patience

    def resume(self, model: keras.Model) -> None:
        """Puts the model back to its newest checkpoint, in the middle of an epoch if need be."""
        if self.state.step:
            self.best = checkpoint.restore(self.run.checkpoints, self.state, self._variables(model))
            self._metrics = [np.asarray(variable) for variable in model.metrics_variables]
        elif self.average:
            self.average.restart()

    def next_stage(self, model: keras.Model, begin: Callable[[], None]) -> None:
        """Goes on to the next stage from the best weights so far.

        Args:
            model: The model.
            begin: Compiles it for the stage that the state now says.
        """
        self.state.stage += 1
        self.state.began = self.state.step
        model.set_weights(self.best)
        if self.average:
            self.average.restart()
        begin()
        self._save(model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Goes on with the running means of an epoch that was cut off: Keras has just set them to zero."""
        for variable, value in zip(self.model.metrics_variables, self._metrics, strict=False):
            variable.assign(value)
        self._metrics = []
        self._started = time.monotonic()
        self._speed.restart()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step, checks that the loss is a number, and writes a checkpoint when one is due."""
        self.state.step += 1
        loss = float((logs or {})["loss"])
        self._check(loss)
        if self.average:
            self.average.update(self.state.step - self.state.began)
        # The last step of an epoch is kept by on_epoch_end, together with the epoch's validation.
        if self.state.step % self.settings.checkpoint_steps == 0 and self.state.step % self.steps:
            self._save(self.model)
        if self.progress:
            epoch = (self.state.step - 1) // self.steps + 1
            self.progress(self.state.step, f"epoch {epoch} of {self._epochs}, loss {loss:.4f}, {self._speed.tell()}")

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Validates with the averages, where they are what will be kept."""
        if self.average:
            self.average.swap()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds a row to the history, keeps the weights if they are the best, and writes a checkpoint."""
        logs = logs or {}
        row = {
            "epoch": float(epoch + 1),
            "loss": float(logs["loss"]),
            "val_loss": float(logs["val_loss"]),
            "macro_f1": self.score(self.model),
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            "seconds": round(time.monotonic() - self._started, 3),
            "stage": float(self.state.stage + 1),
        }
        self._check(row["val_loss"])
        self.state.history.append(row)
        if row["val_loss"] < self.state.best:
            self.state.best = row["val_loss"]
            self.best = [array.copy() for array in self.model.get_weights()]
        if self.average:
            self.average.swap()
        self._save(self.model)
        self.model.stop_training = self.stage_over
        if self.on_epoch:
            self.on_epoch(row)

    def _check(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise DivergenceError(f"The loss is {loss} after step {self.state.step}: the training has diverged.")

    def _variables(self, model: keras.Model) -> list[keras.Variable]:
        return [*checkpoint.list_variables(model), *(self.average.variables if self.average else [])]

    def _save(self, model: keras.Model) -> None:
        for weight in model.trainable_variables:  # the loss shows it one step later
            if not np.isfinite(np.asarray(weight)).all():
                self._check(float("nan"))
        checkpoint.save(self.run.checkpoints, self.state, self._variables(model), self.best)
        if self.state.history:
            write_history(self.run, self.state.history)


class Speed:
    """Steps and fields in a second, over the last seconds.

    Args:
        batch: Fields of a step.
    """

    WINDOW = 5.0
    """Seconds that are looked back."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._times: list[float] = []

    def restart(self) -> None:
        """Forgets what was before a pause."""
        self._times = []

    def tell(self) -> str:
        """Counts a step, and says how fast the last ones were."""
        now = time.monotonic()
        self._times = [*(at for at in self._times if now - at < self.WINDOW), now]
        if len(self._times) < 2:
            return "…"
        steps = (len(self._times) - 1) / max(now - self._times[0], 1e-9)
        return f"{steps:.3g} steps/s, {steps * self.batch:.3g} fields/s"
