"""`lociscope models`: the model registry: versions of bundles and their aliases."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lociscope.registry.gate import GateRecord
    from lociscope.registry.model_registry import Entry, Registry

app = typer.Typer(help="Register bundles by version, and promote the one in use.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--registry", "-r", envvar="LOCISCOPE_REGISTRY", help="The registry's folder.")]
Version = Annotated[str, typer.Argument(help="A version: its name, a prefix of its name or sha256, or an alias.")]
Alias = Annotated[str, typer.Option(help="The alias; `lociscope serve --registry` serves `production`.")]
Who = Annotated[str | None, typer.Option(help="Who acts, for the history; by default the user's name.")]
Why = Annotated[str, typer.Option(help="Why, for the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    bundle: Annotated[Path, typer.Argument(help="The Bundle to copy into the registry.")],
    registry: Folder,
    why: Why = "",
    who: Who = None,
) -> None:
    """Add a bundle, without promoting it."""
    print(_open(registry).add(bundle, who=get_user(who), why=why).version)


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="The published model: gapnet-pl.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Bundle to make.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder with its files; by default they are downloaded.")
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option("--catalog", "-c", help="Labelled fields to fit thresholds and calibration on; by default 0.5."),
    ] = None,
) -> None:
    """Fetch a model that others published, check its hash, and convert it to a Bundle."""
    from lociscope.cli import console
    from lociscope.cli.bundle import report_imported
    from lociscope.workflows.fetch_model import fetch_model

    with console.progress("fetching") as progress:
        made = fetch_model(model, output, folder=source, catalog=catalog, progress=progress)
    card = made.bundle.card
    console.note(f"Licence {card.licence}, {card.provenance['source']}")
    report_imported(made, output)


@app.command("list")
def list_(registry: Folder, as_json: AsJson = False) -> None:
    """List the versions, the last added first."""
    entries = _open(registry).entries()
    if as_json:
        import json

        print(json.dumps([_to_dict(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        marks = [*entry.aliases, *(["retired"] if entry.retired else [])]
        print(f"{entry.version}  {entry.added.when}  {entry.added.who}  {', '.join(marks)}".rstrip())


@app.command()
def show(version: Version, registry: Folder, as_json: AsJson = False) -> None:
    """Show a version: its card, its folder and its history."""
    import json

    from lociscope.artifacts.bundle import read_bundle
    from lociscope.artifacts.card import describe_detector
    from lociscope.registry.gate import GateRecord

    models = _open(registry)
    entry = models.entry(version)
    events = [event.model_dump(exclude_none=True) for event in models.state().history if event.version == entry.version]
    card = read_bundle(entry.folder).card
    scores = {name: f"{score.value:.3f} ({score.low:.3f}–{score.high:.3f})" for name, score in card.metrics.items()}
    detector = describe_detector(card)
    if as_json:
        facts = {"metrics": scores, "out_of_distribution": detector, "limits": card.limits, "history": events}
        print(json.dumps({**_to_dict(entry), **facts}, indent=2))
        return
    lines = {
        "version": entry.version,
        "folder": entry.folder,
        "sha256": entry.sha256,
        "in use as": ", ".join(entry.aliases) or ("retired" if entry.retired else "–"),
        "created": card.created,
        **scores,
        "out-of-distribution": detector,
        "limits": card.limits,
    }
    for name, fact in lines.items():
        print(f"{name:24} {fact}")
    for event in events:
        also = f" {event['alias']}" if "alias" in event else ""
        print(f"{event['when']}  {event['action']}{also}  {event['who']}  {event['why']}".rstrip())
        if "gate" in event:
            print(f"  {describe_gate(GateRecord.model_validate(event['gate']))}")


@app.command()
def gate(
    registry: Folder,
    catalog: Annotated[Path, typer.Option("--catalog", "-c", help="The frozen test: labelled fields.")],
    margin: Annotated[float, typer.Option(min=0, max=1, help="Loss of macro-F1 that is accepted.")] = 0.01,
    slice_margin: Annotated[
        float, typer.Option(min=0, max=1, help="Loss that is accepted for a location or a cell line.")
    ] = 0.05,
    max_seconds: Annotated[float, typer.Option(help="Time within which 95 % of the fields are predicted, s.")] = 2.0,
    review: Annotated[str | None, typer.Option(metavar="URL", help="The review whose labels count too.")] = None,
    why: Why = "",
    who: Who = None,
) -> None:
    """Fix what a version must show before it is promoted to `production`."""
    from lociscope.workflows.promote import set_gate

    rules = set_gate(
        registry, catalog, margin=margin, slice_margin=slice_margin, max_seconds=max_seconds, review=review,
        who=get_user(who), why=why,
    )  # fmt: skip
    print(
        f"the gate compares with {rules.catalog}: macro-F1 within {rules.margin:g}, locations and cell lines within "
        f"{rules.slice_margin:g}, {rules.max_seconds:g} s"
    )


@app.command()
def promote(
    version: Version,
    registry: Folder,
    alias: Alias = "production",
    why: Why = "",
    who: Who = None,
    override: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Why to promote it although it does not pass the gate, for the history."),
    ] = None,
) -> None:
    """Promote a version if it reproduces its self-test here and passes the gate; exit 4 otherwise."""
    from lociscope.cli import console
    from lociscope.workflows.promote import promote as promote_version

    with console.progress("gate") as progress:
        entry, found = promote_version(
            registry, version, alias=alias, who=get_user(who), why=why, override=override, progress=progress
        )
    print(f"{alias} is {entry.version}")
    if found is not None:
        print(describe_gate(found))


def describe_gate(found: GateRecord) -> str:
    """Return what the gate found, in a line."""
    head = "gate passed"
    if not found.passed:
        how = "not passed" if found.override is None else f"overridden ({found.override})"
        head = f"gate {how}: {' '.join(found.reasons)}"
    if found.gain is None or found.low is None:
        return head
    figures = f"macro-F1 {found.gain:+.3f}, at least {found.low:+.3f}, on {found.fields} fields"
    return f"{head}: {figures}" if found.passed else f"{head} {figures[0].upper()}{figures[1:]}."


@app.command()
def rollback(registry: Folder, alias: Alias = "production", why: Why = "", who: Who = None) -> None:
    """Point an alias back to its previous version."""
    entry = _open(registry).rollback(alias=alias, who=get_user(who), why=why, check=_run_selftest)
    print(f"{alias} is {entry.version}")


@app.command()
def withdraw(
    registry: Folder,
    alias: Annotated[str, typer.Option(help="The alias to remove; not `production`.")] = "candidate",
    why: Why = "",
    who: Who = None,
) -> None:
    """Remove an alias, such as that of a candidate; its versions stay."""
    _open(registry).withdraw(alias, who=get_user(who), why=why)
    print(f"{alias} is withdrawn")


@app.command()
def retire(version: Version, registry: Folder, why: Why = "", who: Who = None) -> None:
    """Exclude a version from promotion; its folder is kept."""
    print(f"{_open(registry).retire(version, who=get_user(who), why=why).version} is retired")


def _open(folder: Path) -> Registry:
    from lociscope.registry.model_registry import Registry

    return Registry(folder)


def _run_selftest(folder: Path) -> None:
    """Open the bundle, which runs its self-test on this machine."""
    from lociscope.predict.predictor import open_bundle

    open_bundle(folder)


def get_user(given: str | None) -> str:
    """Return who acts: as given, or the user's name."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # the user of a container may have a number and no name
        return "unknown"


def _to_dict(entry: Entry) -> dict[str, object]:
    return {
        "version": entry.version,
        "folder": str(entry.folder),
        "sha256": entry.sha256,
        "aliases": list(entry.aliases),
        "retired": entry.retired,
        "added": entry.added.model_dump(exclude_none=True),
    }
