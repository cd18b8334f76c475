"""`lociscope keys`: who may use a service."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.serve import find_store, require_modules

if TYPE_CHECKING:
    from lociscope.service.keys import KeyStore

app = typer.Typer(help="Make, list and revoke the API keys of a service.", no_args_is_help=True)

Database = Annotated[
    str | None,
    typer.Option(
        envvar="LOCISCOPE_DATABASE",
        help="The database of the service: a path (SQLite) or an SQLAlchemy URL; by default the one in its folder.",
    ),
]
Store = Annotated[
    str | None, typer.Option(envvar="LOCISCOPE_STORE", help="The folder of the service, as for `lociscope serve`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as 'screening robot'.")],
    database: Database = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: this is the only time it is shown. From the first key on, requests need one."""
    with _open(database, store) as keys:
        key, text = keys.add(name)
    if as_json:
        print(json.dumps({"id": key.id, "name": key.name, "key": text}))
        return
    print(text)
    console.note(f"key {key.id} of {key.name}; it is stored as a hash, and cannot be shown again")


@app.command(name="list")
def list_keys(database: Database = None, store: Store = None, as_json: AsJson = False) -> None:
    """List the keys: id, name, when each was made and revoked; never the keys themselves."""
    from lociscope.service.jobs.records import format_time

    with _open(database, store) as keys:
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "created": format_time(key.created),
                "revoked": None if key.revoked is None else format_time(key.revoked),
            }
            for key in keys.list()
        ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['id']}  {row['created']}  {row['revoked'] or 'active':25}  {row['name']}")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The id of the key, or its name if only one active key has it.")],
    database: Database = None,
    store: Store = None,
    delete_jobs: Annotated[
        bool, typer.Option("--delete-jobs", help="Also delete all jobs that were sent with it: files and results.")
    ] = False,
) -> None:
    """Revoke a key: running services refuse it within two seconds."""
    with _open(database, store) as keys:
        revoked = keys.revoke(key)
        console.note(f"key {revoked.id} of {revoked.name} is revoked")
        if delete_jobs:
            from lociscope.service.jobs.service import delete_jobs_of

            n = delete_jobs_of(keys.database, find_store(store), revoked.id)
            console.note(f"{n} jobs of {revoked.name} are deleted")


def _open(database: str | None, store: str | None) -> AbstractContextManager[KeyStore]:
    require_modules("sqlalchemy")
    from lociscope.service.keys import open_keys
    from lociscope.service.settings import DATABASE

    return open_keys(database or str(find_store(store) / DATABASE))
