"""`lociscope bundle`: sign a Bundle, or make one of a model that was trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.errors import Code, Exit, UsageError

if TYPE_CHECKING:
    from lociscope.workflows.import_model import ImportedModel, ModelFormat

app = typer.Typer(help="Make Bundles of models that were trained elsewhere; sign and verify.", no_args_is_help=True)

CatalogPath = Annotated[
    Path,
    typer.Option(
        "--catalog", "-c", help="Labelled fields that the model was not trained on, for thresholds and calibration."
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The Bundle to make.")]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="The location of each output, one a line; - for none. Default: the 28 classes."),
]
Layout = Annotated[str | None, typer.Option("--layout", help="NHWC or NCHW; by default as the input's shape shows.")]
Size = Annotated[int | None, typer.Option("--size", min=8, max=4096, help="Side of the input in px, if it is open.")]
FieldUm = Annotated[float, typer.Option("--field-um", help="Side of the specimen that the input spans, µm.")]
Letters = Annotated[
    str | None, typer.Option("--channels", help="Letters of its channels in its order: RGBY, RGB, G, BGRY.")
]
Scale = Annotated[float, typer.Option("--scale", help="Factor on the pixels, which are 0–1; 255 for 8-bit pixels.")]
Mean = Annotated[str | None, typer.Option("--mean", help="Subtracted after scaling: one number or 0.1,0.2,0.3,0.4.")]
Std = Annotated[str | None, typer.Option("--std", help="What is divided by then: one number or one a channel.")]
Standardise = Annotated[
    bool, typer.Option("--standardise", help="It was trained on raw crops with mean 0 and variance 1 in each channel.")
]
Activation = Annotated[
    str | None,
    typer.Option("--activation", help="none, sigmoid or softmax; by default sigmoid if outputs leave 0–1."),
]
OutputName = Annotated[str | None, typer.Option("--output-name", help="The output with a number for each class.")]
EmbeddingName = Annotated[
    str | None, typer.Option("--embedding-name", help="The output (n, d) that describes the field.")
]
Name = Annotated[str | None, typer.Option("--name", help="Its name in the card; by default the folder's.")]
Licence = Annotated[str, typer.Option("--licence", help="Licence of the weights, SPDX.")]
Limits = Annotated[str | None, typer.Option("--limits", help="Limitations of the model, for the card.")]
Policy = Annotated[
    str, typer.Option("--policy", help="How thresholds are chosen: expected, shrunk, searched, ratio or constant.")
]
CalibrationMethod = Annotated[str, typer.Option("--calibration", help="platt, beta, temperature or none.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Threads that read and predict; by default every core.")
]


@app.command()
def sign(
    bundle: Annotated[Path, typer.Argument(help="The Bundle to sign.")],
    key: Annotated[Path, typer.Option("--key", help="The private key, PEM, on an elliptic curve such as P-256.")],
) -> None:
    """Sign a Bundle, so that others can check that it is from you."""
    from lociscope.artifacts.bundle import read_bundle
    from lociscope.artifacts.signature import sign_bundle

    print(sign_bundle(read_bundle(bundle), key))


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="The signed Bundle.")],
    key: Annotated[list[Path], typer.Option("--key", help="A public key that you trust, PEM. Repeatable.")],
) -> None:
    """Check that a trusted key signed exactly these files of a Bundle."""
    from lociscope.artifacts.bundle import read_bundle
    from lociscope.artifacts.signature import verify_bundle

    print(f"signed by {verify_bundle(read_bundle(bundle), key)}")


@app.command("from-onnx")
def from_onnx(
    model: Annotated[Path, typer.Argument(help="The ONNX file, of PyTorch, Keras or another library.")],
    catalog: CatalogPath,
    output: Output,
    labels: Labels = None,
    layout: Layout = None,
    size: Size = None,
    field_um: FieldUm = 164.0,
    channels: Letters = None,
    scale: Scale = 1.0,
    mean: Mean = None,
    std: Std = None,
    standardise: Standardise = False,
    activation: Activation = None,
    output_name: OutputName = None,
    embedding_name: EmbeddingName = None,
    name: Name = None,
    licence: Licence = "unknown",
    limits: Limits = None,
    policy: Policy = "expected",
    calibration: CalibrationMethod = "platt",
    workers: Workers = None,
) -> None:
    """Make a Bundle of an ONNX model: convert its input and outputs, fit thresholds and calibration, score it."""
    from lociscope.workflows.import_model import LIMITS, bundle_from_onnx

    chosen = _parse_format(
        layout=layout, size=size, field_um=field_um, channels=channels, scale=scale, mean=mean, std=std,
        standardise=standardise, activation=activation, output_name=output_name, embedding_name=embedding_name,
    )  # fmt: skip
    with console.progress("fitting") as progress:
        made = bundle_from_onnx(
            model, catalog, output,
            labels=labels, model_format=chosen, name=name, licence=licence, limits=limits or LIMITS,
            policy=policy, calibration=calibration, workers=workers, progress=progress,
        )  # fmt: skip
    report_imported(made, output)


@app.command("from-keras")
def from_keras(
    model: Annotated[Path, typer.Argument(help="The .keras file, of Keras' own layers.")],
    catalog: CatalogPath,
    output: Output,
    labels: Labels = None,
    layout: Layout = None,
    size: Size = None,
    field_um: FieldUm = 164.0,
    channels: Letters = None,
    scale: Scale = 1.0,
    mean: Mean = None,
    std: Std = None,
    standardise: Standardise = False,
    activation: Activation = None,
    output_name: OutputName = None,
    embedding_name: EmbeddingName = None,
    name: Name = None,
    licence: Licence = "unknown",
    limits: Limits = None,
    policy: Policy = "expected",
    calibration: CalibrationMethod = "platt",
    workers: Workers = None,
) -> None:
    """Make a Bundle of a .keras file, which Keras converts to ONNX; a file that carries code is refused."""
    from lociscope.workflows.import_model import LIMITS, bundle_from_keras

    chosen = _parse_format(
        layout=layout, size=size, field_um=field_um, channels=channels, scale=scale, mean=mean, std=std,
        standardise=standardise, activation=activation, output_name=output_name, embedding_name=embedding_name,
    )  # fmt: skip
    with console.progress("fitting") as progress:
        made = bundle_from_keras(
            model, catalog, output,
            labels=labels, model_format=chosen, name=name, licence=licence, limits=limits or LIMITS,
            policy=policy, calibration=calibration, workers=workers, progress=progress,
        )  # fmt: skip
    report_imported(made, output)


def _parse_format(*, mean: str | None, std: str | None, **options: Any) -> ModelFormat:  # noqa: ANN401 - see the class
    from lociscope.workflows.import_model import ModelFormat

    return ModelFormat(mean=_parse_numbers("mean", mean), std=_parse_numbers("std", std), **options)


def _parse_numbers(name: str, text: str | None) -> tuple[float, ...]:
    try:
        return () if text is None else tuple(float(each) for each in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"`{name}` is {text!r}; expected numbers between commas, such as 0.1,0.2,0.3,0.4.", code=Code.INVALID_VALUE
        ) from error


def report_imported(made: ImportedModel, output: Path) -> None:
    """Print what was imported, its scores, and the fields of its Catalog that cannot be read.

    Raises:
        typer.Exit: Some fields cannot be read.
    """
    card, model = made.bundle.card, made.model
    height, width = model.expected.size
    console.note(
        f"Bundle '{card.name}': {len(card.classes)} classes, {height} × {width} px of {card.input.pixel_size:.3g} µm, "
        f"{model.expected.layout}, channels {model.preparation.channels}, activation {model.given.activation}"
    )
    console.note(f"  largest difference from the original {model.difference:.1g}")
    if made.fields:
        console.note(f"  fitted and scored on {console.count_fields(made.fields)}")
    for metric, score in card.metrics.items():
        console.note(f"  {metric} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]")
    print(output)
    if made.failures:
        console.print_error(
            f"lociscope: {console.count_fields(len(made.failures))} cannot be read; the first: "
            f"{made.failures[0].reason}"
        )
        raise typer.Exit(Exit.SOME_FAILED)
