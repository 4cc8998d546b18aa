"""One line now and then, and nothing for short work."""

import io
import sys

import pytest

from study import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def screen(monkeypatch):
    """What is written to standard error; a terminal if told so."""

    def show(terminal):
        stream = io.StringIO()
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return show


def work(clock, seconds, steps=10):
    """So many steps in so many seconds."""
    display = progress.Progress("work")
    for step in range(1, steps + 1):
        clock.now += seconds / steps
        display(step, steps, loss=0.12345)


def test_short_work_is_silent_in_a_file(clock, screen):
    written = screen(terminal=False)
    work(clock, 19)
    assert written.getvalue() == ""


def test_a_line_every_twenty_seconds_in_a_file(clock, screen):
    written = screen(terminal=False)
    work(clock, 100)
    lines = written.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "work: 2/10, loss 0.123, 0.1/s, 0:01:20 left"
    assert lines[-1] == "work: 10/10, loss 0.123, 0.1/s, 0:00:00 left"


def test_one_line_rewritten_at_a_terminal(clock, screen):
    written = screen(terminal=True)
    work(clock, 20, steps=100)
    text = written.getvalue()
    assert text.count("\r") > 20 and text.count("\n") == 1 and text.endswith("left\n")
    assert "work: 100/100" in text.split("\r")[-1]


def test_the_first_call_of_a_resumed_run_is_no_speed(clock, screen):
    """It starts at 900 of 1,000: those were not done now."""
    written = screen(terminal=False)
    display = progress.Progress("work")
    clock.now += 30
    display(900, 1000)
    clock.now += 25
    display(925, 1000)
    assert written.getvalue().splitlines() == [
        "work: 900/1000, 0/s, ? left",
        "work: 925/1000, 1/s, 0:01:15 left",
    ]
