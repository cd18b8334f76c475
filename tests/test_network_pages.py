"""The pages of the networks say what is so: made of three small networks that learned nothing."""

from __future__ import annotations

import ast
import re
import shlex
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.recipe_changes import parse_changes
from lociscope.artifacts.run import Run
from lociscope.errors import LociscopeError
from lociscope.models import build_network
from lociscope.models.cost import count_macs

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[1] / "docs"
SIZE = 64
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet5": {"network.downsample": 1, "network.channels": "GB"},
    "alexnet": {"network.stem": "11x11", "network.downsample": 4, "network.width": 0.1},
    "pretrained": {"network.weights": "none"},
}


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("docs/_generate/network_pages")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Finished Runs of the three, untrained."""
    made = {}
    for name, changes in NETWORKS.items():
        run = Run(tmp_path_factory.mktemp(name))
        recipe = Recipe.read(name, {"data.size": SIZE, **changes})
        recipe.write(run.recipe_file)
        build_network(name, SIZE, recipe.network.options).save(run.best_model)
        run.mark_done()
        made[name] = run
    return made


@pytest.fixture(scope="module")
def pages(script: ModuleType, runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of documentation with the three pages."""
    docs = tmp_path_factory.mktemp("docs")
    assert script.main([f"{name}={run.folder}" for name, run in runs.items()], docs) == 0
    return docs


def text_of(pages: Path, name: str) -> str:
    return (pages / "networks" / f"{name}.md").read_text(encoding="utf-8")


def table_of(text: str) -> dict[str, list[str]]:
    """The columns of each layer behind its name."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    return {name: columns.split(" | ") for name, columns in rows}


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_are_those_of_the_network(pages: Path, runs: dict[str, Run], name: str) -> None:
    network = build_network(name, SIZE, runs[name].read_recipe().network.options)
    text = text_of(pages, name)
    assert f"at {SIZE} px" in text
    macs = count_macs(network)
    assert macs is not None
    assert f"{network.count_params():,} parameters,\n{macs / 1e6:,.0f} million multiply-accumulates" in text
    table = table_of(text)
    assert set(table) <= {layer.name for layer in network.layers}
    for layer in network.layers:
        if hasattr(layer, "kernel_size") or "Pooling" in type(layer).__name__:
            kind, shape, _, _, parameters, *_ = table[layer.name]
            assert kind == type(layer).__name__
            assert shape == " × ".join(map(str, layer.output.shape[1:]))
            assert parameters == f"{layer.count_params():,}"


@pytest.mark.parametrize(
    ("name", "layer", "window", "stride", "seen"),
    [
        ("lenet5", "C1", 5, 1, 5),
        ("lenet5", "S4", 2, 2, 16),  # as in 1998
        ("alexnet", "conv1", 11, 4, 11),
        ("alexnet", "conv5", 3, 1, 163),  # Araujo et al. 2019, table 1
        ("pretrained", "stem_conv", 3, 2, 3),
        ("pretrained", "block1a_depthwise", 3, 1, 7),
    ],
)
def test_layers_see_what_is_known(pages: Path, name: str, layer: str, window: int, stride: int, seen: int) -> None:
    text = text_of(pages, name)
    *_, said_window, said_stride, _, _, px, um = table_of(text)[layer]
    assert (int(said_window), int(said_stride), int(px)) == (window, stride, seen)
    assert um == f"{seen * 164 / SIZE:.1f}"
    assert f"a pixel is\n{164 / SIZE:.2f} µm" in text
    assert ("px is padding" in text) == (name != "lenet5")  # which sees 36 of 64 px


@pytest.mark.parametrize("name", NETWORKS)
def test_code_is_python_and_links_lead_somewhere(pages: Path, name: str) -> None:
    text = text_of(pages, name)
    functions = [
        statement.name
        for block in re.findall(r"^```py\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        for statement in ast.parse(block).body
        if isinstance(statement, ast.FunctionDef)
    ]
    assert functions[0] == name
    assert functions[-2:] == ["location_head", "_pool_evidence"]
    links = re.findall(r"\]\(([^)#\s]+)\)", text)
    assert len([link for link in links if link.endswith(".png")]) == 3
    for link in links:
        folder = pages if link.endswith(".png") else DOCS
        assert (folder / "networks" / link).resolve().is_file(), link


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", ["filters", "maps", "evidence"])
def test_pictures_show_something(pages: Path, name: str, kind: str) -> None:
    shown = np.asarray(Image.open(pages / "images" / "networks" / f"{name}-{kind}.png"), float)
    assert shown.shape[1] > 400
    inner = shown[30 : 30 + 40]  # of the first row, below its captions
    assert inner.std() > 5


@pytest.mark.parametrize("name", NETWORKS)
def test_the_command_trains_the_same_layers(pages: Path, runs: dict[str, Run], name: str) -> None:
    text = text_of(pages, name)
    line = next(line for line in text.splitlines() if line.startswith("$ lociscope "))
    _, _, train, recipe, *rest = shlex.split(line)
    assert (train, recipe) == ("train", name)
    settings = [value for flag, value in pairwise(rest) if flag == "--set"]
    wanted = runs[name].read_recipe()
    given = Recipe.read(name, parse_changes(settings))
    assert given.data.size == SIZE
    assert build_network(name, SIZE, given.network.options).get_config() == (
        build_network(name, SIZE, wanted.network.options).get_config()
    )
    (note,) = re.findall(r'<!-- tests: "([^"]+)" -> "[^"]+" -->', text)
    assert note in line


def test_a_run_of_another_network_is_refused(script: ModuleType, runs: dict[str, Run], tmp_path: Path) -> None:
    for word in (f"alexnet={runs['lenet5'].folder}", f"small={runs['lenet5'].folder}"):
        with pytest.raises(LociscopeError, match=r"No page '\w+' of a Run of 'lenet5'\. Give lenet5=RUN, "):
            script.main([word], tmp_path)
    assert not list(tmp_path.iterdir())


# === What the iterations taught ===


def test_it_is_renewed_where_words_or_figures_changed(
    script: ModuleType, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = text_of(pages, "lenet5")
    script.main([], pages)
    assert text_of(pages, "lenet5") == before
    monkeypatch.setattr(script.logbook, "read_words", lambda: [{"folder": "lenet5", "title": "?", "taught": "Much."}])
    script.renew(pages / "networks" / "lenet5.md")
    after = text_of(pages, "lenet5")
    assert after.endswith(f"{script.TAUGHT}\nMuch.\n{script.NEXT}")
    assert after.partition(script.TAUGHT)[0] == before.partition(script.TAUGHT)[0]


def test_every_iteration_is_listed_with_its_verdict(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    gain = {"macro_average_precision": {"value": 0.1, "low": 0.05, "high": 0.2, "n": 9}}
    rows = [
        {"name": "01", "base": "01", "note": "As it was.", "gains": {}},
        {"name": "02", "base": "01", "note": "Wider.", "gains": gain},
        {"name": "03", "base": "01", "note": "Deeper.", "gains": gain},
        {"name": "04", "base": "04", "note": "Elsewhere.", "gains": {}},
        {"name": "05", "base": "04", "note": "Elsewhere too.", "gains": {"macro_average_precision": None}},
    ]
    words = {"folder": "lenet5", "title": "L", "taught": "Much.", "kept": {"02": "sure."}, "dropped": {"03": ""}}
    monkeypatch.setattr(script.logbook, "read_words", lambda: [words])
    figures = SimpleNamespace(read_text=lambda **_: script.json.dumps({"L": {"rows": rows}}))
    monkeypatch.setattr(script.logbook, "FIGURES", figures)
    told = script.taught("lenet5").splitlines()
    assert told[2:5] == [
        "- `01` As it was. The base.",
        "- `02` Wider. **+0.100** (0.050–0.200), adopted: sure.",
        "- `03` Deeper. **+0.100** (0.050–0.200), not adopted.",
    ]
    assert told[6] == "- `05` Elsewhere too. Other fields, not comparable."
    assert told[-1] == "Much."
    words.pop("taught")
    rows.clear()
    assert script.taught("lenet5") == "No iteration is finished yet."


def test_pages_report_what_the_logbook_reports(script: ModuleType) -> None:
    for file in (DOCS / "networks").glob("*.md"):
        assert file.read_text(encoding="utf-8").endswith(script.ending(file.stem)), (
            "run docs/_generate/network_pages.py"
        )


# === The pictures ===


def test_signs_and_greys(script: ModuleType) -> None:
    pictures = script.pictures
    shown = pictures.signed(np.array([[-2.0, 0.0, 1.0, 9.0]]), 2.0)
    assert tuple(shown[0, 0]) == pictures.BLUE
    assert tuple(shown[0, 1]) == (255, 255, 255)
    assert tuple(shown[0, 3]) == pictures.RED
    np.testing.assert_allclose(shown[0, 2], (255 + np.array(pictures.RED)) / 2, atol=1)
    np.testing.assert_array_equal(pictures.grey(np.array([[-1.0, 0.0, 1.0]])), [[0, 127, 255]])
    assert not pictures.grey(np.ones((2, 2))).any()


def test_filters_stand_in_columns_from_the_strongest(script: ModuleType) -> None:
    network = build_network("lenet5", 32, {"channels": "GB"})
    kernel = np.zeros(network.get_layer("C1").kernel.shape, np.float32)
    kernel[:, :, 0, 3], kernel[:, :, 1, 3] = 2, -1  # the strongest: protein for it, nucleus against it
    kernel[:, :, 1, 0] = 1
    network.get_layer("C1").set_weights([kernel])
    shown = np.asarray(script.pictures.first_filters(network, "GB")).astype(int)
    side, strip, gap = 55, script.pictures.STRIP, script.pictures.GAP
    rows, columns = (strip + 20, strip + side + gap + strip + 20), (20, 20 + side + gap, 20 + 2 * (side + gap))
    assert tuple(shown[rows[0], columns[0]]) == script.pictures.RED
    assert shown[rows[1], columns[0], 2] > shown[rows[1], columns[0], 0]  # blue, half as strong
    assert tuple(shown[rows[0], columns[1]]) == (255, 255, 255)
    assert tuple(shown[rows[1], columns[1]]) == script.pictures.RED
    assert tuple(shown[rows[0], columns[2]]) == (255, 255, 255)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("lenet5", ["C1_relu", "C3_relu", "F6_relu"]),
        ("alexnet", ["conv1_relu", "conv2_relu", "conv5_relu"]),
        ("pretrained", ["block2a_expand_relu", "block3a_expand_relu", "block4a_expand_relu", "block6a_expand_relu"]),
    ],
)
def test_the_last_layer_of_each_grid_is_shown(
    script: ModuleType, runs: dict[str, Run], name: str, layers: list[str]
) -> None:
    network = build_network(name, SIZE, runs[name].read_recipe().network.options)
    assert [each.name for each in script.pictures.shown_layers(script.analyze_layers(network))][: len(layers)] == layers


def test_evidence_is_coloured_by_its_sign(script: ModuleType) -> None:
    """A network that finds the first place everywhere and the second nowhere."""

    def network(x: np.ndarray, training: bool) -> dict[str, np.ndarray]:
        assert not training
        signs = np.array([4.0, -4.0], np.float32)
        return {"evidence": np.tile(signs, (1, 4, 4, 1)), "probabilities": 1 / (1 + np.exp(-signs))[None]}

    fields = [np.random.default_rng(0).integers(0, 255, (32, 32, 4), np.uint8)] * 2
    made = script.pictures.evidence(network, (0, 1), fields, [field / 255 for field in fields])
    shown, side = np.asarray(made), 2 * script.pictures.TILE + script.pictures.GAP
    assert tuple(shown[60, 2 * side + 20]) == script.pictures.RED
    assert tuple(shown[60, 3 * side + 20]) == script.pictures.BLUE
