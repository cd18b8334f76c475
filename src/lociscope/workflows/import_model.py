"""Make a Bundle of a model that was trained elsewhere: convert it, fit thresholds and calibration, score it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from lociscope.artifacts.bundle import Bundle, Selftest, encode_reference, read_bundle, write_bundle
from lociscope.artifacts.card import Card, Decision, InputSpec, Score, StoredCalibration
from lociscope.artifacts.catalog import Catalog, hash_catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.convert.converted import ConvertedModel, OutputOptions, convert_onnx
from lociscope.convert.label_map import list_classes, read_label_map
from lociscope.convert.onnx_model import read_onnx
from lociscope.convert.wrap import Preparation
from lociscope.decide.calibration import METHODS, Method
from lociscope.decide.single import FittedDecision, fit_decision
from lociscope.decide.thresholds import Policy, parse_policy
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.labels import N_LABELS, expand_classes, to_multi_hot
from lociscope.predict.loading import predict_sources
from lociscope.predict.predictor import Predictor
from lociscope.predict.reference import make_reference
from lociscope.processes.progress import ignore_progress
from lociscope.processes.threads import count_cores
from lociscope.report.acceptance import LEVEL
from lociscope.report.metrics import measure
from lociscope.splits.groups import group_ids
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from lociscope.convert.label_map import LabelMap
    from lociscope.images.discovery.sources import Failure
    from lociscope.processes.progress import ProgressCallback
    from lociscope.storage.paths import AnyPath

LIMITS = (
    "Not for diagnosis. Trained elsewhere; lociscope fitted its thresholds and calibration on the fields named beside "
    "the scores. Other cell lines, stains or microscopes may give others."
)
SCORES = ("lrap", "macro_auc", "macro_average_precision", "macro_f1")
REFERENCE_FIELDS = 384


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """What a model expects and gives, as far as its file does not say.

    Attributes:
        layout: `NHWC` or `NCHW`; None for the one that the shape of its input shows.
        size: Side of its input in px, where the model leaves it open.
        field_um: Side of the part of the specimen that its input spans, µm.
        channels: Letters of its channels, in its order; None for `RGBY`, `RGB` or `G` by their number.
        scale: Factor on the pixels, which are 0–1: 255 for a model of 8-bit pixels.
        mean: Subtracted from each channel after scaling.
        std: What each channel is divided by then.
        standardise: Whether its input is raw pixels of which each channel has mean 0 and variance 1.
        activation: `none`, `sigmoid` or `softmax`; None for `none` where its outputs are within 0–1, else `sigmoid`.
        output_name: The output with a number for each class; None for the only one, or `probabilities`.
        embedding_name: The output that describes the field, for similarity and drift.
    """

    layout: str | None = None
    size: int | None = None
    field_um: float = 164.0
    channels: str | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    standardise: bool = False
    activation: str | None = None
    output_name: str | None = None
    embedding_name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """The result of an import.

    Attributes:
        bundle: The Bundle as written.
        model: What was converted.
        fields: Number of labelled fields on which it was fitted and scored.
        failures: Fields of the Catalog that cannot be read.
    """

    bundle: Bundle
    model: ConvertedModel
    fields: int
    failures: list[Failure] = field(default_factory=list)


def bundle_from_onnx(
    model: AnyPath,
    catalog: AnyPath,
    output: AnyPath,
    *,
    labels: AnyPath | None = None,
    model_format: ModelFormat | None = None,
    name: str | None = None,
    licence: str = "unknown",
    limits: str = LIMITS,
    policy: str = "expected",
    calibration: str = "platt",
    workers: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> ImportedModel:
    """Make a Bundle of an ONNX model.

    Args:
        model: The ONNX file.
        catalog: Labelled fields that the model was not trained on, on which thresholds and calibration are fitted.
        output: The Bundle's folder.
        labels: A label map, as `lociscope.convert.label_map.read_label_map` reads it; None for the 28 classes in order.
        model_format: What the model expects and gives, as far as the file does not say.
        name: Its name in the card; None for that of the folder.
        licence: Licence of the weights.
        limits: Limitations of the model.
        policy: How thresholds are chosen; one of `lociscope.decide.thresholds.POLICIES`.
        calibration: `none`, `temperature`, `platt` or `beta`.
        workers: Number of threads that read and predict fields; None uses every core.
        progress: Called with (done, total).

    Raises:
        UsageError: An option is unknown, out of range or contradicts the model.
        LociscopeError: The model cannot be read or holds what is never loaded, its outputs do not fit the label map or
            are not finite, or the Catalog has too few labelled fields.
        MissingExtraError: The onnx package is not installed.
    """
    chosen = model_format or ModelFormat()
    label_map = None if labels is None else read_label_map(as_path(labels))
    model = as_path(model)
    converted = _convert(read_onnx(model), label_map, chosen)
    output, catalog = as_path(output), as_path(catalog)
    fit = FitOptions(parse_policy(policy), method=_parse_method(calibration), workers=workers)
    card = _draft_card(converted, chosen, name or output.resolve().name, licence, limits)
    card = msgspec.structs.replace(card, provenance={"model": model.name, "catalog": catalog.name})
    written, fields, failures = finish_bundle(draft_bundle(output, card, converted), catalog, fit, progress)
    return ImportedModel(written, converted, fields, failures)


def bundle_from_keras(model: AnyPath, catalog: AnyPath, output: AnyPath, **options: Any) -> ImportedModel:  # noqa: ANN401
    """Make a Bundle of a `.keras` archive, which Keras converts to ONNX; the options are those of `bundle_from_onnx`.

    Raises:
        LociscopeError: As `bundle_from_onnx`; or the archive names classes that are neither Keras' own nor lociscope's.
        MissingExtraError: TensorFlow is not installed.
    """
    from lociscope.training.export import export_onnx

    path = as_path(model)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / f"{path.stem}.onnx"
        converted.write_bytes(export_onnx(path))
        return bundle_from_onnx(converted, catalog, output, **options)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a model is fitted on a Catalog.

    Attributes:
        policy: How thresholds are chosen.
        value: The number of the policies that have one, such as the threshold of `constant`.
        method: Of the calibration.
        workers: Number of threads; None for every core.
        kind: Where the fields of the Catalog come from, as monitoring names its reference.
    """

    policy: Policy = "expected"
    value: float | None = None
    method: Method = "platt"
    workers: int | None = None
    kind: Literal["simulated", "catalog"] = "catalog"


def _parse_method(name: str) -> Method:
    for known in METHODS:
        if name == known and known != "isotonic":  # a step function cannot be stored in a card
            return known
    raise UsageError(
        f"`calibration={name}` is unknown.{suggest(name, [each for each in METHODS if each != 'isotonic'])}",
        code=Code.UNKNOWN_NAME,
    )


def _convert(model: Any, label_map: LabelMap | None, chosen: ModelFormat) -> ConvertedModel:  # noqa: ANN401 - onnx
    preparation = Preparation(chosen.channels or "", chosen.scale, chosen.mean, chosen.std, chosen.standardise)
    outputs = OutputOptions(chosen.output_name, chosen.activation, chosen.embedding_name)
    return convert_onnx(model, preparation, outputs, label_map, layout=chosen.layout, size=chosen.size)


def _draft_card(model: ConvertedModel, chosen: ModelFormat, name: str, licence: str, limits: str) -> Card:
    """Return a card without decisions: no location reaches a threshold."""
    height, width = model.expected.size
    return Card(
        name=name,
        version="1",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=licence,
        classes=list_classes(model.label_map),
        input=InputSpec(
            height=height,
            width=width,
            field_um=chosen.field_um,
            low=0.5,
            high=99.9,
            normalisation="standardise" if chosen.standardise else "percentiles",
        ),
        decide=Decision(policy="none", thresholds=(1.0,) * N_LABELS),
        limits=limits,
    )


def draft_bundle(output: Path, card: Card, model: ConvertedModel) -> Bundle:
    """Return the Bundle of a converted model, which is not on disk yet."""
    selftest = Selftest(model.inputs, expand_classes(model.probabilities, card.classes))
    return Bundle(output, card, model.data, selftest, "")


def finish_bundle(
    draft: Bundle, catalog: Path, fit: FitOptions, progress: ProgressCallback
) -> tuple[Bundle, int, list[Failure]]:
    """Predict a Catalog, fit calibration and thresholds, score, and write the Bundle.

    Returns:
        The Bundle as written, the number of labelled fields on which it was fitted, and the fields that cannot be read.
    """
    card = draft.card
    table = Catalog.read(catalog).select_labelled()
    made, statistics, failures = _predict(Predictor(draft), table, fit.workers, progress)
    labels = {entry.id: entry.target or () for entry in table}
    group_of = dict(zip(table.ids, group_ids(table), strict=True))
    truth, groups = to_multi_hot([labels[name] for name in made.ids]), np.array([group_of[name] for name in made.ids])
    fitted = fit_decision(truth, made.probability, method=fit.method, policy=fit.policy, value=fit.value, groups=groups)
    what = f"{len(made)} fields of Catalog '{catalog.name}'"
    decide = _store_decision(fitted, fit.policy, what, len(made))
    calibrated = replace(made, probability=fitted.out_of_fold.astype(np.float32))
    rows = np.linspace(0, len(made) - 1, min(len(made), REFERENCE_FIELDS)).round().astype(int)
    fields = f"fields of Catalog '{catalog.name}'"
    reference, summary = make_reference(calibrated.take(rows), statistics[rows], decide, fields, fit.kind)
    card = msgspec.structs.replace(
        card,
        decide=decide,
        metrics=_score(truth, fitted, what, groups),
        reference=summary,
        provenance={**card.provenance, "catalog_sha256": hash_catalog(catalog)},
    )
    detector = {} if draft.detector is None else {"detector.npz": draft.detector}
    extra = {"reference.npz": encode_reference(reference), **detector}
    write_bundle(draft.folder, card, draft.model, draft.selftest, extra)
    return read_bundle(draft.folder), len(made), failures


def _predict(
    predictor: Predictor, catalog: Catalog, workers: int | None, progress: ProgressCallback
) -> tuple[Predictions, np.ndarray, list[Failure]]:
    """Return the Predictions of a Catalog's fields, their statistics, and the fields that cannot be read."""
    sources = read_catalog_sources(catalog)
    embeddings = "embedding" in predictor.engine.outputs
    parts, statistics, failures, done = [], [], [], 0
    calls = predict_sources(predictor, sources, workers or count_cores(), embeddings=embeddings, statistics=True)
    for call in calls:
        failures += call.failures
        if call.predictions is not None and call.statistics is not None:
            parts.append(call.predictions)
            statistics.append(call.statistics)
        done += len(call.failures) + (0 if call.predictions is None else len(call.predictions))
        progress(done, len(sources), "predicting")
    if not parts:
        reason = f"The first: {failures[0].reason}" if failures else "It has no labelled field."
        raise LociscopeError(f"No field of the Catalog can be predicted. {reason}", code=Code.NOTHING_FOUND)
    return Predictions.join(parts), np.concatenate(statistics), failures


def _store_decision(fitted: FittedDecision, policy: str, what: str, fields: int) -> Decision:
    calibration = None
    if fitted.calibration.method != "none":
        a, b, c = fitted.calibration.coefficients_.tolist()
        calibration = StoredCalibration(
            method=fitted.calibration.method, coefficients=(tuple(a), tuple(b), tuple(c)), fields=fields, what=what
        )
    return Decision(policy=policy, thresholds=tuple(fitted.thresholds.tolist()), calibration=calibration)


def _score(truth: np.ndarray, fitted: FittedDecision, what: str, groups: np.ndarray) -> dict[str, Score]:
    measured = measure(truth, fitted.out_of_fold, fitted.decided, what, groups)
    text = (
        f"{what}, each calibrated without its fold, thresholds chosen on all of them; {LEVEL:.0%} bootstrap over groups"
    )
    scores = {}
    for name in SCORES:
        figure = measured.figures[name]
        if figure.value is not None and figure.low is not None and figure.high is not None:
            scores[name] = Score(value=figure.value, low=figure.low, high=figure.high, n=figure.n, what=text)
    return scores
