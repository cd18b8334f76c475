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
# # Transfer learning: from photographs to cells
#
# After this notebook you can take a network that was pre-trained on ImageNet, give it a fourth channel, train its head with the rest frozen, and
# fine-tune it in stages. All images are simulated; [the last section](#with-the-competitions-files) puts the competition's files in their place.

# %%
# In Colab or Kaggle, install lociscope first: %pip install "lociscope[train,report]"
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from sklearn.metrics import average_precision_score

from lociscope import simulate_arrays
from lociscope.labels import LABELS
from lociscope.models import build_network
from lociscope.models.pretrained import widen_kernel

keras.utils.set_random_seed(0)
LOCATIONS = ["Nucleoplasm", "Nuclear speckles", "Golgi apparatus", "Microtubules", "Mitochondria", "Actin filaments"]
SIZE, PIXEL = 128, 0.4

# %%
train = simulate_arrays(240, SIZE, locations=LOCATIONS, pixel_size=PIXEL, seed=21)
valid = simulate_arrays(120, SIZE, locations=LOCATIONS, pixel_size=PIXEL, seed=22)
columns = [LABELS.index(name) for name in LOCATIONS]
y_train, y_valid = train.y[:, columns], valid.y[:, columns]
print(train.x.shape, valid.x.shape)

# %% [markdown]
# ## Four channels for a network that knows three
#
# ImageNet's networks expect red, green and blue. lociscope keeps those kernels for microtubules, protein and nucleus, which are shown in these colours,
# and gives the endoplasmic reticulum the mean of the three; all are scaled by ¾, so that about as much comes in as before.

# %%
kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype(np.float32)
wide = widen_kernel(kernel)
grey = np.full((1, 8, 8, 1), 0.5, np.float32)
before = tf.nn.conv2d(np.repeat(grey, 3, 3), kernel, 1, "VALID")
after = tf.nn.conv2d(np.repeat(grey, 4, 3), wide, 1, "VALID")
print(kernel.shape, "→", wide.shape, "a grey picture gives the same:", bool(np.allclose(before, after, atol=1e-5)))

# %% [markdown]
# ## Stage 1: the body frozen, a new head
#
# The body is EfficientNet-Lite0. Frozen, it is a fixed function, so its features are computed once for all fields and the head trains on them in seconds.

# %%
network = build_network("pretrained", SIZE, {"stride": 16})
body = keras.Model(network.input, network.output["embedding"])
body.trainable = False
scaled = {name: fields.x.astype(np.float32) / 255 for name, fields in (("train", train), ("valid", valid))}
features = {name: body.predict(x, batch_size=16, verbose=0) for name, x in scaled.items()}
print(f"{body.count_params():,} frozen parameters, {features['train'].shape[1]} features")


def make_head() -> keras.Model:
    """Return a head for the six locations on top of the features."""
    inputs = keras.Input((features["train"].shape[1],))
    x = keras.layers.BatchNormalization()(inputs)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(len(LOCATIONS), activation="sigmoid")(x))


head = make_head()
head.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
stopping = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
frozen = head.fit(
    features["train"], y_train, batch_size=32, epochs=60, verbose=0, callbacks=[stopping],
    validation_data=(features["valid"], y_valid),
)  # fmt: skip
score_frozen = average_precision_score(y_valid, head.predict(features["valid"], verbose=0), average="macro")
print(f"label prior {y_valid.mean():.2f}, frozen {score_frozen:.2f}")

# %% [markdown]
# ## Stage 2: fine-tune the last blocks
#
# Now the last blocks may change too, with a learning rate thirty times lower, so that a poor gradient of the first steps does not destroy what the body
# knows. Batch normalisation stays in inference mode: with few fields its statistics would be noise.


# %%
def unfreeze(model: keras.Model, last: int) -> int:
    """Train the last layers with weights, without batch normalisation; return the number of trainable parameters."""
    model.trainable = True
    weighted = [layer for layer in model.layers if layer.weights]
    for number, layer in enumerate(weighted):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= len(weighted) - last and not is_norm
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


print(f"{unfreeze(body, 12):,} trainable parameters in the body")
inputs = keras.Input((SIZE, SIZE, 4))
whole = keras.Model(inputs, head(body(inputs, training=False)))
whole.compile(keras.optimizers.Adam(1e-4), "binary_crossentropy")
fields = tf.data.Dataset.from_tensor_slices((scaled["train"], y_train)).shuffle(240, seed=0)
fields = fields.map(lambda x, y: (tf.image.random_flip_left_right(x), y)).batch(16).prefetch(2)
callbacks = [
    keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True),
    keras.callbacks.TensorBoard("logs/fine-tuning", update_freq="epoch"),
]
tuned = whole.fit(
    fields,
    epochs=4,
    verbose=0,
    callbacks=callbacks,
    validation_data=(scaled["valid"], y_valid),
    validation_batch_size=16,
)
score_tuned = average_precision_score(
    y_valid, whole.predict(scaled["valid"], batch_size=16, verbose=0), average="macro"
)
print(f"frozen {score_frozen:.2f}, fine-tuned {score_tuned:.2f}")

# %%
losses = [*frozen.history["val_loss"], *tuned.history["val_loss"]]
plt.plot(losses)
plt.axvline(len(frozen.history["val_loss"]) - 0.5, linestyle="--", color="grey")
plt.xlabel("epoch (fine-tuning begins at the line)")
plt.ylabel("validation loss")

# %% [markdown]
# ## In a recipe
#
# The same two stages for all 28 locations are two tables of the recipe `pretrained`: `[[stages]]` with `unfreeze_from = "head"`, then another with the
# name of the first layer to train. See [Fine-tune a pre-trained network](../how-to/pretrained.md) and
# [the network, layer by layer](../networks/pretrained.md).
#
# ## With the competition's files
#
# ```python
# from lociscope import import_competition, load_arrays
#
# import_competition("human-protein-atlas-image-classification", "catalog.parquet")
# fields = load_arrays("catalog.parquet", 224, workers=2)
# ```
#
# ## Exercises
#
# 1. Train the head on random features: build the network with `{"weights": "none"}`. How much of the score does pre-training give?
# 2. Why is the fourth channel not simply given new, random kernels?
# 3. Which channel does the network use most? Set one channel after the other to zero at prediction, and compare the average precision.
#
# <details><summary>Solutions</summary>
#
# 1. Replace `{"stride": 16}` by `{"stride": 16, "weights": "none"}` and run stage 1 again. Random features are not useless, since pooling random filters
#    still measures texture, but they are below ImageNet's.
# 2. Their answers would be noise to all layers behind them, which were trained for other input; a frozen body could not learn to ignore it.
# 3. `whole.predict(scaled["valid"] * np.array([1, 0, 1, 1], np.float32))` for the protein. Without it nothing is left to predict from but the prior.
#
# </details>
