"""What happens between the steps of a training: history, the best weights, checkpoints, progress."""

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lociscope.errors import LociscopeError
from lociscope.training import checkpoint
from lociscope.training.record import write_history

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.run import Run


class Keeper(keras.callbacks.Callback):
    """Keeps history and best weights, and writes checkpoints that a cut-off training goes on from.

    Args:
        run: The Run that is being made.
        steps: Steps of an epoch.
        every: Steps between two checkpoints; one is also written at the end of each epoch.
        progress: Called with (step, text) after each step.
        on_epoch: Called with each row of the history, after it is kept.
    """

    def __init__(
        self,
        run: "Run",
        steps: int,
        every: int,
        progress: "Callable[[int, str], None] | None",
        on_epoch: "Callable[[dict[str, float]], None] | None" = None,
    ) -> None:
        super().__init__()
        self.on_epoch = on_epoch
        self.run, self.steps, self.every, self.progress = run, steps, every, progress
        self.state = checkpoint.State()
        self.best: list[np.ndarray] = []
        self._metrics: list[np.ndarray] = []
        self._started = time.monotonic()

    def resume(self, model: "keras.Model") -> None:
        """Puts the model back to its newest checkpoint, in the middle of an epoch if need be."""
        self.state, self.best = checkpoint.restore(self.run.checkpoints, model)
        self._metrics = [np.asarray(variable) for variable in model.metrics_variables]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Goes on with the running means of an epoch that was cut off: Keras has just set them to zero."""
        for variable, value in zip(self.model.metrics_variables, self._metrics, strict=False):
            variable.assign(value)
        self._metrics = []
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step, checks that the loss is a number, and writes a checkpoint when one is due."""
        self.state.step += 1
        loss = float((logs or {})["loss"])
        if not np.isfinite(loss):
            raise LociscopeError(
                f"The loss is {loss} after step {self.state.step}: the training has diverged. The checkpoints in "
                f"'{self.run.checkpoints}' are from before; try --set train.learning_rate with a tenth of its value."
            )
        # The last step of an epoch is kept by on_epoch_end, together with the epoch's validation.
        if self.state.step % self.every == 0 and self.state.step % self.steps:
            self._save()
        if self.progress:
            self.progress(self.state.step, f"loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds a row to the history, keeps the weights if they are the best, and writes a checkpoint."""
        logs = logs or {}
        row = {
            "epoch": float(epoch + 1),
            "loss": float(logs["loss"]),
            "val_loss": float(logs["val_loss"]),
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            "seconds": round(time.monotonic() - self._started, 3),
        }
        self.state.history.append(row)
        if row["val_loss"] < self.state.best:
            self.state.best = row["val_loss"]
            self.best = self.model.get_weights()
        self._save()
        if self.on_epoch:
            self.on_epoch(row)

    def _save(self) -> None:
        checkpoint.save(self.run.checkpoints, self.state, self.model, self.best)
        if self.state.history:
            write_history(self.run, self.state.history)
