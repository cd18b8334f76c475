"""Online simulation: new simulated fields in every epoch, during training."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.pipeline.sampler import WHOLE, Shard
from lociscope.data.simulated import prepare_one, simulation_key
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import map_in_order
from lociscope.simulate import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.artifacts.recipe import Data


@dataclass(frozen=True, slots=True)
class OnlineSimulation:
    """Fields that other processes simulate, new ones in each epoch.

    Attributes:
        settings: The `[data]` table.
        first: Number of the first field; the fields before are held out.
        count: Fields in an epoch.
        workers: Processes that simulate.
    """

    settings: Data
    first: int
    count: int
    workers: int = 1

    def __len__(self) -> int:
        return self.count

    @property
    def sha256(self) -> str:
        """Hash of everything that the fields depend on."""
        settings = simulation_key(
            self.settings, *(name for name in type(self.settings).model_fields if name != "valid")
        )
        return hashlib.sha256(json.dumps([settings, VERSION, self.first, self.count]).encode()).hexdigest()

    def batches(self, batch: int, first_step: int, shard: Shard = WHOLE) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Simulate batch after batch, without end; some fields are simulated ahead.

        Field i of epoch e is the simulator's number first + e × count + i, in whichever process.

        Args:
            batch: Fields in one step.
            first_step: The first step.
            shard: The part of each batch that is simulated here.

        Yields:
            Pixels (n, h, w, 4) and labels (n, 28), both uint8.
        """
        steps, part = max(self.count // batch, 1), shard.part(batch).tolist()

        def numbers() -> Iterator[int]:
            step = first_step
            while True:
                epoch, position = divmod(step, steps)
                yield from (self.first + epoch * self.count + position * batch + at for at in part)
                step += 1

        simulated = map_in_order(partial(prepare_one, self.settings), numbers(), self.workers)
        while True:
            fields = [next(simulated) for _ in part]
            yield np.stack([field.pixels for field in fields]), to_multi_hot([field.target for field in fields])
