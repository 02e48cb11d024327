from __future__ import annotations

import io
import re

import pytest

from raypipe.engine.progress import Line, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_stage_is_one_line_with_its_time_and_detail() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with progress.stage("ingest") as stage:
        assert out.getvalue() == ""  # the log of a job gets a line only when a stage ends
        stage.say("12 rows")
    with progress.stage("train"):
        pass
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(r"✓ ingest +\d+\.\d s  12 rows", first)
    assert re.fullmatch(r"✓ train +\d+\.\d s", second)
    assert list(progress.seconds) == ["ingest", "train"]


def test_a_stage_that_fails_says_so_and_the_error_passes() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with pytest.raises(ZeroDivisionError), progress.stage("score"):
        _ = 1 / 0
    assert out.getvalue().startswith("✗ score")


def test_a_name_that_comes_again_adds_up() -> None:
    progress = Progress(io.StringIO())
    for _ in range(3):
        with progress.stage("week"):
            pass
    assert list(progress.seconds) == ["week"]


def test_a_terminal_ends_with_the_same_line() -> None:
    out = Terminal()
    with Progress(out).stage("ingest") as stage:
        stage.say("12 rows")
    assert re.search(r"✓ ingest +\d+\.\d s  12 rows\n$", out.getvalue())


def test_a_line_is_drawn_over_itself_and_wiped() -> None:
    out = Terminal()
    line = Line(out)
    line.say("round 10 of 20")
    line.say("round 9")
    assert out.getvalue() == "\rround 10 of 20\rround 9       "
    line.close()
    assert out.getvalue().endswith("\r       \r")
    line.close()
    assert out.getvalue().count("\r       \r") == 1


def test_a_line_is_quiet_in_a_log_and_beneath_a_live_stage() -> None:
    log = io.StringIO()
    Line(log).say("round 1")
    assert log.getvalue() == ""
    out = Terminal()
    with Progress(Terminal()).stage("train"):
        Line(out).say("round 1")
    assert out.getvalue() == ""
    Line(out).say("round 2")
    assert "round 2" in out.getvalue()
