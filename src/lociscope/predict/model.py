"""What every kind of model can do; the kinds are in `lociscope.predict.kinds`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.card import Card, InputSpec
    from lociscope.images.extent import Tiles
    from lociscope.images.field import Field
    from lociscope.predict.engine import Engine

Decided = tuple[list[tuple[int, ...]], list[str]]
CellInputs = Callable[["InputSpec"], Iterator[np.ndarray]]
"""Returns the cells of a field as inputs (height, width, 4) of a network."""


class Network(NamedTuple):
    """A network of a model, which shows evidence.

    Attributes:
        engine: The network.
        card: The card of its bundle.
        weights: (28,) of float64, its share in the model for each class; 0 for a class that it does not know.
    """

    engine: Engine
    card: Card
    weights: np.ndarray


class Model(Protocol):
    """A model that is ready to predict.

    Attributes:
        engine: The network that computes embeddings; one without outputs where there is none.
    """

    engine: Engine

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks, each with its share; none for features."""

    def prepare(self, field: Field, tiles: Tiles) -> Any:  # noqa: ANN401 - each kind has its own
        """Return what `predict` needs of a field; `tiles` are those of the card's input."""

    def predict(self, inputs: Sequence[Any], names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return outputs of fields by name; `probabilities` (n, 28) are calibrated, NaN for an unknown class."""

    def predict_cells(self, field: Field, make_inputs: CellInputs) -> np.ndarray:
        """Return the calibrated probabilities (n, 28) of the n cells of a field, each from its own pixels."""

    def decide(self, probability: np.ndarray) -> Decided:
        """Return the locations and the status of each field."""
