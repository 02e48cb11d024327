"""Trials that fail: tried again, written down, told to schedulers, and never in the way."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, SchemaError, TrainingError
from raypipe.training.tuning.schedulers import Decider, scheduler
from raypipe.training.tuning.trials import TABLE
from tests.faults.failing_learner import Failing
from tests.faults.tuning_run import fill, space, told, trainer, tuned

pytest.importorskip("ray.tune")
pytest.importorskip("optuna")


@pytest.fixture
def lake(lake_root: str) -> rp.Lake:
    return fill(lake_root)


def failing(folder: Path, **settings: Any) -> rp.Trainer:
    folder.mkdir(exist_ok=True)
    plain = trainer().learner
    learner = Failing(
        folder=str(folder),
        rounds=plain.rounds,
        params=plain.params,
        **settings,  # type: ignore[attr-defined]
    )
    return trainer().with_learner(learner)


@pytest.mark.parametrize("rule", ["asha", "median"])
def test_a_trial_that_fails_once_is_tried_again(lake: rp.Lake, tmp_path: Path, rule: str) -> None:
    """So the search is the one of trials that never failed."""
    whole = tuned(fill(str(tmp_path / "whole")), scheduler=rule)
    found = tuned(lake, failing(tmp_path / "marks"), scheduler=rule)
    assert told(found) == told(whole)
    reached = [t for t in found.trials if t.rounds > 12]
    assert reached
    assert all(t.attempts == (2 if t in reached else 1) for t in found.trials)
    assert found.frame["attempts"].to_list() == [t.attempts for t in found.trials]
    assert found.id == whole.id


@pytest.mark.parametrize("rule", ["asha", "median"])
def test_a_search_with_failed_trials_goes_on_as_if_nobody_had_stopped_it(
    lake: rp.Lake, tmp_path: Path, rule: str
) -> None:
    """What failed trials had reported counts for the scheduler, here and in the next process."""
    settings = {"at": 12, "times": 99, "depths": (1, 3, 5, 6)}
    more = {"scheduler": rule, "num_samples": 14}
    whole = tuned(fill(str(tmp_path / "w")), failing(tmp_path / "a", **settings), **more)
    bad = [t for t in whole.trials if t.failed]
    assert bad
    assert any(t.stopped for t in whole.trials)
    for one in bad:
        assert one.error == "OSError: the disk had a hiccup"
        assert [rounds for rounds, _ in one.history] == [2, 4, 6, 8, 10, 12]
        assert (one.rounds, one.attempts) == (12, 2)
    for count in (5, 8, 14):
        found = tuned(lake, failing(tmp_path / "b", **settings), **{**more, "num_samples": count})
        assert told(found) == told(whole)[:count]
    assert not whole.best.failed


def test_settings_that_are_refused_are_not_tried_again(lake: rp.Lake, tmp_path: Path) -> None:
    made = failing(tmp_path / "marks", times=99, refused=True, depths=(1, 2, 3))
    bad = [t for t in tuned(lake, made).trials if t.failed]
    assert bad
    assert {t.attempts for t in bad} == {1}


def test_when_all_fail_it_says_so_and_can_be_mended(lake: rp.Lake, tmp_path: Path) -> None:
    more = {"num_samples": 3, "scheduler": "none"}
    broken = failing(tmp_path / "marks", times=99, at=5)
    with pytest.raises(
        TrainingError, match=r"all 3 trials failed: got OSError: the disk .*retry_failed"
    ):
        tuned(lake, broken, **more)
    version = lake.table(TABLE).at().version
    with pytest.raises(TrainingError, match="all 3 trials failed"):
        tuned(lake, trainer(), **more)  # mended, but nobody asked for another try
    assert lake.table(TABLE).at().version == version
    rows, judged = lake.table("rows").at(version=1), lake.table("judged").at(version=1)
    made = rp.Tuner(trainer(), space(), workers=1, **more)
    found = made.fit(rows, judged, retry_failed=True)
    params = [dict(t.params) for t in found.trials]
    assert {t.status for t in found.trials} == {"finished"}
    assert {t.attempts for t in found.trials} == {3}
    assert lake.table(TABLE).at().count() == 6  # what had failed stays on record
    assert told(made.fit(rows, judged, retry_failed=True)) == told(found)
    assert told(tuned(lake, **more)) == told(found)
    assert len({str(one) for one in params}) == 3


def test_max_failures(lake: rp.Lake, tmp_path: Path) -> None:
    for count in (-1, 1.5, True):
        with pytest.raises(ConfigError, match="max_failures must be a whole number >= 0"):
            rp.Tuner(trainer(), space(), max_failures=count)  # type: ignore[arg-type]
    more = {"num_samples": 2, "scheduler": "none"}
    with pytest.raises(TrainingError, match="all 2"):
        tuned(lake, failing(tmp_path / "a", times=1), max_failures=0, **more)
    other = fill(str(tmp_path / "other"))
    found = tuned(other, failing(tmp_path / "b", times=3), max_failures=3, **more)
    assert [t.attempts for t in found.trials] == [4, 4]


def test_a_training_of_two_workers_that_fails_goes_on(lake: rp.Lake, tmp_path: Path) -> None:
    base = trainer(num_workers=2)
    made = base.with_learner(failing(tmp_path / "marks", times=1).learner)
    found = tuned(lake, made, num_samples=1, scheduler="none")
    assert [t.attempts for t in found.trials] == [2]
    plain = tuned(fill(str(tmp_path / "plain")), base, num_samples=1, scheduler="none")
    assert told(found) == told(plain)
    assert [rounds for rounds, _ in found.trials[0].history] == list(range(2, 21, 2))


def test_a_report_counts_once() -> None:
    """Of an attempt that repeats what the one before had reported."""
    settings: dict[str, Any] = {"mode": "min", "rounds": 9, "grace": 1, "domains": {}, "seed": 0}
    for name in ("asha", "median"):
        once, twice = (Decider(scheduler(name, **settings)) for _ in range(2))
        for number in range(6):
            for one in (once, twice):
                one.begin(number)
            for rounds in range(1, 5):
                figure = number / rounds
                said = once.stops(number, rounds, figure)
                assert twice.stops(number, rounds, figure) == said
                twice.begin(number)
                assert not any(twice.stops(number, n, n * figure) for n in range(1, rounds + 1))
                if said:
                    break


@pytest.mark.parametrize("workers", [1, 2])
def test_a_trial_that_cannot_be_written_down_ends_the_search(lake: rp.Lake, workers: int) -> None:
    """Trials are written while others grow: the error comes out all the same."""
    odd = pl.DataFrame({"tuning_id": ["another"], "rounds": ["text"]})
    lake.table(TABLE).append(odd)
    with pytest.raises(SchemaError, match="rounds"):
        tuned(lake, run_on="local", num_samples=500, workers=workers)
    assert lake.table(TABLE).at().count() == 1
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("raypipe-trial")]
