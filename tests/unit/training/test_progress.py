from __future__ import annotations

import io
import logging
import sys
import threading
import time
from pathlib import Path

import pytest

import raypipe as rp
from raypipe.engine.progress import Line
from raypipe.training.checkpoints import Checkpoints
from raypipe.training.progress import Watch, begins_logged, text, watched
from raypipe.training.state import State
from tests import small


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_tells_rounds_figure_and_what_is_left() -> None:
    history = {"train": {"auc": [0.7, 0.8]}, "valid": {"auc": [0.6, 0.65]}}
    state = State(rounds=40, history=history)
    said = text(state, 100, "auc", 10.0, 20)
    assert said == "round 40 of 100 · valid auc 0.65 · 10 s, at most 30 s left"
    assert text(State(), 100, "auc", 0.0, 0) == "round 0 of 100 · 0 s"


def test_what_is_left_counts_rounds_of_this_attempt_only() -> None:
    out, now = Terminal(), [100.0]
    watch = Watch(Line(out), 100, "auc", clock=lambda: now[0])
    watch(State(rounds=90))
    now[0] += 0.1
    watch(State(rounds=91))  # too soon to draw again
    assert "round 91" not in out.getvalue()
    now[0] += 9.9
    watch(State(rounds=95))
    assert "10 s, at most 10 s left" in out.getvalue()


def test_a_terminal_sees_it_and_a_log_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = rp.Lake(tmp_path / "lake")
    lake.table("rows").append(small.rows(n=300))
    trainer = rp.Trainer(small.recipe(), label="late", learner=rp.XGBoost(rounds=3), run_on="local")
    for out in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", out)
        trainer.fit(lake.table("rows").at(), tags={"out": type(out).__name__})
        assert ("round 0 of 3" in out.getvalue()) == out.isatty()
        assert out.getvalue() == "" or out.getvalue().endswith("\r")


def test_a_run_elsewhere_is_followed_by_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raypipe.training.progress._LOOK_S", 0.01)
    out = Terminal()
    checkpoints = Checkpoints(rp.Lake(tmp_path / "lake"), "run")
    with watched(Watch(Line(out), 9, "auc"), checkpoints):
        checkpoints.save(State(model=b"x", rounds=4, history={"train": {"auc": [0.5]}}))
        deadline = time.monotonic() + 120
        while "round 4 of 9 · train auc 0.5" not in out.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_run_does_not_wait_for_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage that fails may hold a look at the checkpoints for minutes."""
    monkeypatch.setattr("raypipe.training.progress._LOOK_S", 0.01)
    looking, over, out = threading.Event(), threading.Event(), Terminal()

    class Failing(Checkpoints):
        def names(self) -> list[str]:
            looking.set()
            over.wait()
            return super().names()

    checkpoints = Failing(rp.Lake(tmp_path / "lake"), "run")
    with watched(Watch(Line(out), 9, "auc"), checkpoints):
        checkpoints._files.put("runs/run/checkpoints/00000004", State(rounds=4).to_bytes("run"))
        assert looking.wait(60)
    over.set()  # only now: a wait for the look would never have ended
    (thread,) = [t for t in threading.enumerate() if t.name == "raypipe-progress"] or [None]
    if thread is not None:
        thread.join(60)
    assert out.getvalue() == ""


def test_the_log_tells_where_a_run_elsewhere_begins_and_resumes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(rp.Lake(tmp_path / "lake"), "run")
    assert checkpoints.begin() == State()
    checkpoints.save(State(model=b"x", rounds=3))
    with caplog.at_level(logging.INFO), begins_logged("run", checkpoints):
        assert checkpoints.begin().rounds == 3
        checkpoints.save(State(model=b"x", rounds=7))
        assert checkpoints.begin().rounds == 7
        assert checkpoints.begin(resumes=False) == State()
        checkpoints.save(State(model=b"x", rounds=9, done=True))
        assert checkpoints.begin(resumes=False).rounds == 9
    assert checkpoints.begins() == [0, 3, 7, 0, 9]
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("INFO", "run run resumed at round 3"),
        ("WARNING", "run run was broken off, and resumed at round 7"),
        ("WARNING", "run run was broken off, and begins at round 0"),
        ("WARNING", "run run was broken off, and resumed at round 9"),
    ]
    checkpoints.clear()
    assert checkpoints.begins() == []
    assert checkpoints.names() == []
