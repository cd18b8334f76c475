"""`lociscope serve`: a page and an HTTP interface for one bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli import console
from lociscope.cli.reading import BundlePath, LogUrl
from lociscope.errors import MissingExtraError

KEY = "LOCISCOPE_API_KEY"
"""The key comes only from the environment, because every user of the machine can see command lines."""

ServedRegistry = Annotated[
    Path | None,
    typer.Option(
        envvar="LOCISCOPE_REGISTRY", help="Serve the bundle of its alias 'production', also after a promotion."
    ),
]


def serve(
    bundle: BundlePath = None,
    registry: ServedRegistry = None,
    host: Annotated[str, typer.Option(envvar="LOCISCOPE_HOST", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="LOCISCOPE_PORT", help="The port; 0 selects a free one.")
    ] = 8000,
    public: Annotated[
        bool,
        typer.Option("--public", envvar="LOCISCOPE_PUBLIC", help="Let other machines in without LOCISCOPE_API_KEY."),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(envvar="LOCISCOPE_ALLOW_HOST", help="Another accepted host name, such as a proxy's."),
    ] = None,
    root_path: Annotated[
        str | None,
        typer.Option(envvar="LOCISCOPE_ROOT_PATH", help="The path under which a proxy serves this, like /lociscope."),
    ] = None,
    max_mb: Annotated[
        float, typer.Option(min=0.001, max=4096, envvar="LOCISCOPE_MAX_MB", help="Maximum megabytes of a request.")
    ] = 64.0,
    max_in_flight: Annotated[
        int,
        typer.Option(min=1, envvar="LOCISCOPE_MAX_IN_FLIGHT", help="Maximum predictions at once; beyond that, 503."),
    ] = 32,
    workers: Annotated[int, typer.Option(min=1, envvar="LOCISCOPE_WORKERS", help="Threads that read and predict.")] = 2,
    log: LogUrl = None,
    store: Annotated[
        Path | None,
        typer.Option(
            envvar="LOCISCOPE_STORE",
            help="The folder for files and results of jobs; by default lociscope in the user's folder for state.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="LOCISCOPE_DATABASE",
            help="The database of jobs and keys: a path (SQLite) or an SQLAlchemy URL; by default a file in --store.",
        ),
    ] = None,
    keep_days: Annotated[
        float,
        typer.Option(
            min=0,
            max=3660,
            envvar="LOCISCOPE_KEEP_DAYS",
            help="Days for which files and results of jobs are kept; 0 keeps nothing, and there are no jobs.",
        ),
    ] = 7.0,
    max_job_mb: Annotated[
        float,
        typer.Option(min=0.001, max=1 << 20, envvar="LOCISCOPE_MAX_JOB_MB", help="Maximum megabytes of a job."),
    ] = 1024.0,
    max_job_fields: Annotated[
        int, typer.Option(min=1, envvar="LOCISCOPE_MAX_JOB_FIELDS", help="Maximum fields of a job.")
    ] = 2000,
    max_stored_gb: Annotated[
        float,
        typer.Option(
            min=0.001, envvar="LOCISCOPE_MAX_STORED_GB", help="Gigabytes of kept files; beyond that, no further job."
        ),
    ] = 20.0,
    job_workers: Annotated[
        int,
        typer.Option(
            min=0, envvar="LOCISCOPE_JOB_WORKERS", help="Threads that predict jobs; 0 leaves them to other processes."
        ),
    ] = 1,
    review: Annotated[
        str | None,
        typer.Option(envvar="LOCISCOPE_REVIEW", metavar="URL", help="The review to show at /review: a path, or a URL."),
    ] = None,
    reviewers: Annotated[
        int, typer.Option(min=1, max=20, envvar="LOCISCOPE_REVIEWERS", help="Reviewers that each field needs.")
    ] = 1,
    candidate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            envvar="LOCISCOPE_CANDIDATE",
            metavar="SHARE",
            help="Compare the registry's alias 'candidate' with production, and let it answer this share of the "
            "fields; 0 for none.",
        ),
    ] = None,
    monitor: Annotated[
        int | None,
        typer.Option(
            min=20,
            max=100_000,
            envvar="LOCISCOPE_MONITOR",
            metavar="FIELDS",
            help="Compare so many predicted fields at a time with a reference, for drift.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            envvar="LOCISCOPE_MONITOR_REFERENCE",
            metavar="P|BUNDLE|URL",
            help="The reference of --monitor: Predictions, a bundle or a log; by default that of the bundle.",
        ),
    ] = None,
    level: Annotated[
        float,
        typer.Option(
            min=0.0001,
            max=0.5,
            envvar="LOCISCOPE_MONITOR_LEVEL",
            help="Chance of an alarm for each window of --monitor if nothing has changed.",
        ),
    ] = 0.01,
    group: Annotated[
        str | None,
        typer.Option(
            envvar="LOCISCOPE_MONITOR_GROUP",
            metavar="REGEX",
            help="What the ids of one plate or specimen share; such fields count as one for --monitor.",
        ),
    ] = None,
    alarm: Annotated[
        str | None,
        typer.Option(
            envvar="LOCISCOPE_ALARM",
            metavar="URL|COMMAND",
            help="Where --monitor sends a report as JSON when drift begins or ends: an address, or a command.",
        ),
    ] = None,
) -> None:
    """Serve a page for uploads, and the same over HTTP. SIGTERM, SIGHUP and Ctrl-C finish current predictions."""
    require_modules("fastapi", "uvicorn", "jinja2", "python_multipart", "prometheus_client", "sqlalchemy")
    if monitor is not None:
        require_modules("scipy", extra="monitor")
    from pydantic import SecretStr

    from lociscope.monitor.alarm import check_target
    from lociscope.service.app import create_app
    from lociscope.service.server import serve as serve_app
    from lociscope.service.settings import Settings

    # A bundle in the environment is a default; an explicit registry has priority.
    is_default = registry is not None and str(bundle) == os.environ.get("LOCISCOPE_BUNDLE")
    settings = Settings(
        bundle=None if is_default else bundle,
        registry=registry,
        host=host,
        port=port,
        api_key=SecretStr(os.environ[KEY]) if os.environ.get(KEY) else None,
        public=public,
        allow_host=tuple(allow_host or ()),
        root_path=(root_path or "").rstrip("/"),
        max_bytes=int(max_mb * (1 << 20)),
        max_in_flight=max_in_flight,
        workers=workers,
        log=log,
        store=find_store(store) if keep_days else None,
        database=database,
        keep_days=keep_days or 7.0,
        max_job_bytes=int(max_job_mb * (1 << 20)),
        max_job_fields=max_job_fields,
        max_stored_bytes=int(max_stored_gb * (1 << 30)),
        job_workers=job_workers,
        review=review,
        reviewers=reviewers,
        candidate=candidate,
        monitor=monitor,
        reference=reference,
        level=level,
        group=group,
        alarm=None if alarm is None else check_target(alarm),
    )
    app = create_app(settings)
    card = app.state.service.model.predictor.bundle.card
    console.note(f"{card.name} {card.version}: {card.limits}")
    serve_app(app, settings, lambda address: print(address, flush=True))


def find_store(path: str | Path | None) -> Path:
    """Return the folder of a service: the given one, or `lociscope` in the user's folder for state."""
    if path is not None:
        return Path(path)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lociscope"


def require_modules(*modules: str, extra: str = "serve") -> None:
    """Raise a MissingExtraError unless the libraries of an extra are installed.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    from importlib.util import find_spec

    if not all(find_spec(module) for module in modules):
        raise MissingExtraError("Monitoring" if extra == "monitor" else "Serving", extra)
