"""`lociscope serve`: settings by flag, environment and default; what cannot be served is one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.cli import serve as serve_module
from lociscope.service import server
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each call; nothing listens."""
    given: list[Settings] = []

    def serve(app: Any, settings: Settings, started: Callable[[str], None]) -> None:
        given.append(settings)
        started("http://somewhere")

    monkeypatch.setattr(server, "serve", serve)
    return given


def test_by_default_this_machine_alone_and_the_shipped_limits(
    lociscope: Command, told: list[Settings], tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCISCOPE_KEEP_DAYS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, out, err = lociscope("serve")
    assert (code, out) == (0, "http://somewhere\n")
    assert err == "tiny0 0: For tests.\n"
    assert told == [Settings(bundle=tiny_bundle, store=tmp_path / "lociscope")]
    assert told[0].is_local


def test_settings_of_jobs(lociscope: Command, told: list[Settings], tmp_path: Path) -> None:
    words = ("--keep-days", 2, "--max-job-mb", 3, "--max-job-fields", 4, "--max-stored-gb", 5, "--job-workers", 0)
    database = str(tmp_path / "db" / "jobs.sqlite")
    assert lociscope("serve", "--store", tmp_path / "s", "--database", database, *words)[0] == 0
    (settings,) = told
    assert (settings.store, settings.database_url, settings.keep_days) == (tmp_path / "s", database, 2)
    assert (settings.max_job_bytes, settings.max_job_fields) == (3 << 20, 4)
    assert (settings.max_stored_bytes, settings.job_workers) == (5 << 30, 0)
    assert lociscope("serve", "--store", tmp_path / "s", "--keep-days", 0)[0] == 0
    assert told[1].store is None


def test_flags_then_the_environment(
    lociscope: Command, told: list[Settings], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> None:
    for name, value in {
        "LOCISCOPE_HOST": "10.0.0.7",
        "LOCISCOPE_PORT": "81",
        "LOCISCOPE_MAX_MB": "2",
        "LOCISCOPE_MAX_IN_FLIGHT": "5",
        "LOCISCOPE_WORKERS": "3",
        "LOCISCOPE_ROOT_PATH": "/lab/cells/",
        "LOCISCOPE_API_KEY": "k" * 20,
        "LOCISCOPE_ALLOW_HOST": "a.example b.example",
    }.items():
        monkeypatch.setenv(name, value)
    assert lociscope("serve", "--port", 82, "--workers", 1)[0] == 0
    (settings,) = told
    assert (settings.host, settings.port, settings.max_bytes, settings.max_in_flight) == ("10.0.0.7", 82, 2 << 20, 5)
    assert settings.root_path == "/lab/cells"
    assert (settings.workers, settings.allow_host) == (1, ("a.example", "b.example"))
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "k" * 20


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--host", "0.0.0.0"), 2, "--host 0.0.0.0 lets others reach this service, and no key protects it."),
        (("--bundle", "none"), 1, "'none' is not a bundle: the folder does not exist."),
        (("--registry", "none"), 1, "'none' is not a registry."),
        (("--registry", "r", "--bundle", "b"), 2, "Both --bundle and --registry name a model to serve."),
        (("--root-path", "cells"), 2, "--root-path is 'cells'; expected a path such as /lociscope"),
        (("--log", "nowhere/deep/log.sqlite", "--port", "1"), 1, "nowhere/deep/log.sqlite"),
    ],
)
def test_what_cannot_be_served(lociscope: Command, words: tuple[str, ...], code: int, said: str) -> None:
    left, out, err = lociscope("serve", *words)
    assert (left, out) == (code, "")
    assert said in err
    assert err.splitlines()[-1].startswith("lociscope: ")


def test_public_lets_everyone_in(lociscope: Command, told: list[Settings]) -> None:
    assert lociscope("serve", "--host", "0.0.0.0", "--public")[0] == 0
    assert told[0].public


def test_a_port_in_use(lociscope: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, out, err = lociscope("serve", "--port", port)
    assert (code, out) == (1, "")
    assert err.endswith(f"lociscope: Cannot listen at 127.0.0.1, port {port}: address already in use. "
                        "Pass another --port or --host, or end what uses it.\n")  # fmt: skip


def test_without_the_extra(lociscope: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else real(name))
    assert lociscope("serve") == (
        1, "", "lociscope: Serving needs the extra 'serve'. Install it: pip install 'lociscope[serve]'.\n",
    )  # fmt: skip
    assert serve_module.KEY == "LOCISCOPE_API_KEY"


def test_its_help_loads_none_of_it() -> None:
    code = (
        "import sys\nfrom lociscope.cli import main\nsys.argv = ['lociscope', 'serve', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'fastapi', 'uvicorn', 'jinja2', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
