"""The head of every network: evidence for each location at each position, pooled to one probability."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import keras
from keras import layers, ops

from lociscope.labels import N_LABELS

Pooling = Literal["average", "max", "lse", "avgmax", "gem", "attention"]

POSITIVES_PRIOR = 1.634 / N_LABELS
"""Labels per field in the competition's 31,072 rows, over the classes."""
PRIOR_LOGIT = math.log(POSITIVES_PRIOR / (1 - POSITIVES_PRIOR))
"""Where the biases of logits start."""

LEAST = 1e-6
"""What a feature counts at least in the generalised mean, which has no derivative at zero."""


@keras.saving.register_keras_serializable("lociscope")
class LogMeanExpPool(layers.Layer):
    """Soft maximum over positions, log(mean(exp(r x))) / r (Pinheiro and Collobert, CVPR 2015, eq. 6).

    Between the average (r → 0) and the maximum (r → ∞): a few positions that show a small bright structure are
    enough, and yet every position learns.

    Args:
        sharpness: r; 4 by default.
    """

    def __init__(self, sharpness: float = 4.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.sharpness = sharpness

    def call(self, evidence: keras.KerasTensor) -> keras.KerasTensor:
        """Pool (n, h, w, c) to (n, c)."""
        _, height, width, _ = evidence.shape
        total = ops.logsumexp(self.sharpness * evidence, axis=(1, 2))
        return (total - math.log(height * width)) / self.sharpness

    def get_config(self) -> dict[str, object]:
        """Return Keras' description of the layer."""
        return {**super().get_config(), "sharpness": self.sharpness}


@keras.saving.register_keras_serializable("lociscope")
class GeneralisedMean(layers.Layer):
    """Weigh the positions of each map so that its average is the generalised mean, f = mean(x^p)^(1/p).

    Radenović, Tolias and Chum, *Fine-tuning CNN image retrieval with no human annotation*, PAMI 2019, eq. 3, with one
    trainable p ≥ 1 for all maps: 1 is the average, a large one the maximum. What comes out is x^p f^(1−p), of which
    the average is f exactly, so that the positions keep their share of it.

    Args:
        power: p at the start; 3, as in the paper, by default.
    """

    def __init__(self, power: float = 3.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.power = power

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create p − 1, which training keeps at 0 or above."""
        self.excess = self.add_weight(
            name="excess",
            shape=(),
            initializer=keras.initializers.Constant(self.power - 1),
            constraint=keras.constraints.NonNeg(),
        )

    def call(self, maps: keras.KerasTensor) -> keras.KerasTensor:
        """Weigh (n, h, w, c), which must not be negative."""
        x = ops.maximum(maps, LEAST)
        brightest = ops.stop_gradient(ops.max(x, axis=(1, 2), keepdims=True))  # no power overflows or vanishes
        share = x / brightest
        mean = ops.mean(ops.power(share, self.excess + 1), axis=(1, 2), keepdims=True)
        return x * ops.power(share / ops.power(mean, 1 / (self.excess + 1)), self.excess)

    def get_config(self) -> dict[str, object]:
        """Return Keras' description of the layer."""
        return {**super().get_config(), "power": self.power}


@keras.saving.register_keras_serializable("lociscope")
class GatedAttention(layers.Layer):
    """Attention-weighted evidence: its average over positions is the logit of attention pooling.

    Ilse, Tomczak and Welling, *Attention-based deep multiple instance learning*, ICML 2018, eq. 9, a position being an
    instance: a = softmax over positions of w · (tanh(V h) ⊙ sigmoid(U h)), here with one w for each class, because
    several are true at once. What comes out is positions × a × (k · h) + b, so that a position which nothing attends to
    says b, the prior, and the average over positions is Σ a (k · h) + b.

    Args:
        classes: Number of maps that come out.
        hidden: Length of V h and U h.
        bias: b at the start.
    """

    def __init__(self, classes: int = N_LABELS, hidden: int = 64, bias: float = 0.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.classes, self.hidden, self.start = classes, hidden, bias

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create V and U side by side, w, k and b."""
        depth = shape[-1]
        self.gates = self.add_weight(name="gates", shape=(depth, 2 * self.hidden), initializer="glorot_uniform")
        self.focus = self.add_weight(name="focus", shape=(self.hidden, self.classes), initializer="glorot_uniform")
        self.kernel = self.add_weight(name="kernel", shape=(depth, self.classes), initializer="glorot_uniform")
        self.bias = self.add_weight(
            name="bias", shape=(self.classes,), initializer=keras.initializers.Constant(self.start)
        )

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Turn (n, h, w, d) into (n, h, w, locations)."""
        _, height, width, depth = features.shape
        positions = ops.reshape(features, (-1, height * width, depth))
        value, gate = ops.split(ops.matmul(positions, self.gates), 2, axis=-1)
        asked = ops.matmul(ops.tanh(value) * ops.sigmoid(gate), self.focus)
        attention = height * width * ops.softmax(asked, axis=1)
        evidence = attention * ops.matmul(positions, self.kernel) + self.bias
        return ops.reshape(evidence, (-1, height, width, self.classes))

    def get_config(self) -> dict[str, object]:
        """Return Keras' description of the layer."""
        return {**super().get_config(), "classes": self.classes, "hidden": self.hidden, "bias": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GatedAttention:
        """Make the layer from its description, also from one that was saved while `classes` was called `places`."""
        return cls(**{"classes" if key == "places" else key: value for key, value in config.items()})


def location_head(features: keras.KerasTensor, pooling: Pooling, dropout: float) -> dict[str, keras.KerasTensor]:
    """Build the outputs of a bundle from a feature map.

    The map of evidence is the classifier itself: 28 maps whose pooled value is the logit, with every pooling.

    - `average`, `max`, `lse`: that of a 1 × 1 convolution's maps; the first is global average pooling followed by a
      dense layer, exactly.
    - `avgmax`: half the average, half the maximum of the same maps. Two convolutions instead would leave no single
      map that explains the answer.
    - `gem`: the average; the positions of the features were weighed before (`GeneralisedMean`, which takes features
      that are not negative, such as a ReLU gives; below zero counts as zero).
    - `attention`: the average; evidence is weighed for each class by where that class is looked for (`GatedAttention`).

    The head computes in float32 whatever the policy: a probability in bfloat16 has two digits.

    Args:
        features: (n, h, w, d).
        pooling: How evidence over the positions becomes one logit.
        dropout: Share of features dropped in training, in 0–1.

    Returns:
        `probabilities` (n, 28), `embedding` (n, d), `evidence` (n, h, w, 28).

    Raises:
        ValueError: The pooling is not known.
    """
    check_choice("pooling", pooling, get_args(Pooling))
    if pooling == "gem":
        features = GeneralisedMean(name="generalised_mean", dtype="float32")(features)
    kept = layers.Dropout(dropout, name="dropout", dtype="float32")(features)
    if pooling == "attention":
        evidence = GatedAttention(bias=PRIOR_LOGIT, name="evidence", dtype="float32")(kept)
    else:
        bias = keras.initializers.Constant(PRIOR_LOGIT)
        evidence = layers.Conv2D(N_LABELS, 1, bias_initializer=bias, name="evidence", dtype="float32")(kept)
    return {
        "probabilities": layers.Activation("sigmoid", name="probabilities", dtype="float32")(
            _pool_evidence(evidence, pooling)
        ),
        "embedding": layers.GlobalAveragePooling2D(name="embedding", dtype="float32")(features),
        "evidence": evidence,
    }


def _pool_evidence(evidence: keras.KerasTensor, pooling: Pooling) -> keras.KerasTensor:
    """Pool evidence (n, h, w, 28) to logits."""
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="logits", dtype="float32")(evidence)
    if pooling == "lse":
        return LogMeanExpPool(name="logits", dtype="float32")(evidence)
    if pooling == "avgmax":
        average = layers.GlobalAveragePooling2D(name="average", dtype="float32")(evidence)
        most = layers.GlobalMaxPooling2D(name="most", dtype="float32")(evidence)
        return layers.Average(name="logits", dtype="float32")([average, most])
    return layers.GlobalAveragePooling2D(name="logits", dtype="float32")(evidence)


def check_options(width: float, dropout: float) -> None:
    """Refuse a width or a dropout out of range.

    Raises:
        ValueError: One of them is out of its range.
    """
    for option, received in (("width", width), ("dropout", dropout)):
        if not isinstance(received, int | float):
            raise ValueError(f"{option} must be a number, received {received!r}")
    if not 0.1 <= width <= 8:
        raise ValueError(f"width must be in 0.1–8, received {width}")
    if not 0 <= dropout <= 0.9:
        raise ValueError(f"dropout must be in 0–0.9, received {dropout}")


def check_units(units: int, least: int) -> None:
    """Refuse a width of dense layers that is out of range.

    Raises:
        ValueError: It is below `least` or above 8192.
    """
    if not least <= units <= 8192:
        raise ValueError(f"units must be in {least}–8192, received {units}")


def check_choice(option: str, received: object, known: tuple[object, ...]) -> None:
    """Refuse a value that an option does not have.

    Raises:
        ValueError: It is none of them.
    """
    if received not in known:
        raise ValueError(f"{option} must be one of {', '.join(map(str, known))}, received {received!r}")
