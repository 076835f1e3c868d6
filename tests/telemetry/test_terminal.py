"""Progress on stderr."""

import io
import sys

import pytest

from vr.cascade.progress import Advance, Meter
from vr.pipeline.progress import Event
from vr.telemetry.terminal import PlainProgress, show_progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_plain_line_at_most_every_ten_seconds_and_stage():
    stream, clock = io.StringIO(), Clock()
    progress = PlainProgress(stream, clock)
    for second in range(31):
        clock.now = float(second)
        progress(Event("profile", second, 30, f"row {second}"))
        if second == 5:
            progress(Event("cascade", 1, None, "tier\n1"))
    assert stream.getvalue().splitlines() == [
        "profile      0% row 0",
        "cascade    tier 1",
        "profile     33% row 10",
        "profile     67% row 20",
        "profile    100% row 30",
    ]


def test_a_reader_who_has_gone_away_stops_nothing():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    PlainProgress(Gone())(Event("profile", 1, 2))


def test_quiet_shows_nothing():
    with show_progress(quiet=True) as show:
        assert show is None


def test_without_a_terminal_lines_go_to_stderr(capsys):
    with show_progress() as show:
        assert show is not None
        show(Event("profile", 1, 2, "reading"))
    assert capsys.readouterr() == ("", "profile     50% reading\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_eighty_columns_show_the_time_left_and_the_step_of_a_training(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    with show_progress() as show:
        assert show is not None
        meter = Meter(lambda step: show(Event("cascade", step.done, step.total, step.message)), 71, 0.0, clock=Clock())
        meter.begin("tier_1", models=50, steps=300, batch_rows=128, segments=20)
        meter.advanced(Advance("seed 1 of 10, reference", 1, 1.5, seconds=0.25, waited=0.25))
    assert "tier_1: 4 min left, step 1" in terminal.getvalue()


@pytest.mark.parametrize("total", [4, None])
def test_bars_on_a_terminal(monkeypatch, total):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with show_progress() as show:
        assert show is not None
        show(Event("profile", 1, total, "half way"))
        show(Event("cascade", 1, 3, "a [bracketed] message"))
        show(Event("cascade", 3, 3))
    shown = terminal.getvalue()
    assert "profile" in shown
    assert "cascade" in shown
