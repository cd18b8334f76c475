"""Print docs/reference/recipe.md from the model of the Recipe: `python docs/_generate/recipe_page.py > …`."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from lociscope.artifacts.recipe import Recipe
from lociscope.storage.toml_files import find_model

TABLES = ("network", "data", "augment", "train", "decide", "stages")
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
HEAD = """# Recipes

A recipe is a TOML file with all hyperparameters of a training. Every key has a default, so a recipe may be one line; an
unknown key is an error that names the nearest right one. `lociscope train NAME` takes a shipped recipe by its name or any
`.toml` by its path, and `--set train.epochs=3` replaces one value. `lociscope recipes list`, `lociscope recipes show NAME`
and `lociscope recipes copy NAME` list, print and copy the shipped ones. The Run stores the recipe with every default
filled in. A table `[tune]` beside these defines the search space of [`lociscope tune`](../how-to/tune.md); a training
ignores it.

Two keys come before the first table: `schema`, which is 2, and `note`, a text that says what was changed and why; logbooks
show it, and it has no effect. Recipes that state schema 1 are read with its names: `train.rare` (now `repeat_threshold`),
`data.fresh` (`online`), `data.drawn_size` (`simulated_size`) and `from` in `[[stages]]` (`unfreeze_from`).

`[network]` names the kind of model, `kind`: `network`, a Keras network, or `features`, which has no network. Of a network
`name` says which; the other keys of `[network]` are its options:

| name | options | model |
|---|---|---|
| `lenet5-1998` | `channels` | LeNet-5 as published, adapted to four channels and 28 sigmoid outputs |
| `lenet5` | `channels`, `width` 0.1–8, `pooling`, `dropout` 0–0.9, `downsample` 1 or 2, `activation` relu or tanh, \
`pool` max or average, `norm` batch or none | modernised |
| `alexnet-2012` | `channels`, `grouped` true or false, `units` 16–8192 | AlexNet as published, adapted likewise; 67 px \
or more, 227 as published |
| `alexnet` | `channels`, `width` 0.1–8, `stem` 11x11, 7x7, 5x5 or 3x3, `downsample` 2 or 4, `norm` batch, response or \
none, `activation` relu or tanh, `overlap` true or false, `groups` 1 or 2, `units` 0–8192, `pooling`, `dropout` 0–0.9 | \
modernised |
| `gapnet-pl` | `channels`, `width` 0.1–8, `activation` selu, relu or prelu, `norm` none or batch, `units` 16–8192, \
`dropout` 0–0.9 | GapNet-PL, averages of filters at three depths; no heat map |
| `pretrained` | `backbone` efficientnet-lite0 or a name of `keras.applications`, `weights` imagenet or none, `stem` \
mean, yellow or zero, `stride` 16 or 32, `pooling`, `dropout` 0–0.9, `channels` | \
[a network of ImageNet](../how-to/pretrained.md), its stem widened to four channels, with lociscope's head |
| `small` | `channels`, `width` 0.1–8, `pooling`, `dropout` 0–0.9 | a residual network for inputs of 256 px |
| `features` | `head` linear, boosting or both, `strength` 0–100, `trees` 1–2000, `rate` 0–1, `leaves` 2–64, `blind` 0–1 | \
`kind = "features"`: compartment features with logistic regression and boosted trees; of `[data]` it uses `fields`, \
`simulated_size`, `seed`, `balance` and `valid`, of `[train]` the seed |

`channels` are the letters of the network's input channels: RGBY by default, G alone, GBY and so on, always with G.
`pooling` reduces the evidence of all positions to one logit: average (the default), max, lse (log-sum-exp, a soft maximum),
avgmax (half of each), gem (generalised mean of the features) or attention.
"""

STAGES = """Stages fine-tune a network gradually. Without stages, `[train]`'s `epochs` and `learning_rate` are the only stage. The
layers before the first one whose name begins with `unfreeze_from` are frozen, and their batch normalisation uses its stored
statistics. `head` is everything after the features, `all` is every layer. Each stage begins with the best weights so far, a
new optimiser and its own schedule.

`--set stages.1.epochs=3` changes a stage by its number, from 1; `--set 'stages=[]'` removes them. `train.epochs` and
`train.learning_rate` have no effect beside stages, and are refused there."""


def allowed(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo, whose metadata is of any kind
    """Return the values that a key takes, in short."""
    if field.annotation is bool:
        return "true, false"
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    limits = [
        f"{sign} {getattr(limit, name)}"
        for name, sign in SIGNS.items()
        for limit in field.metadata
        if hasattr(limit, name)
    ]
    return ", ".join(limits)


def default(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    """Return the default of a key."""
    return "required" if field.is_required() else f"`{str(field.default).lower()}`"


def table(name: str) -> str:
    """Return one table of the recipe as a section of the page."""
    model: Any = find_model(Recipe, [name])
    rows = [
        f"| `{field.alias or key}` | {default(field)} | {allowed(field)} | {field.description} |"
        for key, field in model.model_fields.items()
    ]
    head = [f"## `[[{name}]]`", "", STAGES] if name == "stages" else [f"## `[{name}]`"]
    return "\n".join([*head, "", "| key | default | values | meaning |", "|---|---|---|---|", *rows, ""])


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(table(name) for name in TABLES)])


if __name__ == "__main__":
    print(page(), end="")
