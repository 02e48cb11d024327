"""A place that was asked for is where every pass over the rows goes, those of the recipe too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.engine import parts
from tests import small

if TYPE_CHECKING:
    from pathlib import Path

LEARNER = rp.XGBoost(rounds=2)


@pytest.fixture
def lake(tmp_path: Path) -> rp.Lake:
    lake = rp.Lake(tmp_path / "lake")
    for seed in range(2):
        lake.table("rows").append(small.rows(n=200, seed=seed))
    return lake


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The place that each pass over several parts asks for; each then runs as ever."""
    asked: list[str] = []
    real = parts.choose

    def noted(run_on: Any, **facts: Any) -> parts.Choice:
        if facts["parts"] > 1:  # a table of runs is written in one part, which runs here anyway
            asked.append(run_on)
        return real(run_on, **facts)

    monkeypatch.setattr(parts, "choose", noted)
    return asked


def trainer(**settings: Any) -> rp.Trainer:
    return rp.Trainer(small.recipe(), label="late", learner=LEARNER, **settings)


def test_a_local_trainer_asks_for_no_cluster(lake: rp.Lake, passes: list[str]) -> None:
    rows = lake.table("rows").at()
    passes.clear()
    trainer(run_on="local").fit(rows, rows)
    assert len(passes) >= 3  # the recipe's, and a survey of each set
    assert set(passes) == {"local"}


def test_a_trainer_that_is_free_lets_the_recipe_choose(lake: rp.Lake, passes: list[str]) -> None:
    rows = lake.table("rows").at()
    passes.clear()
    trainer().fit(rows)
    assert "auto" in passes


@pytest.mark.parametrize("workers", [1, 2])
def test_a_local_search_asks_for_no_cluster(lake: rp.Lake, passes: list[str], workers: int) -> None:
    tune = pytest.importorskip("ray.tune")
    pytest.importorskip("optuna")
    rows = lake.table("rows").at()
    space = {"max_depth": tune.randint(1, 7)}
    passes.clear()
    made = rp.Tuner(
        trainer(num_workers=workers), space, num_samples=1, scheduler="none", run_on="local"
    )
    made.fit(rows, rows)
    assert len(passes) >= 3
    assert set(passes) == {"local"}


def test_a_local_search_of_elastic_trainings_is_refused_at_once() -> None:
    tune = pytest.importorskip("ray.tune")
    pytest.importorskip("optuna")
    space = {"max_depth": tune.randint(1, 7)}
    with pytest.raises(ConfigError, match="elastic trials need a cluster"):
        rp.Tuner(trainer(num_workers=(1, 2)), space, scheduler="none", run_on="local")
