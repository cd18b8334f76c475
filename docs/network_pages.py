"""Writes docs/networks/NAME.md and its pictures of a trained network: code, layers, filters, feature maps, evidence.

python docs/network_pages.py lenet5=RUN alexnet=RUN pretrained=RUN

RUN is a finished Run of that experiment. What the iterations taught stands in `docs/experiments.toml`.
"""

import inspect
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.render import composite
from lociscope.images.scale import prepare
from lociscope.labels import LABELS
from lociscope.models import NETWORKS, load_network
from lociscope.models.anatomy import LayerFacts, anatomy
from lociscope.run import Run
from lociscope.simulate import draw_field

if TYPE_CHECKING:
    import keras

DOCS = Path(__file__).parent
SHOWN_PLACES = (23, 2)
"""Mitochondria and nucleoli: a fine texture in the cytoplasm, and large spots in the nucleus."""
TILE, GAP, FILTERS, MAPS, LAYERS = 96, 4, 16, 8, 5
SKIPPED = {"Activation", "ReLU", "BatchNormalization", "Dropout", "ZeroPadding2D"}
"""Layers that change no shape, left out of the table: each follows the convolution above it."""

INTRODUCTIONS = {
    "lenet5": """# LeNet-5, layer by layer

LeNet-5 (LeCun, Bottou, Bengio and Haffner, *Gradient-based learning applied to document recognition*, 1998) read the digits on cheques. Its idea is
still that of every network here: small filters that are the same everywhere (convolution), a coarser grid that forgets where exactly something was
(pooling), and the same again on what the first filters found. `lenet5-1998` is the network as published, carried to four channels and 28 places;
`lenet5` keeps its layers and renews each choice: ReLU for tanh, batch normalisation, maximum for trainable subsampling, and a head that says for each
position which place it shows.
""",
    "alexnet": """# AlexNet, layer by layer

AlexNet (Krizhevsky, Sutskever and Hinton, *ImageNet classification with deep convolutional neural networks*, 2012) won ImageNet with five convolutions
and three dense layers, ReLU, dropout and two graphics cards, each of which held half of the maps. `alexnet-2012` is the network as published, groups
and response normalisation included; `alexnet` keeps five convolutions and their poolings and renews the rest.
""",
    "pretrained": """# A pre-trained network, modified

EfficientNet-Lite0 has learned to see on a million photographs. Its first filters look for edges and colours, its later ones for parts of things. Three
modifications make it one for fields: a stem of four channels whose fourth, the ER, begins as the mean of the other three; a head that pools
evidence for 28 places; and training by stages, the new head first, then everything at a smaller rate. Its blocks widen the maps, filter each by
itself (depthwise) and narrow them again.
""",
}


def code_of(name: str) -> str:
    """The function that builds a network, without its docstring."""
    module, function = NETWORKS[name].split(":")
    source = inspect.getsource(getattr(import_module(module), function))
    head, _, rest = source.partition('"""')
    return head.rstrip() + "\n" + rest.partition('"""')[2].strip("\n")


def layer_table(facts: list[LayerFacts]) -> str:
    """Layers as a table of Markdown."""
    lines = [
        "| layer | kind | what comes out | window | stride | parameters | MMAC | sees, px | sees, µm |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in facts:
        if each.kind in SKIPPED:
            continue
        shape = " × ".join(map(str, each.shape))
        window = str(each.window) if each.window else "all"
        seen, um = (str(each.seen), f"{each.seen_um:g}") if each.seen else ("all", "all")
        lines.append(
            f"| `{each.name}` | {each.kind} | {shape} | {window} | {each.stride} | {each.parameters:,} "
            f"| {each.macs / 1e6:.2f} | {seen} | {um} |"
        )
    return "\n".join(lines)


def sheet(rows: list[list[np.ndarray]]) -> Image.Image:
    """Grey or coloured pictures in rows, each blown up to a tile without smoothing."""
    width = max(len(row) for row in rows) * (TILE + GAP) - GAP
    made = Image.new("RGB", (width, len(rows) * (TILE + GAP) - GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            tile = Image.fromarray(picture).convert("RGB").resize((TILE, TILE), Image.Resampling.NEAREST)
            made.paste(tile, (x * (TILE + GAP), y * (TILE + GAP)))
    return made


def grey(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as grey levels from `low`, black, to `high`, white."""
    return np.asarray(np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255)).astype(np.uint8)


def first_filters(network: "keras.Model") -> Image.Image:
    """The strongest filters of the first convolution: a row for each channel, mid-grey is zero."""
    kernel = next(np.asarray(layer.kernel) for layer in network.layers if getattr(layer, "kernel_size", None))
    strongest = np.argsort(-np.abs(kernel).sum((0, 1, 2)), kind="stable")[:FILTERS]
    reach = [np.abs(kernel[..., number]).max() for number in strongest]
    return sheet(
        [
            [grey(kernel[:, :, channel, number], -most, most) for number, most in zip(strongest, reach, strict=True)]
            for channel in range(kernel.shape[2])
        ]
    )


def feature_maps(network: "keras.Model", facts: list[LayerFacts], field: np.ndarray) -> tuple[Image.Image, list[str]]:
    """The liveliest maps of a few layers, from the finest grid to the coarsest, and those layers' names."""
    import keras

    grids: dict[int, str] = {}
    for each in facts:  # the last layer of each grid, but not the head's evidence
        if len(each.shape) == 3 and each.shape[0] > 1 and each.name not in ("evidence", "generalised_mean"):
            grids[each.shape[0]] = each.name
    names = [grids[side] for side in sorted(grids, reverse=True)][:LAYERS]
    outputs = keras.Model(network.input, [network.get_layer(name).output for name in names])(field[None])
    rows = []
    for output in outputs if len(names) > 1 else [outputs]:
        maps = np.asarray(output, np.float32)[0]
        liveliest = np.argsort(-maps.std((0, 1)), kind="stable")[:MAPS]
        rows.append([grey(maps[..., k], maps[..., k].min(), maps[..., k].max()) for k in liveliest])
    return sheet(rows), names


def evidence(network: "keras.Model", fields: list[np.ndarray], spec_fields: list[np.ndarray]) -> Image.Image:
    """Each field, its protein, and the evidence for the places that it is of."""
    rows = []
    for place, shown, field in zip(SHOWN_PLACES, fields, spec_fields, strict=True):
        maps = np.asarray(network(field[None], training=False)["evidence"], np.float32)[0]
        others = [other for other in SHOWN_PLACES if other != place]
        low, high = maps[..., list(SHOWN_PLACES)].min(), maps[..., list(SHOWN_PLACES)].max()
        wanted = [grey(maps[..., k], low, high) for k in (place, *others)]
        rows.append([composite(shown, TILE), grey(shown[..., 1], 0, np.percentile(shown[..., 1], 99.7)), *wanted])
    return sheet(rows)


def taught(name: str) -> str:
    """The verdicts on the iterations, and what they taught, as far as written down."""
    words = tomllib.loads((DOCS / "experiments.toml").read_text(encoding="utf-8"))["experiment"]
    experiment = next(each for each in words if each.get("folder") == name)
    verdicts = experiment.get("kept", {}) | experiment.get("dropped", {})
    lines = [f"- **{each}**: {verdicts[each]}" for each in sorted(verdicts)]
    return "\n".join([*lines, "", experiment.get("taught", "")]).strip()


def write_page(name: str, run: Run, docs: Path) -> None:
    """Writes one network's page and pictures into a folder of documentation."""
    recipe = run.recipe()
    network = load_network(run.best_model)
    facts = anatomy(network, recipe.data.input.field_um)
    drawn = [draw_field(11, seed=2018, size=256, places=[place]).pixels for place in SHOWN_PLACES]
    ready = [prepare(pixels, recipe.data.input).astype(np.float32) / 255 for pixels in drawn]
    pictures = docs / "images" / "networks"
    pictures.mkdir(parents=True, exist_ok=True)
    maps, names = feature_maps(network, facts, ready[0])
    shown = {"filters": first_filters(network), "maps": maps, "evidence": evidence(network, drawn, ready)}
    for kind, picture in shown.items():
        picture.save(pictures / f"{name}-{kind}.png", optimize=True)
    channels = recipe.network.options.get("channels", "RGBY")
    colours = ", ".join(CHANNEL_NAMES["RGBY".index(letter)] for letter in channels)
    options = ", ".join(f"{key} = {value!r}" for key, value in recipe.network.options.items()) or "its defaults"
    page = f"""{INTRODUCTIONS[name]}
The network below is `{recipe.network.name}` at {recipe.data.size} px with {options}: {network.count_params():,} parameters,
{sum(each.macs for each in facts) / 1e6:,.0f} million multiply-accumulates for a field. Its measured scores, and those of every other iteration:
[Three experiments](../logbooks/experiments.md).

```console
$ lociscope train {name} -o runs/{name}
```
<!-- tests: "train {name} -o" -> "train {name} -s data.fields=40 -s data.size=96 -s train.epochs=1 -o" -->

## The code

```py
{code_of(recipe.network.name)}
```

## Its layers

What a position *sees* is the part of the field that it can depend on, by window and stride of all layers before it: at {recipe.data.size} px a pixel is
{recipe.data.input.field_um / recipe.data.size:.2f} µm. Nuclei are 9–18 µm wide, nucleoli 1–3 µm, and a vesicle is below 1 µm. Activations, normalisation, padding
and dropout are left out: they change no shape.

{layer_table(facts)}

## Its first filters

The strongest of the first convolution, one row a channel ({colours}); mid-grey is zero, white positive, black negative.

![First filters](../images/networks/{name}-filters.png)

## What they make of a field

Mitochondria in simulated cells; a row for each of {", ".join(f"`{each}`" for each in names)}, its liveliest maps.

![Feature maps](../images/networks/{name}-maps.png)

## Where it looks

Two simulated fields, {" and ".join(LABELS[place].lower() for place in SHOWN_PLACES)}: the field, its protein, the evidence for its own place and that for
the other one. The logit of a place is pooled from this map, so it is the decision itself, not an explanation after the fact.

![Evidence](../images/networks/{name}-evidence.png)

## What the iterations taught

{taught(name)}
"""
    (docs / "networks").mkdir(exist_ok=True)
    (docs / "networks" / f"{name}.md").write_text(page, encoding="utf-8")


def main(words: list[str]) -> int:
    """Writes the pages that are asked for."""
    for word in words:
        name, _, folder = word.partition("=")
        write_page(name, Run.open(Path(folder)), DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
