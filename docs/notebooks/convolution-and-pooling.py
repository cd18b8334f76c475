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
# # Convolution and pooling: LeNet-5 on cells
#
# After this notebook you can say what a convolution and a pooling layer compute, build LeNet-5 in thirty lines of Keras, train it on four-channel
# cells with `tf.data` and `model.fit`, look at its filters and feature maps, and calculate its receptive field in µm.
#
# All images are simulated; [the last section](#with-the-competitions-files) puts the competition's files in their place.

# %%
# In Colab or Kaggle, install lociscope first: %pip install "lociscope[train,report]"
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

from lociscope import simulate_arrays
from lociscope.images.render import render_composite
from lociscope.labels import LABELS

keras.utils.set_random_seed(0)
LOCATIONS = ["Nucleoplasm", "Nucleoli", "Nuclear membrane", "Mitochondria", "Cytosol", "Plasma membrane"]
SIZE, PIXEL = 96, 0.5  # side in px, and µm per px: a field of 48 µm with a few cells

# %% [markdown]
# ## The data
#
# A field has four channels: microtubules (red), the protein (green), the nucleus (blue) and the endoplasmic reticulum (yellow). Each simulated field here
# shows one of six locations.

# %%
train = simulate_arrays(480, SIZE, locations=LOCATIONS, pixel_size=PIXEL, seed=1)
valid = simulate_arrays(120, SIZE, locations=LOCATIONS, pixel_size=PIXEL, seed=2)
columns = [LABELS.index(name) for name in LOCATIONS]
y_train, y_valid = train.y[:, columns], valid.y[:, columns]
print(train.x.shape, train.x.dtype, y_train.shape)

# %%
figure, axes = plt.subplots(1, 6, figsize=(12, 2.4))
for column, axis in enumerate(axes):
    axis.imshow(render_composite(train.x[y_train[:, column].argmax()], 2 * SIZE))
    axis.set_title(LOCATIONS[column], fontsize=9)
    axis.axis("off")

# %% [markdown]
# ## A convolution, by hand
#
# A convolution slides a small filter over the image and writes down, at each position, the sum of the products of filter and pixels. This filter has
# positive numbers on the left and negative ones on the right, so it answers where brightness changes from left to right: at the edges of nuclei.

# %%
edge = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)
nucleus = train.x[0, :, :, 2].astype(np.float32) / 255


def convolve(image: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """Slide a kernel over an image, without padding."""
    side = len(kernel)
    rows = range(0, image.shape[0] - side + 1, stride)
    return np.array([[(image[y : y + side, x : x + side] * kernel).sum() for x in rows] for y in rows])


by_hand = convolve(nucleus, edge)
layer = layers.Conv2D(1, 3, use_bias=False)
layer.build((None, SIZE, SIZE, 1))
layer.set_weights([edge[:, :, None, None]])
by_keras = layer(nucleus[None, :, :, None])[0, :, :, 0]
print("largest difference between the loop and Keras:", float(np.abs(by_hand - by_keras).max()))
assert np.allclose(by_hand, by_keras, atol=1e-4)

# %% [markdown]
# Keras does the same for all filters of a layer at once, and *learns* the numbers in them. A stride of 2 moves the filter by two pixels, so that the
# result has half the side; `padding="same"` adds zeros around the image, so that a result at stride 1 keeps its side.
#
# ## Pooling, by hand
#
# Pooling reduces each block of pixels to one number. What matters is that a structure is in the block, and less where exactly: a protein in the
# nucleoli is there wherever the cell lies.

# %%
blocks = by_hand[:94, :94].reshape(47, 2, 47, 2)
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8))
pictures = {
    "nucleus": nucleus,
    "convolved": by_hand,
    "maximum of 2 × 2": blocks.max(axis=(1, 3)),
    "average of 2 × 2": blocks.mean(axis=(1, 3)),
}
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set_title(f"{title}, {picture.shape[0]} px", fontsize=9)
    axis.axis("off")

# %% [markdown]
# ## LeNet-5 in thirty lines
#
# LeCun, Bottou, Bengio and Haffner (1998) alternated both: convolution C1, subsampling S2, convolution C3, subsampling S4, then dense layers. The
# last layer has one output per location with a sigmoid, not a softmax, because a protein can be in several locations at once.


# %%
def lenet5(kernel: int = 5, pool: str = "average", activation: str = "tanh") -> keras.Model:
    """Build LeNet-5 for fields of SIZE px with four channels."""
    pooling = layers.AveragePooling2D if pool == "average" else layers.MaxPooling2D
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 4)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, kernel, activation=activation, name="C1"),
            pooling(2, name="S2"),
            layers.Conv2D(16, kernel, activation=activation, name="C3"),
            pooling(2, name="S4"),
            layers.Flatten(),
            layers.Dense(120, activation=activation, name="F5"),
            layers.Dense(84, activation=activation, name="F6"),
            layers.Dense(len(LOCATIONS), activation="sigmoid", name="locations"),
        ]
    )


lenet5().summary()

# %% [markdown]
# ## The receptive field
#
# How many pixels of the field can one number of S4 see? Each layer adds (kernel − 1) × the stride of all layers before it.


# %%
def receptive_field(model: keras.Model) -> int:
    """Return the side, in px of the input, that one position of the last pooling layer sees."""
    side, jump = 1, 1
    for each in model.layers:
        if isinstance(each, layers.Conv2D):
            size, stride = each.kernel_size[0], each.strides[0]
        elif isinstance(each, layers.AveragePooling2D | layers.MaxPooling2D):
            size, stride = each.pool_size[0], each.strides[0]
        else:
            continue
        side, jump = side + (size - 1) * jump, jump * stride
    return side


seen = receptive_field(lenet5())
print(f"{seen} px, {seen * PIXEL:.0f} µm: about one nucleus")

# %% [markdown]
# ## Training with `tf.data` and `model.fit`
#
# `tf.data` shuffles the fields, mirrors them at random (data augmentation: a mirrored cell is a cell), and prepares the next batch while the network
# computes. Early stopping ends the training when the validation loss stops falling, and restores the best weights; without it the network
# soon learns the 480 training fields by themselves, which is overfitting. TensorBoard's callback writes curves and weights to `logs/`, which
# `tensorboard --logdir logs` shows in a browser.


# %%
def mirror(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirror a field at random."""
    return tf.image.random_flip_up_down(tf.image.random_flip_left_right(x)), y


def fit(model: keras.Model, epochs: int = 25, name: str = "lenet5") -> keras.callbacks.History:
    """Train a model on the training fields, and keep the weights with the lowest validation loss."""
    fields = (
        tf.data.Dataset.from_tensor_slices((train.x, y_train)).shuffle(480, seed=0).map(mirror).batch(16).prefetch(2)
    )
    checks = tf.data.Dataset.from_tensor_slices((valid.x, y_valid)).batch(40)
    model.compile(
        keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=[keras.metrics.AUC(curve="PR", name="ap")]
    )
    callbacks = [
        keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True),
        keras.callbacks.TensorBoard(f"logs/{name}", update_freq="epoch"),
    ]
    return model.fit(fields, validation_data=checks, epochs=epochs, callbacks=callbacks, verbose=0)


classic = lenet5()
history = fit(classic)
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8))
for axis, quantity in zip(axes, ("loss", "ap"), strict=True):
    axis.plot(history.history[quantity], label="training")
    axis.plot(history.history[f"val_{quantity}"], label="validation")
    axis.set_xlabel("epoch")
    axis.set_ylabel(quantity)
    axis.legend()

# %% [markdown]
# Average precision needs a yardstick: a model that has learned nothing gets the share of positives, here 1 in 6.

# %%
from sklearn.metrics import average_precision_score


def average_precision(model: keras.Model) -> np.ndarray:
    """Return the average precision of each location on the validation fields."""
    return average_precision_score(y_valid, model.predict(valid.x, verbose=0), average=None)


found = average_precision(classic)
for name, score in zip(LOCATIONS, found, strict=True):
    print(f"{name:18} {score:.2f}")
print(f"{'mean':18} {found.mean():.2f}   (label prior {y_valid.mean():.2f})")

# %% [markdown]
# ## Filters and feature maps
#
# C1's six filters for the protein channel, and what they make of one field. Some answer to bright spots, some to edges, some to broad brightness.

# %%
field = valid.x[y_valid[:, 2].argmax()][None]
maps = keras.Model(classic.inputs, classic.get_layer("C1").output)(field)[0]
kernels = classic.get_layer("C1").get_weights()[0][:, :, 1]
figure, axes = plt.subplots(2, 6, figsize=(11, 3.8))
for number in range(6):
    axes[0, number].imshow(kernels[:, :, number], cmap="RdBu_r", vmin=-0.4, vmax=0.4)
    axes[1, number].imshow(maps[:, :, number], cmap="gray")
for axis in axes.flat:
    axis.axis("off")

# %% [markdown]
# ## Change a layer and see
#
# The network of 1998 used averages and tanh. What do maxima and ReLU change? One seed and 120 validation fields: believe only large differences.

# %%
modern = lenet5(pool="max", activation="relu")
fit(modern, name="modern")
print(
    f"average and tanh {average_precision(classic).mean():.2f}, maximum and ReLU {average_precision(modern).mean():.2f}"
)

# %% [markdown]
# ## With the competition's files
#
# Replace the two calls of `simulate_arrays` by the competition's download; the rest of the notebook stays as it is.
#
# ```python
# from lociscope import import_competition, load_arrays
#
# import_competition("human-protein-atlas-image-classification", "catalog.parquet")
# fields = load_arrays("catalog.parquet", SIZE, workers=2)  # x, y and groups: split by group, so that no antibody is on both sides
# ```
#
# The full experiment, with every iteration and its score, is on the page [LeNet-5, layer by layer](../networks/lenet5.md).
#
# ## Exercises
#
# 1. Calculate the receptive field of S4 with 3 × 3 filters by hand, then with `receptive_field(lenet5(kernel=3))`.
# 2. Set the red, blue and yellow channels to zero. Which locations suffer most, and why?
# 3. Remove both pooling layers and use a stride of 2 in C1 and C3 instead. What changes in the number of parameters, and in the average precision?
#
# <details><summary>Solutions</summary>
#
# 1. 1 + 2·1 (C1) + 1·1 (S2) + 2·2 (C3) + 1·2 (S4) = 10 px, 5 µm: less than a nucleus.
# 2. `classic.predict(valid.x * np.array([0, 1, 0, 0], np.uint8))`. Nucleoplasm and cytosol need the nucleus channel most: without it both are smooth
#    brightness with darker regions.
# 3. Replace `pooling(2)` by nothing and add `strides=2` to both convolutions: the maps have almost the same side, so the dense layers keep almost all of
#    their parameters. Before you conclude anything from the average precision, train both with two more seeds and compare the spread.
#
# </details>
