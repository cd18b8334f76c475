"""The model card of a Bundle (Mitchell et al., FAT* 2019), with the DOME table (Walsh et al., Nat Methods 18, 2021)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lociscope.artifacts.card import describe_detector
from lociscope.artifacts.retraining import find_retraining
from lociscope.channels import CHANNELS
from lociscope.labels import LABELS
from lociscope.report.card_page import UNKNOWN, CardPage, Section, Table
from lociscope.report.definitions import DECIDED_AS_GIVEN, MACRO_F1
from lociscope.report.page import NOTHING, interval, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lociscope.artifacts.card import Card
    from lociscope.report.metrics import Metrics

NAMES = {
    "lrap": "LRAP",
    "top_1": "Top-1",
    "top_3": "Top-3",
    "macro_f1": "Macro-F1",
    "macro_f1_frequent": "Macro-F1, frequent locations",
    "macro_f1_one_threshold": "Macro-F1, one threshold",
    "macro_precision": "Precision, macro",
    "macro_recall": "Recall, macro",
    "macro_average_precision": "Average precision, macro",
    "macro_auc": "AUC, macro",
    "exact_match": "Exact match (accuracy)",
    "decision_accuracy": "Accuracy of decisions",
    "jaccard": "Overlap (Jaccard)",
    "minutes": "Minutes per field",
}
INTENDED = (
    "To report where in the cell a protein is, of {classes} locations of the Human Protein Atlas, from four-channel "
    "fluorescence fields: to sort the wells of a screen, and to choose fields that a person or a microscope should "
    "look at again."
)
NOT_INTENDED = (
    "Not for diagnosis, and not as the only evidence for the location of one protein. Other stains, magnifications, "
    "cell types and treatments than those of the training fields need an evaluation on labelled fields of their own."
)


KINDS = {
    "network": "a network",
    "features": "logistic regression, or boosted trees, over features of the cells' compartments; no network",
    "ensemble": "an ensemble: the probabilities of its members are combined by fitted weights",
}
FORMS = {"network": "ONNX bundle", "features": "bundle of plain arrays", "ensemble": "bundle of its members"}
EXPLAINED = {
    "network": "evidence maps show where in the field the model finds a location",
    "features": "each feature has a name; there are no evidence maps",
    "ensemble": "evidence maps are those of the first network among the members",
}


def make_model_card(card: Card, sha256: str, metrics: Metrics | None = None) -> CardPage:
    """Make the model card of a Bundle.

    Args:
        card: Its card.
        sha256: Its identity.
        metrics: Its evaluation on other fields, from `lociscope evaluate`; None where there is none.
    """
    sections = [
        Section("Model", [INTENDED.format(classes=len(card.classes))], Table(("", ""), _model_rows(card, sha256))),
        Section("Not intended", [NOT_INTENDED, card.limits]),
        Section("Input", [], Table(("", ""), _input_rows(card))),
        *_list_members(card.provenance),
        Section("Training", [], Table(("", ""), _training_rows(card.provenance))),
        *_describe_retraining(card.provenance),
        Section(
            "Recorded scores",
            [] if card.metrics else ["The card records no score."],
            Table(
                ("Metric", "Score", "Interval", "n", "Fields and method"),
                [
                    (
                        NAMES.get(name, name),
                        number(each.value, 3),
                        interval(each.low, each.high, 3),
                        f"{each.n:,}",
                        each.what,
                    )
                    for name, each in card.metrics.items()
                ],
            ),
        ),
    ]
    if metrics is not None:
        sections += _evaluation(metrics)
    sections.append(Section("Thresholds", [f"Policy: {card.decide.policy}."], _threshold_table(card)))
    sections.append(
        Section("DOME", ["Data, optimization, model and evaluation, as methods journals ask."], _dome(card, metrics))
    )
    return CardPage("model card", f"Model card of {card.name} {card.version}", sections)


def _model_rows(card: Card, sha256: str) -> list[tuple[str, str]]:
    return [
        ("Name", card.name),
        ("Version", card.version),
        ("Created", card.created),
        ("Licence", card.licence),
        ("SHA-256 of the manifest", sha256),
        ("Kind", KINDS[card.kind]),
        ("Output", f"A probability for each of {len(card.classes)} locations, several or none of which are reported"),
        *_describe_classes(card),
        ("Out-of-distribution", describe_detector(card)),
    ]


def _describe_classes(card: Card) -> list[tuple[str, str]]:
    """Return what a model knows of the 28 locations, and what it does not; nothing where it knows all."""
    unknown = [label for number, label in enumerate(LABELS) if number not in card.classes]
    if not unknown:
        return []
    known = ", ".join(LABELS[number] for number in card.classes)
    return [("Locations", known), ("Not known", f"{', '.join(unknown)}: never predicted, and not scored")]


def _list_members(provenance: Mapping[str, Any]) -> list[Section]:
    members = provenance.get("members")
    if not members:
        return []
    rows = [(each["name"], each["kind"], each["licence"], each["sha256"][:12]) for each in members]
    text = f"Combined by the combiner {provenance.get('combiner', UNKNOWN)}, in this order."
    return [Section("Members", [text], Table(("Name", "Kind", "Licence", "SHA-256"), rows))]


def _input_rows(card: Card) -> list[tuple[str, str]]:
    spec = card.input
    first = [("Members", "each prepares the field for itself; this is the input of the first network")]
    scaling = f"each channel from its {spec.low:g}th to its {spec.high:g}th percentile within the field"
    if spec.normalisation == "standardise":
        scaling = "none: raw pixels, each channel of each tile standardised to mean 0 and variance 1"
    return [
        *(first if card.kind == "ensemble" else []),
        ("Channels", ", ".join(f"{channel.name}: {channel.stain}" for channel in CHANNELS)),
        ("Size", f"{spec.height} × {spec.width} px, {spec.pixel_size:.3f} µm per px, {spec.field_um:.0f} µm a side"),
        ("Scaling", scaling),
        ("Preprocessing", f"version {spec.preprocessing}"),
    ]


def _training_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts of all trainings; where they differ, as in an ensemble, each of their values."""
    parts = provenance.get("folds") or [provenance]
    described = [_describe_training(each) for each in parts]
    names = dict.fromkeys(name for each in described for name in each)
    rows = [(name, "; ".join(dict.fromkeys(each[name] for each in described if name in each))) for name in names]
    return [("Trainings", str(len(parts))), *rows]


def _describe_retraining(provenance: Mapping[str, Any]) -> list[Section]:
    """Return the versions that a retrained model descends from, and the labels that were added last."""
    found = find_retraining(provenance)
    if found is None:
        return []
    text = (
        f"Retrained with added labels; {found.relabelled} replace others. {found.left_out} fields were left out: the "
        "frozen test has them."
    )
    rows = [
        *(("Ancestor", each.version, "", each.sha256[:12]) for each in found.ancestors),
        ("Base", found.base.catalog, str(found.base.fields), found.base.sha256[:12]),
        *(("Labels", each.catalog, str(each.fields), each.sha256[:12]) for each in found.labels),
    ]
    return [Section("Retraining", [text], Table(("", "Name", "Fields", "SHA-256"), rows))]


def _describe_training(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of one training; of a model that was trained elsewhere, its origin."""
    origin = provenance.get("source") or provenance.get("model")
    recipe = provenance.get("recipe") or {}
    train, network = recipe.get("train") or {}, recipe.get("network") or {}
    if origin is not None and not recipe:
        fitted = provenance.get("catalog")
        also = {} if fitted is None else {"Thresholds and calibration": f"fitted on the Catalog {fitted}"}
        return {"Architecture": "trained elsewhere", "Origin": str(origin), **also}
    optimizer = f"{train['optimizer']}, learning rate {train['learning_rate']:g}" if "optimizer" in train else UNKNOWN
    versions = ", ".join(f"{name} {value}" for name, value in (provenance.get("versions") or {}).items())
    return {
        "Architecture": str(network.get("name", UNKNOWN)),
        "Parameters": f"{provenance['parameters']:,}" if provenance.get("parameters") else UNKNOWN,
        "Data": _describe_data(provenance.get("data")),
        "Data hash (SHA-256)": str(provenance.get("data_hash") or UNKNOWN),
        "Loss": str(train.get("loss", UNKNOWN)),
        "Optimizer": optimizer,
        "Epochs": str(train.get("epochs", UNKNOWN)),
        "Augmentation": _describe_augmentation(recipe.get("augment") or {}),
        "Seed": str(provenance.get("seed", UNKNOWN)),
        "Code": str(provenance.get("git") or UNKNOWN),
        "Versions": versions or UNKNOWN,
        "Machine": str(provenance.get("machine") or UNKNOWN),
    }


def _describe_data(data: Mapping[str, Any] | None) -> str:
    if not data:
        return UNKNOWN
    if data.get("kind") == "catalog":
        return f"the Catalog {data.get('catalog')}"
    count = data.get("fields")
    fields = "simulated fields, others in every epoch" if count is None else f"{count:,} simulated fields"
    return f"{fields}, seed {data.get('seed')}"


def _describe_augmentation(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items() if value) or "none"


def _evaluation(metrics: Metrics) -> list[Section]:
    names = [name for name in metrics.figures if metrics.figures[name].value is not None]
    scores = [
        (
            NAMES.get(name, name),
            number(each.value, 3),
            interval(each.low, each.high, 3),
            number(each.baseline, 3),
            f"{each.n:,}",
        )
        for name in names
        for each in (metrics.figures[name],)
    ]
    classes = [
        (
            each.label,
            str(each.positives),
            *(number(value) for value in (each.f1, each.precision, each.recall, each.average_precision)),
        )
        for each in sorted(metrics.classes, key=lambda each: -each.positives)
    ]
    return [
        Section(
            "Evaluation",
            [f"Evaluated on {metrics.what}: {metrics.fields:,} fields. {MACRO_F1} {DECIDED_AS_GIVEN}"],
            Table(("Metric", "Score", "90 % interval", "Baseline", "n"), scores),
        ),
        Section(
            "Evaluation by location",
            ["With fewer than 20 fields a score is mostly chance."],
            Table(("Location", "Fields", "F1", "Precision", "Recall", "Average precision"), classes),
        ),
    ]


def _threshold_table(card: Card) -> Table:
    return Table(
        ("Location", "Threshold"),
        [(LABELS[each], number(card.decide.thresholds[each], 3)) for each in card.classes],
    )


def _configuration(provenance: Mapping[str, Any]) -> str:
    """Return what `card.json` has of the configuration: recipes, or the origin of a model trained elsewhere."""
    recipes = sum("recipe" in each for each in provenance.get("folds") or [provenance])
    return "the recipe is" if recipes == 1 else "the recipes are" if recipes else "the origin is"


def _dome(card: Card, metrics: Metrics | None) -> Table:
    training = defaultdict(lambda: UNKNOWN, _training_rows(card.provenance))
    calibration = "temperature or Platt parameters in the card" if card.decide.calibration else "none recorded"
    scored = "none on other fields" if metrics is None else f"{metrics.fields:,} fields: {metrics.what}"
    first = next(iter(card.metrics.values()), None)
    rows = [
        ("Data", "Provenance", training["Data"]),
        ("Data", "Size", f"validation: {first.n:,} fields" if first else UNKNOWN),
        (
            "Data",
            "Redundancy between splits",
            "specimens or antibodies are kept on one side of a split where they are known",
        ),
        ("Data", "Availability", f"SHA-256 {training['Data hash (SHA-256)']}"),
        (
            "Optimization",
            "Algorithm",
            f"{KINDS[card.kind]}: {training['Architecture']}, {training['Optimizer']}, loss {training['Loss']}",
        ),
        ("Optimization", "Encoding of the input", "; ".join(f"{name}: {text}" for name, text in _input_rows(card))),
        ("Optimization", "Parameters", training["Parameters"]),
        ("Optimization", "Regularization", training["Augmentation"]),
        ("Optimization", "Configuration", f"{_configuration(card.provenance)} in card.json of the bundle"),
        ("Model", "Interpretability", EXPLAINED[card.kind]),
        (
            "Model",
            "Output",
            f"{len(card.classes)} probabilities; thresholds by the policy {card.decide.policy}; "
            f"calibration: {calibration}",
        ),
        ("Model", "Availability", f"{FORMS[card.kind]}, licence {card.licence}"),
        ("Evaluation", "Method", scored),
        (
            "Evaluation",
            "Measures",
            ", ".join(NAMES.get(name, name) for name in (metrics.figures if metrics else card.metrics)) or NOTHING,
        ),
        ("Evaluation", "Comparison", "label prior, a constant answer that ignores the image" if metrics else UNKNOWN),
        ("Evaluation", "Confidence", "90 % bootstrap intervals over fields, or over groups where they are known"),
    ]
    return Table(("Part", "Question", "Answer"), rows)
