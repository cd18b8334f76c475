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
# # A microscope that predictions steer
#
# After this notebook you can write a plan, let its rules observe before they act, read why each field was imaged again, and say what happens when focus,
# exposure or stage are wrong. The microscope is simulated: a plate of simulated cells under a camera, a stage, a focus and two objectives. With the
# configuration of a real one, the same code drives it ([how to](../how-to/microscope.md)).

# %%
# In Colab or Kaggle, install lociscope first: %pip install "lociscope[microscope,cells,report]"
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from lociscope import Catalog, run_microscope
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite
from lociscope.labels import LABELS
from lociscope.microscope.acquire import check_plan
from lociscope.microscope.autofocus import find_sharpest, measure_sharpness
from lociscope.microscope.plan import Plan
from lociscope.microscope.simulated.specimen import SimulatedPlate, View

# %% [markdown]
# ## A plan
#
# A plan says what to image, when to image a field again, and how far to move. This one images six wells, two fields each, and looks at fields with nucleoli
# at twice the zoom.

# %%
VALUES = Plan.read("simulated").model_dump(by_alias=True)
VALUES["rules"] = [{"when": "Nucleoli >= 0.5", "zoom": 2, "sites": 1, "most": 4}]
VALUES["budget"] = {"fields": 40, "minutes": 60.0}


def make_plan(**tables: dict[str, Any] | list[dict[str, Any]]) -> Plan:
    """Return the plan with some of its tables changed."""
    changed = {name: VALUES[name] | table if isinstance(table, dict) else table for name, table in tables.items()}
    return Plan.check(VALUES | changed, "the notebook's plan")


def read_lines(folder: str) -> list[dict[str, Any]]:
    """Return the decisions of a run, one dictionary for each field."""
    return [json.loads(line) for line in (Path(folder) / "decisions.jsonl").read_text().splitlines()]


# %% [markdown]
# ## Observe first
#
# In the mode `observe` rules are evaluated and logged, and request nothing: the plate is imaged as it would be anyway. `because` has the number that the rule
# compared, `wanted` what it would have imaged.

# %%
result = run_microscope(make_plan(), "acquired", mode="observe")
print(result.fields, "fields,", result.requested, "requested")
for line in read_lines("acquired"):
    verdict = line["rules"][0]
    names = ", ".join(LABELS[number] for number in line["predicted"])
    print(f"{line['field']}  {verdict['verdict']:6} {verdict['because']['Nucleoli']:.2f}  {names or line['status']}")

# %% [markdown]
# The true locations of the simulated wells are in the Catalog, so the rule can be judged before it steers anything.

# %%
catalog = Catalog.read("acquired/catalog.parquet")
truth = {entry.id: LABELS.index("Nucleoli") in (entry.target or ()) for entry in catalog}
met = {line["field"]: line["rules"][0]["verdict"] == "again" for line in read_lines("acquired")}
right = sum(truth[name] for name, wants in met.items() if wants)
print(f"the rule wants {sum(met.values())} fields, of which {right} have nucleoli; {sum(truth.values())} have them")

# %% [markdown]
# ## Then act
#
# The same folder, in the mode `act`: the plate is not imaged again, only what the rule wanted. A requested field confirms or refutes its rule.

# %%
result = run_microscope(make_plan(), "acquired", mode="act")
print(result.new, "new fields")
for line in read_lines("acquired"):
    if line["rule"]:
        print(f"{line['field']}  {line['rules'][0]['verdict']}  {line['rules'][0]['because']['Nucleoli']:.2f}")

# %%
sources = {source.id: source for source in read_catalog_sources(Catalog.read("acquired/catalog.parquet"))}
again = next(line for line in read_lines("acquired") if line["rule"])
fig, axes = plt.subplots(1, 2, figsize=(8, 4))
for axis, name in zip(axes, (again["of"], again["field"]), strict=True):
    field = read_field(sources[name])
    axis.imshow(render_composite(field.pixels, 512))
    axis.set_title(f"{name}, {field.pixel_size:g} µm a pixel", fontsize=9)
    axis.axis("off")

# %% [markdown]
# The images are one OME-Zarr plate, which napari and Vizarr open; predictions lie beside it.

# %%
plate = json.loads(Path("acquired/plate.ome.zarr/zarr.json").read_text())["attributes"]["ome"]["plate"]
print(
    "wells", [well["path"] for well in plate["wells"]], "acquisitions", [each["name"] for each in plate["acquisitions"]]
)
print(again["field"], "is", again["image"])

# %% [markdown]
# ## Out of focus
#
# With `autofocus_um` in the plan, a field with the warning `unsharp` is focused by its own images and imaged again; rules look at that one. The warning compares
# the spectrum of the microtubules with that of real fields in focus. The noise of this simulated camera hides blur from it, so here is the search alone: it
# images the red channel at up to 13 heights, and fits the peak of their sharpness. The cells are at 0 µm, the search begins 7 µm above.

# %%
one_well = {"wells": ["A1"], "sites": (1, 1)}
plan = make_plan(rules=[], plate=one_well)
position, cells, rng = check_plan(plan).positions[0], SimulatedPlate(plan, 0.64), np.random.default_rng(0)
seen = {}


def measure(z: float) -> float:
    """Return the sharpness at a height."""
    image = cells.take_image(View(position.x, position.y, z, 0.64, 256, 100.0), 0, rng)
    seen[z] = measure_sharpness(image)
    return seen[z]


found = find_sharpest(measure, 7.0, 12.0)
plt.figure(figsize=(6, 3))
plt.plot(list(seen), list(seen.values()), "o")
plt.axvline(found, color="grey")
plt.xlabel("height, µm")
plt.ylabel("sharpness")
print(f"found at {found:.2f} µm, with {len(seen)} images")

# %% [markdown]
# ## Saturated
#
# The protein is exposed 16 times too long. With `shorten`, its exposure is halved until the camera's range is enough.

# %%
green = {"green": {"preset": "green", "exposure_ms": 1600.0}}
result = run_microscope(make_plan(rules=[], plate=one_well, channels=green, quality={"shorten": 5}), "exposure")
for line in read_lines("exposure"):
    exposures = line["exposures"] or [100, 1600, 100, 100]
    print(f"{line['field']:14} green {exposures[1]:6.0f} ms  {'; '.join(line['warnings']) or 'no warning'}")

# %% [markdown]
# ## Drift
#
# The plate creeps by 5 µm a minute while a time series is taken, one image a minute. Each time point is registered on the first image by its reference
# channels. Without a correction the cells would leave the field; with it, each image is off by what the plate crept since the last one.

# %%
series = [{"when": "Nucleoli >= 0.5", "times": 6, "every_s": 60.0, "most": 6}]
creeping = make_plan(
    rules=series, plate=one_well, quality={"drift_um": 60.0}, specimen={"drift": (4.0, -3.0), "pace": 0.05}
)
run_microscope(creeping, "drift")
points = [line for line in read_lines("drift") if line["time"]]
minutes = np.array([line["at_s"] for line in points]) / 60
off = np.array([np.hypot(*line["drift_um"]) for line in points])
crept = np.array([np.hypot(*(np.array(line["drift_um"]) - line["shift_um"])) for line in points])
plt.figure(figsize=(6, 3))
plt.plot(minutes, crept, "o--", label="without the correction")
plt.plot(minutes, off, "o-", label="with it")
plt.xlabel("minutes")
plt.ylabel("off by, µm")
plt.legend()
print(f"largest distance: {off.max():.1f} µm, {crept.max():.1f} µm without the correction")

# %% [markdown]
# ## What happens when something fails
#
# | fault | what the run does | where to look |
# |---|---|---|
# | a field is unsharp | focuses by images, images it again | `<id>-focus`, `focus` |
# | a channel is saturated | halves its exposure, images the field again | `<id>-short1`, `exposures` |
# | the stage drifts | registers what is imaged again, corrects the next | `drift_um`, `shift_um` |
# | the camera times out, once | takes the image again | `quality.retries` |
# | a position fails again and again | leaves it out; the same command tries it again | `left.csv`, `quality.skip` |
# | a lamp, a filter or a shutter: a reference channel stays dark | ends, and names the channel, lamp and filter | `quality.dark_fields` |
# | the immersion must change | waits for a person | the page, the terminal, `answers.jsonl` |
# | the disk is nearly full, the share is gone | ends; the same command resumes | the error message |
# | the predictor or a driver hangs | ends, shutters closed | `microscope.timeout_s` |
#
# The [page about real microscopes](../how-to/microscope.md#when-something-fails) has all of them, and what a person must do before the first move.
