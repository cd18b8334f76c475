"""What every network ends in: evidence for each place at each position, pooled to one answer."""

import math
from typing import Literal

import keras
from keras import layers, ops

from lociscope.labels import N_LABELS

Pooling = Literal["average", "max", "lse"]

POSITIVES_PRIOR = 1.634 / N_LABELS
"""Labels per field in the competition's 31,072 rows, over the classes: where the bias starts."""


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
        """Pools (n, h, w, c) to (n, c)."""
        _, height, width, _ = evidence.shape
        total = ops.logsumexp(self.sharpness * evidence, axis=(1, 2))
        return (total - math.log(height * width)) / self.sharpness

    def get_config(self) -> dict[str, object]:
        """Keras' description of the layer."""
        return {**super().get_config(), "sharpness": self.sharpness}


def places_head(features: keras.KerasTensor, pooling: Pooling, dropout: float) -> dict[str, keras.KerasTensor]:
    """Turns a feature map into the outputs that a bundle has.

    The class-activation map is the classifier itself: a 1 × 1 convolution to 28 maps whose pooled value is the
    logit. With average pooling this is global average pooling followed by a dense layer, exactly.

    Args:
        features: (n, h, w, d).
        pooling: How evidence over the positions becomes one logit.
        dropout: Share of features dropped in training, in 0–1.

    Returns:
        `probabilities` (n, 28), `embedding` (n, d), `evidence` (n, h, w, 28).
    """
    pools = {
        "average": layers.GlobalAveragePooling2D(name="logits"),
        "max": layers.GlobalMaxPooling2D(name="logits"),
        "lse": LogMeanExpPool(name="logits"),
    }
    if pooling not in pools:
        raise ValueError(f"pooling must be one of {', '.join(pools)}, received {pooling!r}")
    bias = keras.initializers.Constant(math.log(POSITIVES_PRIOR / (1 - POSITIVES_PRIOR)))
    kept = layers.Dropout(dropout, name="dropout")(features)
    evidence = layers.Conv2D(N_LABELS, 1, bias_initializer=bias, name="evidence")(kept)
    logits = pools[pooling](evidence)
    return {
        "probabilities": layers.Activation("sigmoid", name="probabilities")(logits),
        "embedding": layers.GlobalAveragePooling2D(name="embedding")(features),
        "evidence": evidence,
    }


def check_options(width: float, dropout: float) -> None:
    """Refuses a width or a dropout that no network takes.

    Raises:
        ValueError: One of them is out of its range.
    """
    if not 0.1 <= width <= 8:
        raise ValueError(f"width must be in 0.1–8, received {width}")
    if not 0 <= dropout <= 0.9:
        raise ValueError(f"dropout must be in 0–0.9, received {dropout}")
