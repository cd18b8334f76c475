"""Writes docs/networks/NAME.md and its pictures of a trained network: code, layers, filters, feature maps, evidence.

    python docs/_generate/network_pages.py lenet5=RUN alexnet=RUN pretrained=RUN
    python docs/_generate/network_pages.py

RUN is a finished Run of that network. The second writes anew only what the iterations taught, of the pages that are
there: it stands in research/logbooks/experiments.toml and research/logbooks/experiments.json (see docs/_generate/experiments_page.py).
"""

from __future__ import annotations

import inspect
import json
import shlex
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import experiments_page as logbook  # type: ignore[import-not-found] # the scripts beside this one
import network_pictures as pictures  # type: ignore[import-not-found]
import numpy as np
from layer_facts import LayerFacts, analyze_layers  # type: ignore[import-not-found]

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.channels import CHANNELS
from lociscope.errors import LociscopeError
from lociscope.images.preprocess import prepare
from lociscope.labels import LABELS
from lociscope.models import load_network
from lociscope.report.candidates import diff_recipes
from lociscope.simulate import simulate_field

DOCS = Path(__file__).parents[1]
SHOWN_LOCATIONS = (23, 2)
"""Mitochondria and nucleoli: a fine texture in the cytoplasm, and large spots in the nucleus."""
SKIPPED = {"Activation", "ReLU", "BatchNormalization", "Dropout", "ZeroPadding2D"}
"""Layers that change no shape, left out of the table: each follows the convolution above it."""
LITE = "efficientnet-lite0"
PARTS = {
    "lenet5": ("lociscope.models.lenet5:lenet5",),
    "alexnet": ("lociscope.models.alexnet:alexnet",),
    "pretrained": ("lociscope.models.pretrained:pretrained", "lociscope.models.efficientnet_lite:lite_features"),
}
"""The functions that build each network but for its head."""
HEAD_PARTS = ("lociscope.models.heads:location_head", "lociscope.models.heads:_pool_evidence")
TAUGHT = "## What the iterations taught\n"
NEXT = """
Next: [train](../how-to/train.md) one of your own with one change, [compare](../how-to/compare.md) the two, or let [tune](../how-to/tune.md) search.
"""

INTRODUCTIONS = {
    "lenet5": """# LeNet-5, layer by layer

LeNet-5 (LeCun, Bottou, Bengio and Haffner, *Gradient-based learning applied to document recognition*, 1998) read the digits on cheques. All
networks here still follow its design: small filters that are the same everywhere (convolution), a coarser grid that discards exact positions
(pooling), and the same again on the output of the first filters. `lenet5-1998` is the network as published, adapted to four channels and 28 locations;
`lenet5` keeps the order of its layers and updates each choice: 16 and 32 maps for 6 and 16 in C1 and C3, a stride of 2 in C1, ReLU for tanh, batch
normalisation, maximum for trainable subsampling, full for partial connection, and a head that predicts a location at each position.
""",
    "alexnet": """# AlexNet, layer by layer

AlexNet (Krizhevsky, Sutskever and Hinton, *ImageNet classification with deep convolutional neural networks*, 2012) won ImageNet with five convolutions
and three dense layers, ReLU, dropout and two GPUs, each with half of the maps. `alexnet-2012` is the network as published, including groups
and response normalisation; `alexnet` keeps five convolutions and the first two of their three poolings and updates the rest.
""",
    "pretrained": """# A pre-trained network, modified

Transfer learning: EfficientNet-Lite0 was pre-trained on a million photographs. Its first filters respond to edges and colours, its later ones to parts of objects. Three
modifications adapt it to fields: a stem of four channels, of which three are initialised with the filters for colours and the fourth, the ER, with
their mean or with zeros; a head that pools evidence for 28 locations; and fine-tuning in stages, the new head first, then all layers at a smaller
rate. Its blocks expand the maps, filter each separately (depthwise) and reduce their number again.
""",
}


def code_of(part: str) -> str:
    """A function, without its docstring."""
    module, name = part.split(":")
    function = getattr(import_module(module), name)
    source = inspect.getsource(function)
    head, _, rest = source.partition('"""')
    return head.rstrip() + "\n" + rest.partition('"""')[2].strip("\n")


def layer_table(facts: list[LayerFacts]) -> str:
    """Layers as a table of Markdown."""
    lines = [
        "| layer | kind | output | window | stride | parameters | MMAC | receptive field, px | µm |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in facts:
        if each.kind in SKIPPED:
            continue
        shape = " × ".join(map(str, each.shape))
        window = str(each.window) if each.window else "all"
        px, um = "all", "all"
        if each.receptive_field is not None:
            px, um = str(each.receptive_field), f"{each.receptive_field_um:.1f}"
        lines.append(
            f"| `{each.name}` | {each.kind} | {shape} | {window} | {each.stride} | {each.parameters:,} "
            f"| {each.macs / 1e6:.2f} | {px} | {um} |"
        )
    return "\n".join(lines)


def ending(name: str) -> str:
    """The last of a page: what the iterations taught, and where to go."""
    return f"{TAUGHT}\n{taught(name)}\n{NEXT}"


def taught(name: str) -> str:
    """Each iteration, what it gained and the verdict, then what they taught: as far as written down."""
    experiment = next(each for each in logbook.read_words() if each.get("folder") == name)
    figures = json.loads(logbook.FIGURES.read_text(encoding="utf-8"))
    rows = figures.get(experiment["title"], {"rows": []})["rows"]
    told = [_iteration(row, *logbook.find_verdict(experiment, row["name"])) for row in rows]
    legend = "The number is the gain in average precision over the base, with its 90 % interval; bold where that leaves 0 out."
    parts = [f"{legend}\n" if told else "", "\n".join(told), "", experiment.get("taught", "")]
    return "\n".join(parts).strip() or "No iteration is finished yet."


def _iteration(row: dict[str, Any], adopted: str, reason: str) -> str:
    if row["name"] == row["base"]:
        return f"- `{row['name']}` {row['note']} The base."
    gain = logbook.gained(row["gains"].get("macro_average_precision")) or "Other fields, not comparable"
    verdict = {"yes": ", adopted", "no": ", not adopted"}.get(adopted, "") + (f": {reason}" if reason else "")
    return f"- `{row['name']}` {row['note']} {gain}{verdict.rstrip('.')}."


def command(name: str, recipe: Recipe) -> str:
    """The command that trains a network of the same layers, and the smaller numbers that the tests run it with."""
    settings = [
        f"--set {shlex.quote(f'{key}={now}')}"
        for key, _, now in diff_recipes(recipe, Recipe.read(name))
        if key.startswith("network.") or key == "data.size"
    ]
    output = f"-o runs/{name}"
    small = "-s data.fields=24 -s data.size=64 -s train.epochs=1 -s stages=[]"
    return f"""```console
$ {" ".join(["lociscope train", name, *settings, output])}
```
<!-- tests: "{output}" -> "{small} {output}" -->"""


@cache
def shown_fields() -> list[np.ndarray]:
    """Pixels (256, 256, 4) of a simulated field for each of the shown locations."""
    return [simulate_field(11, seed=2018, size=256, locations=[location]).pixels for location in SHOWN_LOCATIONS]


def write_page(name: str, run: Run, docs: Path) -> None:
    """Writes one network's page and pictures into a folder of documentation.

    Raises:
        LociscopeError: There is no such page, or the Run is not of its network.
    """
    recipe = run.read_recipe()
    if name not in PARTS or recipe.network.name != name or recipe.network.options.get("backbone", LITE) != LITE:
        raise LociscopeError(
            f"No page {name!r} of a Run of {recipe.network.name!r}. Give {', '.join(f'{each}=RUN' for each in PARTS)}."
        )
    network = load_network(run.best_model)
    facts = analyze_layers(network, recipe.data.input.field_um)
    shown = pictures.shown_layers(facts)
    channels = recipe.network.options.get("channels", "RGBY")
    simulated = shown_fields()
    ready = [prepare(pixels, recipe.data.input).astype(np.float32) / 255 for pixels in simulated]
    (docs / "images" / "networks").mkdir(parents=True, exist_ok=True)
    for kind, picture in {
        "filters": pictures.first_filters(network, channels),
        "maps": pictures.feature_maps(network, shown, ready[0]),
        "evidence": pictures.evidence(network, SHOWN_LOCATIONS, simulated, ready),
    }.items():
        picture.save(docs / "images" / "networks" / f"{name}-{kind}.png", optimize=True)
    (docs / "networks").mkdir(exist_ok=True)
    text = page(name, recipe, network.count_params(), facts, f"{run.folder.parent.name}/{run.folder.name}")
    (docs / "networks" / f"{name}.md").write_text(text, encoding="utf-8")


def page(name: str, recipe: Recipe, parameters: int, facts: list[LayerFacts], run: str) -> str:
    """The words of one network's page; `run` is what the pictures are of."""
    size, field_um = recipe.data.size, recipe.data.input.field_um
    options = ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in recipe.network.options.items())
    stains = ", ".join(
        CHANNELS["RGBY".index(letter)].stain for letter in recipe.network.options.get("channels", "RGBY")
    )
    names = " and ".join(LABELS[location].lower() for location in SHOWN_LOCATIONS)
    wider = any(each.receptive_field is not None and each.receptive_field > size for each in facts)
    spread = (
        " Here a position can depend on the whole field: the map says\nwhere the evidence is summed, not where the protein is."
        if wider
        else ""
    )
    code = "\n\n\n".join(code_of(part) for part in PARTS[name])
    head = "\n\n\n".join(code_of(part) for part in HEAD_PARTS)
    return f"""{INTRODUCTIONS[name]}
The network below is `{name}` at {size} px with {options or "its defaults"}: {parameters:,} parameters,
{sum(each.macs for each in facts) / 1e6:,.0f} million multiply-accumulates (MMAC) for a field. [Experiments](../logbooks/experiments.md) gives its scores and those of
all other iterations; the pictures are of `{run}`. Another network of the same layers is trained by

{command(name, recipe)}

## The code

```py
{code}
```

All networks end in the same head: a 1 × 1 convolution makes a map of evidence for each of the 28 locations, and pooling makes one logit of each map.

```py
{head}
```

## Its layers

The *receptive field* of a position is the part of the field that it can depend on, given window and stride of all layers before it: at {size} px a pixel is
{field_um / size:.2f} µm. Nuclei are 9–18 µm wide, nucleoli 1–3 µm, and a vesicle is below 1 µm. {"What is more than the field's " + str(size) + " px is padding. " if wider else ""}Activations,
normalisation, padding and dropout are left out: they change no shape. The parameters missing from the sum belong to batch normalisation.

{layer_table(facts)}

## Its first filters

The strongest filters of the first convolution: a column is a filter, a row one of its input channels ({stains}). Red weights are positive, blue ones negative, white is zero; each filter has its own scale.

![First filters](../images/networks/{name}-filters.png)

## Feature maps of a field

Simulated cells with a protein in the mitochondria: the four input channels, then, from the finest grid to the coarsest, the last layer of each. The first
image of a row is the protein with the receptive field of the middle position as a square; then the maps that vary most, each from black, its least, to white, its most.

![Feature maps](../images/networks/{name}-maps.png)

## Heat maps of evidence

Two simulated fields, {names}: the field, its protein, and a heat map of the evidence for both locations, red for and blue against, on one scale in each row; the number is the
predicted probability. The logit of a location is pooled from its map, so the map is what the decision is computed from, not an explanation after the fact.{spread}

![Evidence](../images/networks/{name}-evidence.png)

{ending(name)}"""


def renew(file: Path) -> None:
    """Writes what the iterations taught, and what follows, into a page that is there."""
    text = file.read_text(encoding="utf-8").partition(TAUGHT)[0]
    file.write_text(text + ending(file.stem), encoding="utf-8")


def main(words: list[str], docs: Path = DOCS) -> int:
    """Writes the pages that are asked for, or renews those that are there."""
    for word in words:
        name, _, folder = word.partition("=")
        write_page(name, Run.open(Path(folder)), docs)
    if not words:
        for file in sorted((docs / "networks").glob("*.md")):
            renew(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
