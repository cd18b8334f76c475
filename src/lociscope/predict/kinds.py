"""The kinds of models that a bundle holds: a network, heads over compartment features, or an ensemble of these."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from lociscope.artifacts.bundle import SELFTEST_TOLERANCE
from lociscope.decide.calibration import apply_coefficients
from lociscope.decide.locations import decide_locations
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.labels import N_LABELS
from lociscope.predict.engine import Engine
from lociscope.predict.model import Network
from lociscope.predict.test_time_augmentation import average_outputs, check_square, rotate_and_flip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.bundle import Bundle
    from lociscope.artifacts.card import Card
    from lociscope.images.extent import Tiles
    from lociscope.predict.model import CellInputs, Decided, Model
    from lociscope.predict.runtimes import RuntimeOptions

FEATURES_TOLERANCE = 1e-2
"""Of the self-test of features: in the last digits, SciPy and scikit-image differ between versions and machines, and a
tree may decide otherwise."""

CELLS_AT_A_TIME = 16
"""Number of cells that a network predicts in one call."""


def load_model(bundle: Bundle, options: RuntimeOptions, *, tta: bool) -> Model:
    """Load the model of a bundle, which must pass its self-test.

    Raises:
        UsageError: The input is not square and `tta` is set, or the runtime is unknown.
        LociscopeError: The model cannot be loaded, or fails its self-test.
        MissingExtraError: Features need a library that is not installed.
    """
    if bundle.card.kind == "network":
        return NetworkOnTiles(bundle, options, tta=tta)
    if bundle.card.kind == "features":
        features = FeaturesOfField(bundle)
        run_selftest(features, bundle, FEATURES_TOLERANCE)
        return features
    ensemble = EnsembleOfModels(bundle, options, tta=tta)
    if not tta:  # which changes the probabilities
        exact = all(member.card.kind == "network" for member in bundle.members)
        run_selftest(ensemble, bundle, SELFTEST_TOLERANCE if exact else FEATURES_TOLERANCE)
    return ensemble


def calibrate(probability: np.ndarray, card: Card) -> np.ndarray:
    """Return the probabilities (n, 28) of fields or cells, calibrated as a card says."""
    stored = card.decide.calibration
    if stored is None:
        return probability
    return np.asarray(apply_coefficients(probability, np.array(stored.coefficients)), np.float32)


class NetworkOnTiles:
    """A network, which predicts each tile of a field; the field has their mean."""

    def __init__(self, bundle: Bundle, options: RuntimeOptions, *, tta: bool) -> None:
        self._card, self._tta = bundle.card, tta
        if tta:
            check_square(bundle.card.input.height, bundle.card.input.width)
        self.engine = Engine(bundle, options.threads, options.runtime, options.calls)

    def prepare(self, field: Field, tiles: Tiles) -> np.ndarray:
        """Return the tiles."""
        return tiles.pixels

    def predict(self, inputs: Sequence[np.ndarray], names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the mean outputs over the tiles of each field; see `Model`."""
        tiles, counts = np.concatenate(list(inputs)), [len(each) for each in inputs]
        outputs = {name: _mean_over_tiles(rows, counts) for name, rows in self._call(tiles, names).items()}
        return {**outputs, "probabilities": calibrate(outputs["probabilities"], self._card)}

    @property
    def networks(self) -> tuple[Network, ...]:
        """This network."""
        weights = np.zeros(N_LABELS)
        weights[list(self._card.classes)] = 1
        return (Network(self.engine, self._card, weights),)

    def predict_cells(self, field: Field, make_inputs: CellInputs) -> np.ndarray:
        """Return the probabilities of the cells of a field; see `Model`."""
        inputs = make_inputs(self._card.input)
        found = []
        while some := list(islice(inputs, CELLS_AT_A_TIME)):
            found.append(self.engine.run(np.stack(some))["probabilities"])
        return calibrate(np.concatenate(found), self._card)

    def decide(self, probability: np.ndarray) -> Decided:
        """Return the locations that reach their thresholds."""
        return decide_locations(probability, np.asarray(self._card.decide.thresholds))

    def _call(self, tiles: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        if not self._tta:
            return self.engine.run(tiles, names)
        return average_outputs([self.engine.run(view, names) for view in rotate_and_flip(tiles)])


def _mean_over_tiles(rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return the mean over the tiles of each field, of which there are `counts`."""
    if len(rows) == len(counts):
        return rows
    starts = np.cumsum([0, *counts[:-1]])
    means: np.ndarray = np.add.reduceat(rows, starts) / np.asarray(counts, rows.dtype)[:, None]
    return means


class NoNetwork:
    """Stands for the engine of a model that has no network: it gives probabilities of whole fields only."""

    outputs: tuple[str, ...] = ("probabilities",)

    def __init__(self, bundle: Bundle) -> None:
        self._name = f"Bundle '{bundle.folder}'"

    def require_outputs(self, *outputs: str) -> None:
        """Raise a LociscopeError for any output but the probabilities."""
        missing = [name for name in outputs if name not in self.outputs]
        if missing:
            raise LociscopeError(
                f"{self._name}: features have no output '{missing[0]}'. Do without it, or use the bundle of a network.",
                code=Code.NOT_FOUND,
            )

    def run(self, inputs: np.ndarray, outputs: tuple[str, ...] = ("probabilities",)) -> NoReturn:
        """Raise a LociscopeError."""
        raise LociscopeError(
            f"{self._name} is of features, which need a whole field: it predicts no cells, shows no evidence, and has "
            "no detector of other pictures. Use the bundle of a network.",
            code=Code.INVALID_VALUE,
        )


class FeaturesOfField:
    """Heads over the compartment features of a field; of several folds the mean of their log odds."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            from lociscope.decide.feature_model import parse_heads, predict_heads
            from lociscope.images.segmentation.features import compute_features
        except ImportError:
            raise MissingExtraError("A bundle of features", "fit") from None
        self._card, self._measure, self._combine = bundle.card, compute_features, predict_heads
        self._heads = parse_heads(bundle.model, f"Bundle '{bundle.folder}': features.npz")
        self.engine = cast("Engine", NoNetwork(bundle))

    def prepare(self, field: Field, tiles: Tiles) -> np.ndarray:
        """Return the features of the field, as they were measured for training."""
        try:
            return self._measure(field.pixels, field.pixel_size)
        except ImportError:  # scipy and scikit-image are imported when they are needed
            raise MissingExtraError("A bundle of features", "fit") from None

    def predict(self, inputs: Sequence[np.ndarray], names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the probabilities; see `Model`."""
        self.engine.require_outputs(*names)
        mean = self._combine(self._heads, np.stack(list(inputs)))
        return {"probabilities": calibrate(mean.astype(np.float32), self._card)}

    @property
    def networks(self) -> tuple[Network, ...]:
        """None."""
        return ()

    def predict_cells(self, field: Field, make_inputs: CellInputs) -> NoReturn:
        """Raise a LociscopeError: features need a whole field."""
        self.engine.run(field.pixels)
        raise AssertionError

    def decide(self, probability: np.ndarray) -> Decided:
        """Return the locations that reach their thresholds."""
        return decide_locations(probability, np.asarray(self._card.decide.thresholds))


class EnsembleOfModels:
    """Several models, combined by fitted weights."""

    def __init__(self, bundle: Bundle, options: RuntimeOptions, *, tta: bool) -> None:
        from lociscope.decide.stored import parse_fitted

        self._card, self._cards = bundle.card, [member.card for member in bundle.members]
        stored = parse_fitted(bundle.model, f"Bundle '{bundle.folder}': ensemble.json")
        if len(stored.members) != len(bundle.members):
            raise LociscopeError(
                f"Bundle '{bundle.folder}' has {len(bundle.members)} members, its weights are for "
                f"{len(stored.members)}. Export it again.",
                code=Code.CORRUPT,
            )
        self._decider = stored.to_decider()
        self._members = [load_model(member, options, tta=tta) for member in bundle.members]
        networks = [number for number, card in enumerate(self._cards) if card.kind == "network"]
        self._leader = networks[0] if networks else 0
        self.engine = self._members[self._leader].engine

    def prepare(self, field: Field, tiles: Tiles) -> tuple[Any, ...]:
        """Return what each member needs of the field."""
        made = []
        for member, card in zip(self._members, self._cards, strict=True):
            other = card.kind == "network" and card.input != self._card.input
            made.append(member.prepare(field, make_tiles(field, card.input) if other else tiles))
        return tuple(made)

    def predict(self, inputs: Sequence[tuple[Any, ...]], names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the combined probabilities, float64, and other outputs of the first network; see `Model`."""
        others: dict[str, np.ndarray] = {}
        stack = []
        for number, member in enumerate(self._members):
            wanted = names if number == self._leader else ("probabilities",)
            found = member.predict([each[number] for each in inputs], wanted)
            stack.append(np.asarray(found["probabilities"], np.float64))
            others |= {name: values for name, values in found.items() if name != "probabilities"}
        return {**others, "probabilities": self._decider.predict(np.stack(stack))}

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks among the members, with their shares; equal ones where no weight is above 0."""
        found: list[Network] = [
            each._replace(weights=each.weights * np.maximum(weights, 0))
            for member, weights in zip(self._members, self._decider.ensemble.weights_, strict=True)
            for each in member.networks
        ]
        known = np.array([np.isin(np.arange(N_LABELS), each.card.classes) for each in found], float)
        shares = np.array([each.weights for each in found])
        shares = np.where(shares.sum(axis=0) > 0, shares, known)
        shares = shares / np.maximum(shares.sum(axis=0), 1e-300)
        return tuple(each._replace(weights=share) for each, share in zip(found, shares, strict=True))

    def predict_cells(self, field: Field, make_inputs: CellInputs) -> np.ndarray:
        """Return the combined probabilities of cells; features, which need a whole field, count with those of it."""
        if not self.networks:
            self.engine.run(field.pixels)  # raises
        found = [member.predict_cells(field, make_inputs) if member.networks else None for member in self._members]
        cells = max(len(each) for each in found if each is not None)
        stack = []
        for member, card, own in zip(self._members, self._cards, found, strict=True):
            if own is None:
                whole = member.predict([member.prepare(field, make_tiles(field, card.input))], ("probabilities",))
                own = np.repeat(whole["probabilities"], cells, axis=0)
            stack.append(np.asarray(own, np.float64))
        return np.asarray(self._decider.predict(np.stack(stack)), np.float32)

    def decide(self, probability: np.ndarray) -> Decided:
        """Return the locations and the status that the fitted decision gives."""
        decided, status = self._decider.decide(np.asarray(probability, np.float64))
        return [tuple(np.flatnonzero(row).tolist()) for row in decided], status


def predict_selftest(model: Model, card: Card, inputs: np.ndarray) -> np.ndarray:
    """Return the probabilities (n, 28) of the fields of a self-test, (n, height, width, 4) in 0–1, float32."""
    size = card.input.pixel_size
    fields = [Field(str(number), pixels, size) for number, pixels in enumerate(np.rint(255 * inputs).astype(np.uint8))]
    prepared = [model.prepare(field, make_tiles(field, card.input)) for field in fields]
    return np.asarray(model.predict(prepared, ("probabilities",))["probabilities"], np.float32)


def run_selftest(model: Model, bundle: Bundle, tolerance: float) -> None:
    """Raise a LociscopeError unless a model that is not one network reproduces its bundle's self-test."""
    found, expected = predict_selftest(model, bundle.card, bundle.selftest.input), bundle.selftest.probabilities
    known = list(bundle.card.classes)
    difference = float(np.abs(found - expected)[:, known].max())
    if not difference <= tolerance:
        raise LociscopeError(
            f"Bundle '{bundle.folder}' fails its self-test on this machine: a probability differs by {difference:.2g}, "
            f"allowed are {tolerance:g}. Install the versions that its card names, or export it again.",
            code=Code.REFUSED,
        )
