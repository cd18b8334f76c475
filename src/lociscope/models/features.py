"""Heads of the features recipe: from compartment features to 28 probabilities, stored as plain arrays.

One logistic regression and one boosted forest for each class, fitted with scikit-learn; applying them needs numpy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lociscope.decide.feature_model import FeatureModel, standardize
from lociscope.errors import Code, MissingExtraError, UsageError, suggest
from lociscope.images.segmentation.features import FEATURES
from lociscope.labels import N_LABELS
from lociscope.models.trees import Growth, fit_trees, is_learnable, rate_logit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NAME = "features"
"""What `[network] name` says."""
UNSEEN = {"red": ("red", "focus", "bundle"), "yellow": ("yellow",)}
"""Words by which the features are known that cannot be measured without a stain."""


class Options(BaseModel):
    """The options of `[network]` where its name is `features`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    head: Literal["linear", "boosting", "both"] = Field(
        "both", description="Logistic regression, boosted trees, or the mean of their logits."
    )
    strength: float = Field(
        0.02, gt=0, le=100, description="Inverse of the linear head's penalty for a class with a tenth of the fields."
    )
    trees: int = Field(80, ge=1, le=2000, description="Trees of each class.")
    rate: float = Field(0.08, gt=0, le=1, description="Learning rate of the trees.")
    leaves: int = Field(6, ge=2, le=64, description="Leaves of a tree.")
    blind: float = Field(
        0.1, ge=0, lt=1, description="Share of training fields whose red, and as many whose yellow, is hidden."
    )


def read_options(options: dict[str, Any]) -> Options:
    """Check the keys of `[network]` besides its name.

    Raises:
        UsageError: An unknown key, or a value out of its range.
    """
    try:
        return Options.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            remedy = suggest(key, Options.model_fields)
            raise UsageError(f"Network 'features' has no option {key!r}.{remedy}", code=Code.UNKNOWN_NAME) from error
        raise UsageError(
            f"Network 'features': {key}: {first['msg']}, received {first['input']!r}. Correct [network] in the recipe.",
            code=Code.INVALID_VALUE,
        ) from error


def hide_stains(features: np.ndarray, share: float, seed: int) -> NDArray[np.float64]:
    """Return features with some rows missing the features that need red or yellow, as for fields without that stain."""
    rng = np.random.default_rng(seed)
    made = np.array(features, np.float64)
    for words in UNSEEN.values():
        columns = np.array([any(word in name for word in words) for name in FEATURES])
        rows = rng.random(len(made)) < share
        made[rows[:, None] & columns] = np.nan
    return made


def fit_model(
    features: np.ndarray,
    truth: np.ndarray,
    options: Options,
    seed: int = 0,
    progress: Callable[[int, str], None] | None = None,
) -> FeatureModel:
    """Fit the heads.

    Args:
        features: (n, len(FEATURES)), NaN where unknown.
        truth: (n, 28), 0 or 1.
        options: Of the recipe.
        seed: Decides what is hidden and which features each split of the trees looks at.
        progress: Called with (classes done, name of the head).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    known = hide_stains(features, options.blind, seed)
    empty = np.isnan(known).all(axis=0)
    known[:, empty] = 0
    mean, spread = np.nanmean(known, axis=0), np.maximum(np.nanstd(known, axis=0), 1e-6)
    weights = intercepts = trees = None
    if options.head != "boosting":
        weights, intercepts = _fit_linear(standardize(known, mean, spread), truth, options, progress)
    if options.head != "linear":
        trees = fit_trees(known, truth, Growth(options.trees, options.rate, options.leaves, seed), progress)
    return FeatureModel(mean, spread, weights, intercepts, trees)


def _fit_linear(
    inputs: np.ndarray, truth: np.ndarray, options: Options, progress: Callable[[int, str], None] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit one regression for each class; the penalty grows as positives become few, with their square root."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtraError("Fitting features", "fit") from None
    weights, intercepts = np.zeros((inputs.shape[1], N_LABELS)), np.zeros(N_LABELS)
    for label in range(N_LABELS):
        known = truth[:, label]
        intercepts[label] = rate_logit(known)
        if is_learnable(known):
            strength = options.strength * np.sqrt(10 * known.mean())
            model = LogisticRegression(C=strength, max_iter=1000).fit(inputs, known)
            weights[:, label], intercepts[label] = model.coef_[0], model.intercept_[0]
        if progress:
            progress(label + 1, "linear")
    return weights, intercepts
