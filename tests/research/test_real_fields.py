"""The yardstick, on a Run of simulated cells and on pictures made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.channels import CHANNEL_NAMES
from lociscope.decide.prior import HPA_2018
from lociscope.labels import to_multi_hot
from lociscope.simulate import label_sets, simulate_field
from lociscope.training.feature_trainer import fit, prepare_datasets

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("research/real_fields")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """MODEL and the three options: a features Run, four fields, two dictionary pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("real")
    recipe = Recipe.read(
        "features", {"data.fields": 16, "data.simulated_size": 128, "data.valid": 0.3, "network.head": "linear"}
    )
    fit(recipe, prepare_datasets(recipe, None, folder / "packed", []), folder / "run")
    (folder / "fields").mkdir()
    (folder / "dictionary").mkdir()
    lines = []
    for index in range(4):
        field = simulate_field(index, seed=3, size=128)
        lines.append(f"f{index},{' '.join(map(str, field.target))}")
        for channel, name in enumerate(CHANNEL_NAMES):
            Image.fromarray(field.pixels[..., channel]).save(folder / "fields" / f"f{index}_{name}.png")
    (folder / "fields.csv").write_text("Id,Target\n" + "\n".join(lines) + "\n")
    rows = ["file,class_index,class_name,um_per_px,has_red"]
    for index, place in enumerate((0, 25)):
        pixels = simulate_field(index, seed=4, size=300, pixel_size=0.2, locations=(place,)).pixels
        Image.fromarray(pixels[..., :3]).save(folder / "dictionary" / f"{place}.jpg", quality=92)
        rows.append(f"{place}.jpg,{place},x,{'0.2' if index else ''},yes")
    (folder / "dictionary" / "labels.csv").write_text("\n".join(rows) + "\n")
    options = ["--fields", "fields", "--labels", "fields.csv", "--dictionary", "dictionary"]
    return [str(folder / "run"), *(word if word.startswith("--") else str(folder / word) for word in options)]


@pytest.mark.slow
def test_json_holds_four_scores(script: ModuleType, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["lrap", "macro_auc", "dictionary_lrap", "dictionary_top3"]
    assert {tuple(each) for each in found.values()} == {("value", "low", "high", "n")}
    assert found["lrap"]["n"] == 4
    assert found["dictionary_lrap"]["n"] == 2
    assert 0 < found["lrap"]["low"] <= found["lrap"]["value"] <= found["lrap"]["high"] <= 1


def test_scores_are_kept_where_a_run_finds_them(script: ModuleType, words: list[str]) -> None:
    assert script.main([*words, "--keep", "--json"]) == 0
    (name, found), *others = Run(Path(words[0])).read_scores().items()
    assert (name, others) == ("real_fields", [])
    assert found["dictionary_top3"]["n"] == 2


def test_a_bundle_keeps_nothing(
    script: ModuleType, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MANIFEST").touch()
    assert script.main([str(tmp_path), *words[1:], "--keep"]) == 1
    assert "is a Bundle, and scores are kept in a Run" in capsys.readouterr().err


def test_the_table_names_gains_and_classes(
    script: ModuleType, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(words) == 0
    said = capsys.readouterr().out
    assert "gain over the prior, paired" in said
    assert "Nucleoplasm" in said


@pytest.mark.parametrize(
    ("option", "message"), [("--fields", "no PNG"), ("--labels", "label table"), ("--dictionary", "no table")]
)
def test_what_is_not_there_is_one_sentence(
    script: ModuleType, words: list[str], option: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = list(words)
    changed[changed.index(option) + 1] = str(tmp_path / "nowhere")
    assert script.main(changed) == 1
    told = capsys.readouterr().err
    assert told.startswith("real_fields: ")
    assert "nowhere" in told
    assert "Traceback" not in told


def test_a_picture_of_other_colours_is_refused(script: ModuleType, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "grey.jpg")
    with pytest.raises(script.LociscopeError, match="mode L"):
        script.picture(tmp_path / "grey.jpg", "JPEG", "RGB")


def test_views_have_the_extent_that_a_network_wants(script: ModuleType) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (820, 820, 4), np.uint8)
    (small,) = script.views_of(pixels, 0.085, 164.0)
    assert small.shape == (1929, 1929, 4)
    np.testing.assert_allclose(small.mean(), pixels.mean(), rtol=0.01)
    parts = script.views_of(pixels, 0.3, 164.0)
    assert len(parts) == 4
    assert {part.shape for part in parts} == {(547, 547, 4)}
    np.testing.assert_array_equal(parts[-1][-1, -1], pixels[-1, -1])


def test_the_prior_is_that_of_the_simulated_label_sets() -> None:
    sets, chances = label_sets()
    np.testing.assert_allclose((to_multi_hot(sets) * chances[:, None]).sum(axis=0), HPA_2018, rtol=1e-9)


def test_real_fields_are_read(script: ModuleType, words: list[str], real_data: Path) -> None:
    found = script.read_dictionary(real_data / "hpa_dictionary", lambda pixels, size: np.full(28, size))
    assert found.raw.shape == found.truth.shape
    assert (found.truth.sum(axis=1) == 1).all()
    assert 0.07 < found.raw.min() <= found.raw.max() < 0.13
