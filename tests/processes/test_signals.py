"""Signals that ask a command to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lociscope.processes import signals
from lociscope.processes.signals import handle_termination, interrupt_on_termination

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_sigterm_and_sighup_and_what_is_named_are_handled_and_given_back() -> None:
    before = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGHUP)
    heard: list[int] = []
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        with handle_termination(lambda number, frame: heard.append(number), signal.SIGUSR1):
            signal.raise_signal(each)
    assert heard == [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]
    assert (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGHUP)) == before


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_sighup_never_insists_and_sigterm_does(first: signal.Signals) -> None:
    heard: list[int] = []
    with handle_termination(lambda number, frame: heard.append(number)):
        for each in (first, signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            signal.raise_signal(each)
    assert heard == [first, signal.SIGTERM]


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_they_can_do_what_ctrl_c_does(kind: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interrupt_on_termination():
        signal.raise_signal(kind)


def test_under_nohup_sighup_stays_ignored() -> None:
    code = (
        "import signal\nfrom lociscope.processes.signals import interrupt_on_termination\n"
        "with interrupt_on_termination(): signal.raise_signal(signal.SIGHUP)\nprint('still here')"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "still here\n"


def test_other_threads_leave_signals_as_they_are() -> None:
    before = signal.getsignal(signal.SIGTERM)
    during: list[object] = []

    def work() -> None:
        with interrupt_on_termination():
            during.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]


def test_output_is_discarded_when_the_terminal_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    outer, inner = os.openpty()
    monkeypatch.setattr(signals, "_STREAMS", (inner,))
    with handle_termination(lambda number, frame: None):
        signal.raise_signal(signal.SIGHUP)  # by hand: the terminal is still there
        assert os.isatty(inner)
    with handle_termination(lambda number, frame: None):
        os.close(outer)
        with pytest.raises(OSError, match=r"Input/output error"):
            os.write(inner, b"lost")
        signal.raise_signal(signal.SIGHUP)
        assert os.write(inner, b"lost") == 4
    os.close(inner)
