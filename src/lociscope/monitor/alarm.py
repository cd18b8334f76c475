"""Tell a program or a web address that fields have drifted, or no longer do."""

from __future__ import annotations

import json
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.monitor.describe import describe_cause, describe_findings

if TYPE_CHECKING:
    from lociscope.monitor.report import DriftReport

COMMAND_SECONDS, WEBHOOK_SECONDS = 60.0, 10.0
"""Longest time that a command may run, and that an address may take, s."""

MOST_SHOWN = 200


def check_target(target: str) -> str:
    """Return a target of alarms if it is one.

    Args:
        target: An address, `https://…` or `http://…`, or a command with its arguments.

    Raises:
        UsageError: It is neither.
    """
    try:
        words = shlex.split(target)
    except ValueError:
        words = []
    if not words or ("://" in words[0] and not _is_address(target)):
        raise UsageError(
            f"`alarm` is {target[:MOST_SHOWN]!r}; expected an address, https://…, or a command, such as "
            "'mail -s drift lab@example.org'.",
            code=Code.INVALID_VALUE,
        )
    return target


def send_alarm(target: str, report: DriftReport) -> None:
    """Send a report: post it as JSON to an address, or pass it as JSON to the standard input of a command.

    Args:
        target: As `check_target` takes it. A command is run without a shell.
        report: The report, of a window that drifted, or that does not any more.

    Raises:
        LociscopeError: The address does not accept it, or the command cannot be run or fails.
    """
    data = json.dumps(describe_alarm(report), ensure_ascii=False).encode()
    try:
        if _is_address(target):
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(target, data, headers, method="POST")  # noqa: S310 - http or https
            with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS):  # noqa: S310 - the same
                return
        subprocess.run(  # noqa: S603 - the operator's command
            shlex.split(target), input=data, check=True, timeout=COMMAND_SECONDS, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # those of urllib are OSErrors
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = str(error)
        if isinstance(error, subprocess.CalledProcessError):  # whose text shows all arguments
            said = (error.stderr or b"").decode(errors="replace")[:MOST_SHOWN].strip()
            reason = f"exit code {error.returncode} {said}"
        elif isinstance(error, subprocess.TimeoutExpired):
            reason = f"it takes longer than {error.timeout:g} s"
        raise LociscopeError(
            f"The alarm could not be sent to {_shorten(target)}: {reason}. Check `alarm`.",
            code=Code.UNAVAILABLE,
        ) from error


def describe_alarm(report: DriftReport) -> dict[str, Any]:
    """Return what an alarm says: `drifted`, `text` for people, and the whole `report`."""
    state = "drift" if report.drifted else "no drift any more"
    lines = [f"{state}: {report.window}, {report.fields} fields, compared with {report.reference}"]
    if report.drifted:
        lines += [f"likely cause: {describe_cause(cause)}" for cause in report.causes]
        lines += describe_findings(report)
    return {
        "drifted": report.drifted,
        "text": "\n".join(lines),
        "report": report.model_dump(mode="json", by_alias=True),
    }


def _is_address(target: str) -> bool:
    parts = urlsplit(target)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not any(each.isspace() for each in target)


def _shorten(target: str) -> str:
    """Return a target without what may be secret in it: the path of an address, the arguments of a command."""
    return f"'{urlsplit(target).hostname}'" if _is_address(target) else f"'{shlex.split(target)[0]}'"
