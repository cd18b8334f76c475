"""The Keras callback of a training: history, best weights, early stopping, checkpoints, progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.processes.progress import ignore_progress
from lociscope.training import checkpoint
from lociscope.training.averaging import WeightAverage
from lociscope.training.record import write_history
from lociscope.training.stages import get_stages, max_epochs

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.processes.progress import ProgressCallback
    from lociscope.training.trainer import EpochCallback


class DivergenceError(LociscopeError):
    """The loss is not finite."""

    code = Code.TRAINING


class RunCallback(keras.callbacks.Callback):
    """Record history and best weights, stop stages early, and write checkpoints from which a training resumes.

    Args:
        run: The Run.
        recipe: Its recipe.
        model: The model that is trained.
        steps: Steps per epoch.
        batch: Fields per step.
        score: Called with the model after each epoch; returns macro-F1 on the validation fields.
        progress: Called with (steps done, steps in all, text) after each step.
        on_epoch: Called with each row of the history once it is stored.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        model: keras.Model,
        steps: int,
        batch: int,
        score: Callable[[keras.Model], float],
        progress: ProgressCallback = ignore_progress,
        on_epoch: EpochCallback | None = None,
    ) -> None:
        super().__init__()
        self.run, self.steps, self.score, self.progress, self.on_epoch = run, steps, score, progress, on_epoch
        self.stages, self.settings = get_stages(recipe), recipe.train
        self.state = checkpoint.read_state(run.checkpoints)
        self.best: list[np.ndarray] = []
        self.average = WeightAverage(model, recipe.train.ema) if recipe.train.ema else None
        self._epochs = max_epochs(recipe)
        self._speed = Throughput(batch)
        self._metrics: list[np.ndarray] = []
        self._started = time.monotonic()

    @property
    def stage_over(self) -> bool:
        """Whether the stage has had all its epochs, or stops early after `patience` epochs without a lower loss."""
        last = self.state.step // self.steps
        first = self.state.stage_start // self.steps
        if last - first >= self.stages[self.state.stage].epochs:
            return True
        if not self.settings.patience or last == first:
            return False
        losses = [row["val_loss"] for row in self.state.history]
        best = int(np.argmin(losses)) + 1
        return last - max(best, first) >= self.settings.patience

    def resume(self, model: keras.Model) -> None:
        """Restore the newest checkpoint, which may be in the middle of an epoch."""
        if self.state.step:
            self.best = checkpoint.restore(self.run.checkpoints, self.state, self._variables(model))
            self._metrics = [np.asarray(variable) for variable in model.metrics_variables]
        elif self.average:
            self.average.restart()

    def next_stage(self, model: keras.Model, begin: Callable[[], None]) -> None:
        """Begin the next stage with the best weights so far.

        Args:
            model: The model.
            begin: Compiles it for the stage in `state`.
        """
        self.state.stage += 1
        self.state.stage_start = self.state.step
        model.set_weights(self.best)
        if self.average:
            self.average.restart()
        begin()
        self._save(model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restore the running means of an interrupted epoch, which Keras has just set to zero."""
        for variable, value in zip(self.model.metrics_variables, self._metrics, strict=False):
            variable.assign(value)
        self._metrics = []
        self._started = time.monotonic()
        self._speed.restart()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the step, check that the loss is finite, and write a checkpoint when one is due."""
        self.state.step += 1
        loss = float((logs or {})["loss"])
        self._check(loss)
        if self.average:
            self.average.update(self.state.step - self.state.stage_start)
        # on_epoch_end writes the checkpoint of an epoch's last step, together with its validation.
        if self.state.step % self.settings.checkpoint_steps == 0 and self.state.step % self.steps:
            self._save(self.model)
        epoch = (self.state.step - 1) // self.steps + 1
        text = f"epoch {epoch} of {self._epochs}, loss {loss:.4f}, {self._speed.count_step()}"
        self.progress(self.state.step, self._epochs * self.steps, text)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Validate with the averaged weights, since these are saved."""
        if self.average:
            self.average.swap()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add a row to the history, copy the weights if they are the best so far, and write a checkpoint."""
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
        for weight in model.trainable_variables:  # one step before the loss would show it
            if not np.isfinite(np.asarray(weight)).all():
                self._check(float("nan"))
        checkpoint.save(self.run.checkpoints, self.state, self._variables(model), self.best)
        if self.state.history:
            write_history(self.run, self.state.history)


class Throughput:
    """Steps and fields per second, over the last seconds.

    Args:
        batch: Fields per step.
    """

    WINDOW = 5.0
    """Seconds over which it is averaged."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._times: list[float] = []

    def restart(self) -> None:
        """Discard the steps before a pause."""
        self._times = []

    def count_step(self) -> str:
        """Count a step, and return the throughput of the last ones as text."""
        now = time.monotonic()
        self._times = [*(at for at in self._times if now - at < self.WINDOW), now]
        if len(self._times) < 2:
            return "…"
        steps = (len(self._times) - 1) / max(now - self._times[0], 1e-9)
        return f"{steps:.3g} steps/s, {steps * self.batch:.3g} fields/s"
