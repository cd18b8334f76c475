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
# # Depth and width: AlexNet, and why eleven pixels step over vesicles
#
# After this notebook you can say what changed between LeNet-5 and AlexNet, why its first layer suits photographs and not cells, and how to measure what
# depth and width are worth. All images are simulated; [the last section](#with-the-competitions-files) puts the competition's files in their place.

# %%
# In Colab or Kaggle, install lociscope first: %pip install "lociscope[train,report]"
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.metrics import average_precision_score

from lociscope import simulate_arrays
from lociscope.images.render import render_composite
from lociscope.labels import LABELS

keras.utils.set_random_seed(0)
LOCATIONS = ["Endosomes", "Peroxisomes", "Lipid droplets", "Mitochondria", "Cytosol", "Golgi apparatus"]
SIZE, PIXEL = 96, 0.4  # side in px, and µm per px: a vesicle is 1 to 3 px wide

# %%
train = simulate_arrays(480, SIZE, locations=LOCATIONS, pixel_size=PIXEL, seed=11)
valid = simulate_arrays(120, SIZE, locations=LOCATIONS, pixel_size=PIXEL, seed=12)
columns = [LABELS.index(name) for name in LOCATIONS]
y_train, y_valid = train.y[:, columns], valid.y[:, columns]
figure, axes = plt.subplots(1, 6, figsize=(12, 2.4))
for column, axis in enumerate(axes):
    axis.imshow(render_composite(train.x[y_train[:, column].argmax()], 2 * SIZE, (1, 2)))
    axis.set_title(LOCATIONS[column], fontsize=9)
    axis.axis("off")

# %% [markdown]
# ## A first layer that steps over vesicles
#
# AlexNet (Krizhevsky, Sutskever and Hinton, 2012) begins with filters of 11 × 11 px that move by four. In a photograph of 224 px that is fine: nothing
# that matters is four pixels wide. Here is one vesicle, a blob of 2 px, moved pixel by pixel, and the largest answer of a filter that matches it:

# %%
grid = np.arange(64) - 32
blob = np.exp(-(grid[:, None] ** 2 + grid[None] ** 2) / 2).astype(np.float32)


def answers(kernel: int, stride: int) -> list[float]:
    """Return the largest answer of a matching filter to a blob at eight positions, one px apart."""
    half = kernel // 2
    matching = blob[32 - half : 33 + half, 32 - half : 33 + half]
    found = []
    for shift in range(8):
        moved = np.roll(blob, (shift, shift), (0, 1))[None, :, :, None]
        response = tf.nn.conv2d(moved, matching[:, :, None, None], stride, "VALID")
        found.append(float(tf.reduce_max(response)) / float((matching**2).sum()))
    return found


for kernel, stride in ((11, 4), (5, 2), (3, 1)):
    plt.plot(answers(kernel, stride), "o-", label=f"{kernel} × {kernel}, stride {stride}")
plt.xlabel("the vesicle moves by … px")
plt.ylabel("largest answer")
plt.ylim(0, 1.1)
plt.legend()
worst = min(answers(11, 4))
print(f"11 × 11 at stride 4: at the worst position {worst:.2f} of the answer is left")

# %% [markdown]
# Between two positions of the filter the vesicle is almost unseen, so the answer depends on where it lies by chance. A smaller stride, or pooling after
# a convolution at full resolution, removes this.
#
# ## A small AlexNet
#
# Five convolutions and dropout, at an eighth of the published width so that it trains here. `stem` is the first layer, `width` multiplies the number of
# maps, and `depth` is the number of 3 × 3 convolutions after the second pooling.


# %%
def alexnet(stem: tuple[int, int] = (11, 4), width: float = 1.0, depth: int = 3) -> keras.Model:
    """Build a small AlexNet; `stem` is kernel and stride of the first layer."""
    kernel, stride = stem
    maps = [round(width * number) for number in (12, 32, 48)]
    body = [
        keras.Input((SIZE, SIZE, 4)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(maps[0], kernel, stride, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(maps[1], 5, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        *(layers.Conv2D(maps[2], 3, padding="same", activation="relu") for _ in range(depth)),
        layers.GlobalMaxPooling2D(),
        layers.Dropout(0.3),
        layers.Dense(len(LOCATIONS), activation="sigmoid"),
    ]
    return keras.Sequential(body)


def fit(model: keras.Model, name: str, epochs: int = 20) -> float:
    """Train a model, and return its mean average precision on the validation fields."""
    fields = tf.data.Dataset.from_tensor_slices((train.x, y_train)).shuffle(480, seed=0)
    fields = fields.map(lambda x, y: (tf.image.random_flip_left_right(x), y)).batch(16).prefetch(2)
    checks = tf.data.Dataset.from_tensor_slices((valid.x, y_valid)).batch(40)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    callbacks = [
        keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True),
        keras.callbacks.TensorBoard(f"logs/{name}", update_freq="epoch"),
    ]
    model.fit(fields, validation_data=checks, epochs=epochs, callbacks=callbacks, verbose=0)
    return float(average_precision_score(y_valid, model.predict(valid.x, verbose=0), average="macro"))


# %% [markdown]
# ## What the first layer is worth

# %%
print(f"label prior {y_valid.mean():.2f}")
for stem in ((11, 4), (5, 2)):
    keras.utils.set_random_seed(0)
    model = alexnet(stem)
    print(
        f"{stem[0]:2} × {stem[0]} at stride {stem[1]}: {fit(model, f'stem{stem[0]}'):.2f}, {model.count_params():,} parameters"
    )

# %% [markdown]
# ## What width and depth are worth
#
# Doubling the width quadruples the parameters of a convolution between equally wide layers; one more layer adds one such convolution and a wider
# receptive field. With 480 fields more parameters are not always better.

# %%
for label, options in {"half as wide": {"width": 0.5}, "one layer of three": {"depth": 1}}.items():
    keras.utils.set_random_seed(0)
    model = alexnet((5, 2), **options)
    print(f"{label:20} {fit(model, label.replace(' ', '-')):.2f}, {model.count_params():,} parameters")

# %% [markdown]
# One seed and 120 validation fields: differences below about 0.1 are luck. [Experiments](../logbooks/experiments.md) has the same questions with 10,000
# fields and intervals, and [AlexNet, layer by layer](../networks/alexnet.md) the network that came of it.
#
# ## With the competition's files
#
# ```python
# from lociscope import import_competition, load_arrays
#
# import_competition("human-protein-atlas-image-classification", "catalog.parquet")
# fields = load_arrays("catalog.parquet", 256, workers=2)  # 0.32 µm/px at 512 px: fields of 256 px have 0.64 µm/px
# ```
#
# ## Exercises
#
# 1. How far does a vesicle of 2 px move before the answer of the 11 × 11 filter at stride 4 is the same again? Why does max-pooling with a window of 3 and
#    a stride of 2 after it not help?
# 2. Exchange `GlobalMaxPooling2D` by `GlobalAveragePooling2D`. For which locations should the maximum be better?
# 3. Calculate the number of parameters of the 5 × 5 convolution by hand, and compare it with `model.summary()`.
#
# <details><summary>Solutions</summary>
#
# 1. By 4 px, the stride. Pooling only chooses among answers that were computed: what lies between two positions of the filter was never computed.
# 2. For those that are visible in few places, such as a Golgi apparatus or a few peroxisomes: an average divides a small bright structure by the area
#    of the field.
# 3. 5 · 5 · 12 · 32 + 32 = 9,632.
#
# </details>
