"""What is said while work goes on: on stderr, a bar on a terminal and lines elsewhere, and only if wanted."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.main import get_command

from lociscope.cli import app, console
from lociscope.images.discovery.sources import Failure


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def not_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", False)


def test_one_field_two_fields() -> None:
    assert [console.count_fields(number) for number in (0, 1, 2)] == ["0 fields", "1 field", "2 fields"]


def test_a_note_goes_to_stderr_unless_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.note("drawing")
    assert capsys.readouterr() == ("", "drawing\n")
    monkeypatch.setattr(console, "quiet", True)
    console.note("drawing")
    assert capsys.readouterr() == ("", "")


def test_failures_are_reported_even_if_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "quiet", True)
    console.report_failures([Failure("a", "there", "Because."), Failure("b", "there", "So.")], Path("list.csv"))
    assert capsys.readouterr() == ("", "lociscope: 2 fields failed, listed in list.csv; the first: Because.\n")


def test_parameters_are_shown_as_flags(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "context", SimpleNamespace(command=get_command(app)))
    console.print_error("Pass `allow_missing=yellow`, `pixel_size`, `until_idle`, `settings=a=b`, or `other`.")
    console.report_failures([Failure("a", "there", "Name another `output`.")], Path("list.csv"))
    assert capsys.readouterr().err.splitlines() == [
        "Pass --allow-missing yellow, --pixel-size, --until-idle, --set a=b, or `other`.",
        "lociscope: 1 field failed, listed in list.csv; the first: Name another --output.",
    ]


def test_progress_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[type[io.StringIO], str] = {}
    for kind in (Terminal, io.StringIO):
        monkeypatch.setattr(sys, "stderr", stderr := kind())
        with console.progress("predicting") as tell:
            tell(1, 2)
            tell(2, 2, "loss 0.1")
        shown[kind] = stderr.getvalue()
    assert "predicting" in shown[Terminal]
    assert "2/2" in shown[Terminal]
    assert "loss 0.1" in shown[Terminal]
    assert shown[io.StringIO] == ""


def test_a_step_without_progress_shows_only_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr := Terminal())
    with console.progress("loading TensorFlow"):
        assert "loading TensorFlow" in stderr.getvalue()
        stderr.truncate(0)
    assert "loading TensorFlow" not in stderr.getvalue()


class Clock:
    """Stands for `time.monotonic`."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("verbose", "interval"), [(False, 30.0), (True, 5.0)])
def test_without_a_terminal_a_line_is_printed_in_an_interval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verbose: bool, interval: float
) -> None:
    monkeypatch.setattr(console, "time", clock := Clock())
    monkeypatch.setattr(console, "verbose", verbose)
    with console.progress("predicting") as tell:
        for done in (100, 101, 110, 115, 200):  # 100 were done by an earlier call
            tell(done, 200, "text" if done > 110 else "")
            clock.now += interval * 0.6
    assert capsys.readouterr() == (
        "",
        f"predicting: 110 of 200, {console.format_duration(interval * 1.2 * 9)} left\npredicting: 200 of 200, text\n",
    )


def test_the_time_left_of_a_second_part_follows_the_speed_of_that_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "time", clock := Clock())
    with console.progress("predicting") as report:
        for done in (*range(1, 101), *range(1, 5)):  # a second for each of the first part, a minute of the second
            report(done, 100)
            clock.now += 1 if clock.now < 200 else 60
    assert capsys.readouterr().err.splitlines()[-1] == "predicting: 4 of 100, 1 h 36 min left"


def test_durations_have_two_units() -> None:
    assert [console.format_duration(seconds) for seconds in (0.4, 59.6, 125, 3725, 90000)] == [
        "0 s", "1 min 0 s", "2 min 5 s", "1 h 2 min", "25 h 0 min",
    ]  # fmt: skip


def test_quiet_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", True)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with console.progress("predicting") as tell:
        tell(1, 1)
    assert terminal.getvalue() == ""


def test_no_color_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = "\x1b[3"
    told = {}
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        with console.progress("predicting") as tell:
            tell(1, 2)
        told[no_color] = terminal.getvalue()
    assert colour in told[""]
    assert colour not in told["1"]
