# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From probabilities to decisions
#
# After this notebook you can choose thresholds for rare classes, say whether probabilities are calibrated, combine models, and avoid the traps of
# macro-F1. It uses the shipped bundle on simulated fields, so nothing is trained; [the last section](#with-the-competitions-files) puts the
# competition's files in their place.

# %%
# In Colab or Kaggle, install lociscope first: %pip install "lociscope[train,report]"
import matplotlib.pyplot as plt
import numpy as np

from lociscope import open_bundle, simulate_arrays
from lociscope.decide.calibration import Calibration
from lociscope.decide.ensemble import fit_ensemble
from lociscope.decide.intervals import bootstrap
from lociscope.decide.metrics import average_precision_per_class, brier, f1_per_class, macro_f1, macro_f1_frequent
from lociscope.decide.prior import HPA_2018
from lociscope.decide.thresholds import Thresholds
from lociscope.labels import LABELS

# %%
predictor = open_bundle()
fields = simulate_arrays(400, 256, seed=31, workers=2)
probability = predictor.predict(fields.x).probability
groups = np.array(fields.groups)
half = np.isin(groups, np.unique(groups)[::2])  # whole specimens: both fields of one are on the same side
truth_a, truth_b = fields.y[half], fields.y[~half]
p_a, p_b = probability[half], probability[~half]
print(len(p_a), "fields to choose on,", len(p_b), "to measure on")

# %% [markdown]
# ## Class imbalance
#
# The competition's rarest class has 11 fields of 31,072. Accuracy is useless there: "never" is right in 99.96 %. Average precision asks how many of the
# likeliest fields are right, and its yardstick is the share of positives.

# %%
order = np.argsort(-HPA_2018)
plt.figure(figsize=(10, 3))
plt.bar(range(28), HPA_2018[order])
plt.yscale("log")
plt.xticks(range(28), [LABELS[number] for number in order], rotation=90, fontsize=7)
plt.ylabel("share of fields")

# %%
precision = average_precision_per_class(truth_b, p_b)
shares = truth_b.mean(axis=0)
for number in np.argsort(-shares)[:5]:
    print(f"{LABELS[number]:24} average precision {precision[number]:.2f}, share of positives {shares[number]:.2f}")

# %% [markdown]
# ## Calibration
#
# Of the fields that get a probability near 0.7, are 70 % positive? A reliability diagram shows it.


# %%
def reliability(truth: np.ndarray, predicted: np.ndarray, bins: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return mean probability and share of positives, in bins of equal width that are not empty."""
    number = np.minimum((predicted * bins).astype(int), bins - 1).ravel()
    counts = np.bincount(number, minlength=bins)
    shown = counts > 10
    means = [np.bincount(number, values.ravel(), bins)[shown] / counts[shown] for values in (predicted, truth)]
    return means[0], means[1]


calibration = Calibration("platt").fit(truth_a, p_a)
calibrated = calibration.predict(p_b)
plt.plot([0, 1], [0, 1], "--", color="grey")
for name, predicted in {"as predicted": p_b, "calibrated": calibrated}.items():
    plt.plot(*reliability(truth_b, predicted), "o-", label=f"{name}, Brier score {brier(truth_b, predicted):.4f}")
plt.xlabel("mean probability")
plt.ylabel("share of positives")
plt.legend()

# %% [markdown]
# ## Thresholds
#
# A threshold per class that is the best on the fields at hand flatters: with three positives the best threshold is the luck of three fields. Measured
# on other fields, a single threshold, or thresholds that are shrunk toward what calibrated probabilities imply, do better or as well.

# %%
for policy in ("constant", "searched", "expected", "shrunk"):
    chosen = Thresholds(policy).fit(truth_a, calibration.predict(p_a))
    own = macro_f1(truth_a, chosen.predict(calibration.predict(p_a)))
    other = macro_f1(truth_b, chosen.predict(calibrated))
    print(f"{policy:10} macro-F1 where it was chosen {float(own):.3f}, on other fields {float(other):.3f}")

# %% [markdown]
# ## The traps of macro-F1
#
# Every class counts the same, also one with two positives, so that one field moves the score by a hundredth. Look at the interval, and at the mean over
# the classes that the data can measure.

# %%
decided = Thresholds("expected").fit(truth_a, calibration.predict(p_a)).predict(calibrated)
print("macro-F1", bootstrap(macro_f1, truth_b, decided, groups=groups[~half]))
print("over classes with 20 positives or more", bootstrap(macro_f1_frequent, truth_b, decided, groups=groups[~half]))
f1 = f1_per_class(truth_b, decided)
rare = int(np.nanargmin(np.where(truth_b.sum(axis=0) > 0, truth_b.sum(axis=0), np.nan)))
print(
    f"rarest class here: {LABELS[rare]}, {truth_b[:, rare].sum()} positives, F1 {f1[rare]:.2f}: ±1/28 of macro-F1 hangs on it"
)

# %% [markdown]
# ## Ensembles
#
# The mean of two models is better where their errors differ. Here the second model is the first that looks at mirrored, brightened fields: its errors are
# almost the same, so little is gained. Members of different kinds gain more ([Combine models](../how-to/combine.md)).

# %%
varied = np.clip(fields.x[:, :, ::-1].astype(np.float32) * np.array([0.7, 1, 1.3, 0.7]), 0, 255).astype(np.uint8)
second = predictor.predict(varied).probability
members_a, members_b = np.stack([p_a, second[half]]), np.stack([p_b, second[~half]])
combined = fit_ensemble(truth_a, members_a, "mean").predict(members_b)
for name, predicted in {"first": p_b, "second": second[~half], "mean": combined}.items():
    score = np.nanmean(average_precision_per_class(truth_b, predicted))
    print(f"{name:8} mean average precision {score:.3f}")
print(f"correlation of the errors {np.corrcoef((p_b - truth_b).ravel(), (second[~half] - truth_b).ravel())[0, 1]:.2f}")

# %% [markdown]
# ## With the competition's files
#
# ```python
# from lociscope import import_competition, load_arrays
#
# import_competition("human-protein-atlas-image-classification", "catalog.parquet")
# fields = load_arrays("catalog.parquet", 256, workers=2)  # 31,072 fields: 8 GB; take a part with `lociscope split`
# ```
#
# ## Exercises
#
# 1. How large is macro-F1 if every field is given its likeliest location only? Why is that not the best decision?
# 2. Replace `platt` by `temperature` and by `isotonic`. Which has the lowest Brier score on other fields, and why is the most flexible not the best?
# 3. The simulated fields show rare classes far more often than HPA's. What happens to precision if positives become ten times as rare, and which
#    function corrects it?
#
# <details><summary>Solutions</summary>
#
# 1. `np.eye(28)[p_b.argmax(axis=1)]`. Proteins with several locations lose all but one, so recall falls.
# 2. `isotonic` fits steps, which 200 fields determine poorly for rare classes; lociscope shrinks them toward the common shape for this reason.
# 3. At the same threshold ten times fewer true positives stand beside equally many false ones. `lociscope.decide.matching.match_rates` moves each class'
#    probabilities to a stated rate.
#
# </details>
