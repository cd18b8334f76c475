"""`lociscope retrain`: train a registered version again, with reviewed labels added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.models import Folder, Who, Why, describe_gate, get_user
from lociscope.cli.train import DeviceOption, Settings, Store, Workers
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.artifacts.retraining import Retraining


def retrain(
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABELS...", help="Catalogs of labels, from `lociscope review export`.")
    ],
    registry: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the Run and the Bundle.")],
    catalog: Annotated[
        Path | None, typer.Option("--catalog", "-c", help="The Catalog that the version was trained on.")
    ] = None,
    version: Annotated[str, typer.Option(help="The version to retrain: a name, a prefix, or an alias.")] = "production",
    settings: Settings = None,
    reference: Annotated[int, typer.Option(min=0, help="Fields of the reference that `monitor` compares with.")] = 384,
    store: Store = None,
    workers: Workers = 2,
    device: DeviceOption = "auto",
    why: Why = "",
    who: Who = None,
) -> None:
    """Train a registered version again with reviewed labels, and register the result; exit 4 if the gate refuses it."""
    from lociscope.artifacts.recipe_changes import parse_changes
    from lociscope.workflows.retrain import retrain as retrain_version

    made = retrain_version(
        registry, labels, catalog, output,
        version=version, changes=parse_changes(settings or []), reference=reference, who=get_user(who), why=why,
        workers=workers, store=store, device=device, progress=console.progress, on_epoch=_note_epoch,
    )  # fmt: skip
    console.note(_describe(made.retraining))
    print(made.entry.version)
    if made.gate is None:
        console.note("no gate: `lociscope models gate` fixes what a version must show before it is promoted")
        return
    print(describe_gate(made.gate))
    if not made.gate.passed:
        raise typer.Exit(Exit.CHECK_FAILED)


def _note_epoch(row: dict[str, float]) -> None:
    console.note(f"epoch {row['epoch']:.0f}: loss {row['loss']:.4f}, val_loss {row['val_loss']:.4f}")


def _describe(made: Retraining) -> str:
    labels = sum(each.fields for each in made.labels)
    return (
        f"retrained from {made.ancestors[-1].version}: {made.base.fields} fields, {labels} labels of which "
        f"{made.relabelled} replace others, {made.left_out} fields left out for the frozen test"
    )
