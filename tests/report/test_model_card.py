"""The text of model cards, by the kind of the model, its classes, its input and its trainings."""

from __future__ import annotations

from typing import Any

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.card import Card, Decision, InputSpec
from lociscope.labels import LABELS, N_LABELS
from lociscope.report.card_page import UNKNOWN, card_to_markdown
from lociscope.report.model_card import EXPLAINED, KINDS, make_model_card


def training(name: str, seed: int = 0, **others: Any) -> dict[str, Any]:
    recipe = {
        "network": {"name": name},
        "train": {"loss": "bce", "optimizer": "adam", "learning_rate": 0.001, "epochs": 3},
    }
    data = {"kind": "simulated", "fields": 2000, "seed": 1}
    return {"recipe": recipe, "seed": seed, "data": data, "parameters": 1234, **others}


def card_of(**changes: Any) -> Card:
    given: dict[str, Any] = {
        "name": "m",
        "version": "1",
        "created": "2026-01-01T00:00:00+00:00",
        "licence": "MIT",
        "input": InputSpec(height=64, width=64, low=0.5, high=99.9),
        "decide": Decision(policy="expected", thresholds=(0.5,) * N_LABELS),
        "provenance": training("lenet5"),
        "limits": "For tests.",
    }
    return Card(**{**given, **changes})


def rows_of(card: Card, title: str) -> dict[str, str]:
    section = next(each for each in make_model_card(card, "0" * 64).sections if each.title == title)
    assert section.table is not None
    return {row[-2]: row[-1] for row in section.table.rows}


def test_a_network_of_all_classes() -> None:
    rows = rows_of(card_of(), "Model")
    assert rows["Kind"] == KINDS["network"]
    assert rows["Output"].startswith("A probability for each of 28 locations")
    assert "Not known" not in rows
    assert rows_of(card_of(), "Input")["Scaling"].startswith("each channel from its 0.5th to its 99.9th percentile")
    assert len(rows_of(card_of(), "Thresholds")) == N_LABELS


def test_a_model_of_some_classes_names_them() -> None:
    card = card_of(classes=(0, 25))
    rows = rows_of(card, "Model")
    assert rows["Output"].startswith("A probability for each of 2 locations")
    assert rows["Locations"] == "Nucleoplasm, Cytosol"
    assert LABELS[24] in rows["Not known"] and "Cytosol" not in rows["Not known"]
    assert list(rows_of(card, "Thresholds")) == ["Nucleoplasm", "Cytosol"]
    assert "2 probabilities" in rows_of(card, "DOME")["Output"]
    assert "of 2 locations of the Human Protein Atlas" in make_model_card(card, "0").sections[0].paragraphs[0]


def test_a_model_that_standardises_is_not_said_to_scale_by_percentiles() -> None:
    spec = InputSpec(height=64, width=64, low=0.5, high=99.9, normalisation="standardise")
    rows = rows_of(card_of(input=spec), "Input")
    assert "standardised" in rows["Scaling"]
    assert "percentile" not in rows["Scaling"]
    assert "percentile" not in rows_of(card_of(input=spec), "DOME")["Encoding of the input"]


def test_features_are_no_network() -> None:
    card = card_of(kind="features", provenance=training("features"))
    assert rows_of(card, "Model")["Kind"] == KINDS["features"]
    dome = rows_of(card, "DOME")
    assert dome["Interpretability"] == EXPLAINED["features"]
    assert "ONNX" not in dome["Availability"]


def test_a_model_that_was_trained_elsewhere_has_an_origin_and_no_recipe() -> None:
    card = card_of(provenance={"source": "github.com/them/net", "catalog": "valid.parquet"})
    rows = rows_of(card, "Training")
    assert rows["Origin"] == "github.com/them/net"
    assert rows["Thresholds and calibration"] == "fitted on the Catalog valid.parquet"
    assert "Epochs" not in rows
    assert rows_of(card, "DOME")["Configuration"] == "the origin is in card.json of the bundle"
    assert rows_of(card, "DOME")["Parameters"] == UNKNOWN


def test_an_ensemble_lists_its_members_and_all_trainings() -> None:
    members = [
        {"name": "a", "kind": "network", "sha256": "a" * 64, "licence": "MIT"},
        {"name": "b", "kind": "features", "sha256": "b" * 64, "licence": "BSD-2-Clause"},
    ]
    folds = [training("lenet5", 0), training("lenet5", 1), training("features", 0), {"source": "theirs"}]
    card = card_of(kind="ensemble", provenance={"combiner": "stacked", "members": members, "folds": folds})
    page = make_model_card(card, "0" * 64)
    section = next(each for each in page.sections if each.title == "Members")
    assert section.table is not None
    assert list(section.table.rows) == [("a", "network", "MIT", "a" * 12), ("b", "features", "BSD-2-Clause", "b" * 12)]
    assert "stacked" in section.paragraphs[0]
    rows = rows_of(card, "Training")
    assert rows["Trainings"] == "4"
    assert rows["Architecture"] == "lenet5; features; trained elsewhere"
    assert (rows["Seed"], rows["Origin"]) == ("0; 1", "theirs")
    assert "each prepares the field for itself" in rows_of(card, "Input")["Members"]
    assert rows_of(card, "DOME")["Configuration"] == "the recipes are in card.json of the bundle"
    assert "| a | network | MIT |" in card_to_markdown(page)


def test_a_network_has_no_members() -> None:
    assert "Members" not in {each.title for each in make_model_card(card_of(), "0").sections}


def test_the_card_of_the_shipped_bundle_is_complete() -> None:
    rows = rows_of(read_bundle(None).card, "Training")
    assert rows["Architecture"] == "small"
    assert UNKNOWN not in {rows[name] for name in ("Parameters", "Data", "Loss", "Optimizer", "Epochs", "Seed")}
