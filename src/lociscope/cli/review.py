"""`lociscope review`: queue fields for people, and use their labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lociscope.workflows.review import ReviewStatus

app = typer.Typer(help="Let people label the fields that teach most, and use their labels.", no_args_is_help=True)

Review = Annotated[
    str,
    typer.Option("--review", "-r", envvar="LOCISCOPE_REVIEW", metavar="URL", help="The review: a path, or a URL."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def queue(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="The table of the fields.")],
    fields: Annotated[Path, typer.Argument(metavar="FIELDS", help="Their images: a folder or a Catalog.")],
    review: Review,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many fields to select.")] = 100,
    second: Annotated[
        Path | None, typer.Option("--second", help="Predictions by another model, for disagreement.")
    ] = None,
    random_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of them at random, which measures the accuracy.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random share.")] = 0,
) -> None:
    """Select predicted fields for review: uncertain, disputed, novel and rare ones, diverse, and some at random."""
    from lociscope.workflows.review import queue_fields

    found = queue_fields(predictions, fields, review, count=count, second=second, random_share=random_share, seed=seed)
    reasons = ", ".join(f"{number} {reason}" for reason, number in found.reasons.items())
    known = f", {found.known} were in it already" if found.known else ""
    print(f"{found.added} fields added to {review}{known} ({reasons})")


@app.command()
def status(review: Review, as_json: AsJson = False) -> None:
    """Count the answers, and show how far the reviewers agree."""
    from lociscope.workflows.review import summarize_review

    found = summarize_review(review)
    if as_json:
        from dataclasses import asdict

        agreement = [each._asdict() for each in found.agreement]
        print(json.dumps(asdict(found) | {"agreement": agreement}, indent=2, ensure_ascii=False))
    else:
        _print_status(found)


@app.command()
def export(
    review: Review,
    output: Annotated[Path, typer.Option("--output", "-o", help="The Catalog to write, .parquet.")],
) -> None:
    """Write the fields whose labels reviewers agree on as a Catalog, with who labelled them and when."""
    from lociscope.workflows.review import export_labels

    number = export_labels(review, output)
    print(f"{number} labelled {'field' if number == 1 else 'fields'} in {output}")


@app.command()
def delete(
    review: Review,
    matching: Annotated[
        str | None, typer.Option("--matching", metavar="REGEX", help="Fields in whose id this is found.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="All answers of this reviewer.")] = None,
) -> None:
    """Delete fields with their answers, or all answers of a reviewer."""
    from lociscope.workflows.review import delete_reviewed

    number = delete_reviewed(review, matching=matching, reviewer=reviewer)
    print(f"{number} {'fields' if reviewer is None else 'answers'} deleted")


def _print_status(found: ReviewStatus) -> None:
    print(
        f"{found.answered} of {found.fields} fields answered: {found.agreed} agreed, {found.disputed} disputed, "
        f"{found.cannot_tell} that nobody could label"
    )
    for name, number in found.reviewers.items():
        print(f"  {name}: {number}")
    for each in found.agreement:
        kappa = "not defined" if each.kappa is None else f"{each.kappa:.2f}"
        print(
            f"  {each.reviewers[0]} and {each.reviewers[1]}: {each.fields} fields, Cohen's kappa {kappa}, "
            f"{100 * each.same:.0f} % the same labels"
        )
