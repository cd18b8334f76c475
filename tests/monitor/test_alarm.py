"""Alarms reach a command or an address, and say why they did not."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.monitor.alarm import check_target, send_alarm
from lociscope.monitor.report import Cause, CauseKind, DriftReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPORT = DriftReport(
    schema=3, window="the last 20 fields", fields=20, reference="log 'lab.db'", reference_fields=40, level=0.01,
    drifted=True, causes=[Cause(kind=CauseKind.GAIN, channels=("red",), value=0.5)], checked=[], not_checked=[],
    statistics=[], embedding=None, locations=[], notes=[],
)  # fmt: skip


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a web hook, and what was posted; the path /no refuses."""
    posted: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(403 if self.path == "/no" else 204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


def test_an_address_gets_the_report(hook: tuple[str, list[bytes]]) -> None:
    address, posted = hook
    send_alarm(check_target(f"{address}/drift"), REPORT)
    said = json.loads(posted[0])
    assert (said["drifted"], DriftReport.model_validate(said["report"])) == (True, REPORT)
    assert "drift: the last 20 fields, 20 fields" in said["text"]
    assert "likely cause: " in said["text"]


def test_a_command_gets_the_report_without_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "a; file"
    program = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    send_alarm(shlex.join([sys.executable, "-c", program, str(file)]), REPORT.model_copy(update={"drifted": False}))
    said = json.loads(file.read_text())
    assert (said["drifted"], said["text"].split(":")[0]) == (False, "no drift any more")


@pytest.mark.parametrize("path", ["/no", ""])
def test_one_that_fails_is_reported_without_its_secret(hook: tuple[str, list[bytes]], path: str) -> None:
    fails = shlex.join([sys.executable, "-c", "import sys; sys.exit('no mail today')", "my-secret"])
    target = f"{hook[0]}{path}" if path else fails
    with pytest.raises(LociscopeError) as raised:
        send_alarm(target, REPORT)
    assert raised.value.code == Code.UNAVAILABLE
    assert ("403" if path else "no mail today") in str(raised.value)
    assert not {"/no", "my-secret"} & {*str(raised.value).replace("'", " ").split()}


def test_an_absent_program_and_a_closed_port(hook: tuple[str, list[bytes]]) -> None:
    for target in ("no-such-program-here --now", "http://127.0.0.1:9/"):
        with pytest.raises(LociscopeError) as raised:
            send_alarm(target, REPORT)
        assert raised.value.code == Code.UNAVAILABLE


@pytest.mark.parametrize("target", ["", "  ", "ftp://lab/x", "http://", "mail 'unbalanced", "file:///etc/passwd"])
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(UsageError):
        check_target(target)
