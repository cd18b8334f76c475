from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Environment, Run
from lociscope.report.provenance import describe_recipe, describe_run

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = Environment(
    created="2026-01-02T03:04:05+00:00",
    seed=7,
    git=None,
    versions={"python": "3.11.7", "keras": "3.15.0"},
    machine="Linux x86_64",
    data=Provenance("simulated", fields=1440, seed=7),
    data_hash="0123456789abcdef" * 4,
    fields={"train": 1200, "valid": 240},
    parameters=60_000,
)


def test_facts_of_a_run_are_words(tmp_path: Path) -> None:
    recipe = Recipe.from_dict({"network": {"name": "lenet5", "modern": True}, "train": {"epochs": 3}}, "here")
    run = Run(tmp_path)
    recipe.write(run.recipe_file)
    run.environment_file.write_text(ENVIRONMENT.model_dump_json(by_alias=True), encoding="utf-8")
    facts = describe_run(run)
    assert facts == describe_recipe(recipe, ENVIRONMENT)
    assert facts["Network"] == "lenet5, modern = True; 60,000 parameters"
    assert facts["Input"] == "128 × 128 px, 1.28 µm/px"
    assert facts["Training"].startswith("3 epochs, batch 32, adam at 0.001")
    assert facts["Fields"] == "1,200 for training, 240 for validation"
    assert facts["Data"] == "1440 simulated fields of seed 7; sha256 0123456789ab…"
    assert facts["Code"] == "installed package"
    assert facts["Versions"] == "python 3.11.7, keras 3.15.0"
