"""A search in this process: what is refused, what is found, that it goes on."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, MissingPartError, RecipeError, SchemaError
from raypipe.engine.progress import Line, time_left
from raypipe.training.tuning import tuner as tuner_file
from raypipe.training.tuning.place import choose
from raypipe.training.tuning.space import with_settings
from raypipe.training.tuning.trials import TABLE
from tests import small
from tests.faults.tuning_run import fill, space, told, trainer, tuned

tune = pytest.importorskip("ray.tune")
pytest.importorskip("optuna")

DEPTH = {"max_depth": tune.randint(1, 7)}


@pytest.fixture
def lake(lake_root: str) -> rp.Lake:
    return fill(lake_root)


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ({}, {}, "a space names what may vary"),
        ({"max_depth": 3}, {}, "nothing varies"),
        ({"max_depth": [3, 4]}, {}, r"choice\(\[…\]\) for some values"),
        ({"max_dept": tune.randint(1, 7)}, {}, r"got max_dept\. Did you mean 'max_depth'\?$"),
        ({"subsampel": tune.uniform(0.1, 0.9)}, {}, "Did you mean 'subsample'"),
        ({"max_depth": tune.randint(-3, 7)}, {}, "max_depth must be a whole number >= 0"),
        ({"subsample": tune.uniform(0.5, 1.5)}, {}, "subsample=1.49"),
        ({"max_depth": {"grid_search": [1, 2]}}, {}, "in the place of a grid search"),
        ({"gamma": tune.choice([[1], [2]])}, {}, "must be numbers, text"),
        ({"gamma": tune.randn(0, 1)}, {}, "has no ends"),
        ({"gamma": tune.sample_from(lambda _: 1)}, {}, "has no ends"),
        ({"max_depth": tune.randint(7, 2)}, {}, "'max_depth' is empty: got 7 to 2. Give the lower"),
        ({"subsample": tune.uniform(0.9, 0.5)}, {}, "'subsample' is empty"),
        ({"max_depth": tune.choice([])}, {}, "has no choices"),
        ({"eval_metric": tune.choice(["auc", "logloss"])}, {}, "must be the same in all trials"),
        (DEPTH, {"metric": "auc", "mode": "min"}, "more auc is better: got min. Use mode='max'"),
        (DEPTH, {"seed": -1}, "seed must be a whole number >= 0"),
        (DEPTH, {"num_samples": None}, "num_samples must be"),
        (DEPTH, {"scheduler": 3}, "unknown scheduler: got 3"),
        (DEPTH, {"metric": "acu"}, "not evaluated by the learner: got acu. Did you mean 'auc'"),
        (DEPTH, {"metric": "rmse"}, "Use one of: auc, logloss"),
        (DEPTH, {"mode": "max"}, "less logloss is better"),
        (DEPTH, {"mode": "least"}, "unknown mode"),
        (DEPTH, {"num_samples": 0}, "num_samples must be a whole number >= 1: got 0"),
        (DEPTH, {"num_samples": 2.5}, "num_samples"),
        (DEPTH, {"workers": 0}, "workers must be"),
        (DEPTH, {"report_every": -1}, "report_every must be"),
        (DEPTH, {"grace": True}, "grace must be"),
        (DEPTH, {"search": "tpo"}, "unknown search: got tpo. Did you mean 'tpe'"),
        (DEPTH, {"scheduler": "aska"}, "unknown scheduler: got aska. Did you mean 'asha'"),
        (DEPTH, {"run_on": "moon"}, "no such place"),
        (DEPTH, {"run_on": "local", "scheduler": "pbt"}, "needs Ray Tune"),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(
    given: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        rp.Tuner(trainer(), given, **settings)


def test_other_learners_name_what_they_have() -> None:
    for learner, wrong, right in (
        (rp.LightGBM(), "num_leavs", "num_leaves"),
        (rp.Sklearn(estimator="RandomForestClassifier"), "n_estimator", "n_estimators"),
    ):
        made = rp.Trainer(small.recipe(), label="late", learner=learner)
        with pytest.raises(ConfigError, match=f"Did you mean '{right}'"):
            rp.Tuner(made, {wrong: tune.randint(2, 9)})
    with pytest.raises(ConfigError, match="a search varies a trainer"):
        rp.Tuner(rp.XGBoost(), DEPTH)  # type: ignore[arg-type]


def test_a_notebook_shows_what_is_searched() -> None:
    shown = rp.Tuner(trainer(), space())._repr_html_()
    for part in ("min logloss, 20 trials of up to 20 rounds", "asha, tpe, seed 5", "1 to 6"):
        assert part in shown
    assert "0.02 to 0.9, by its logarithm" in shown
    assert "one of depthwise, lossguide" in shown


def test_what_does_not_suit_the_trainer_or_the_rows(lake: rp.Lake) -> None:
    with pytest.raises(ConfigError, match="trainings of their own"):
        rp.Tuner(trainer(num_workers=2), DEPTH)
    stopping = rp.EarlyStopping(metric="aucc")
    with pytest.raises(ConfigError, match="Did you mean 'auc'"):
        tuned(lake, trainer(early_stopping=stopping))
    rows = lake.table("rows").at()
    with pytest.raises(ConfigError, match="validation rows"):
        rp.Tuner(trainer(), DEPTH).fit(rows, None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"valid= is a snapshot of a table: got polars.DataF"):
        rp.Tuner(trainer(), DEPTH).fit(rows, rows.frame())  # type: ignore[arg-type]
    for wrong in (rows.frame(), lake.table("rows")):
        with pytest.raises(ConfigError, match=r"train= is a snapshot .* Pass Table\.at\(\)"):
            trainer().fit(wrong)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="weight"):
        rp.Tuner(trainer(weight="weight"), DEPTH).fit(rows, rows)
    none = rows.where(pl.col("x") > 99)
    with pytest.raises(RecipeError, match="no row to fit on"):
        rp.Tuner(trainer(), DEPTH).fit(none, rows)
    with pytest.raises(ConfigError, match="no validation rows"):
        rp.Tuner(trainer(), DEPTH).fit(rows, none)
    with pytest.raises(RecipeError):
        rp.Tuner(trainer(), DEPTH).fit(rows.where(pl.col("late")), rows)
    assert not lake.table(TABLE).exists


def test_without_optuna_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPartError, match=r'pip install "raypipe\[tune\]"'):
        rp.Tuner(trainer(), DEPTH)


def test_one_worker_repeats_its_trials_and_goes_on(lake: rp.Lake, tmp_path: Path) -> None:
    whole = tuned(lake)
    assert [t.number for t in whole.trials] == list(range(10))
    assert {t.status for t in whole.trials} == {"finished", "stopped"}
    assert told(tuned(fill(str(tmp_path / "other")))) == told(whole)
    version = lake.table(TABLE).at().version
    again = tuned(lake)
    assert told(again) == told(whole)
    assert again.id == whole.id
    assert lake.table(TABLE).at().version == version  # nothing ran
    part = fill(str(tmp_path / "part"))
    assert told(tuned(part, num_samples=4)) == told(whole)[:4]
    assert told(tuned(part)) == told(whole)
    assert told(tuned(part, num_samples=4)) == told(whole)[:4]
    assert tuned(part, seed=6, num_samples=2).id != whole.id


@pytest.mark.parametrize("scheduler", ["median", "none"])
def test_other_schedulers(lake: rp.Lake, scheduler: str) -> None:
    found = tuned(lake, scheduler=scheduler, search="random")
    stopped = [t for t in found.trials if t.status == "stopped"]
    assert bool(stopped) == (scheduler == "median")
    assert all(t.rounds == 20 for t in found.trials if t not in stopped)


def test_what_is_fitted_at_once_is_refitted_without_rounds(lake: rp.Lake) -> None:
    pytest.importorskip("sklearn")
    forest = rp.Sklearn(estimator="RandomForestClassifier", params={"n_estimators": 3})
    made = rp.Trainer(small.recipe(), label="late", learner=forest)
    rows, judged = lake.table("rows").at(), lake.table("judged").at()
    found = rp.Tuner(made, DEPTH, num_samples=2).fit(rows, judged)
    run = found.refit(rows, judged)
    learner = run.bundle.manifest["learner"]
    assert learner["params"] == {"n_estimators": 3, **found.best_params}
    assert run.metrics["log_loss"] == pytest.approx(found.best.value, abs=1e-6)


def test_a_trial_is_the_training_that_it_stands_for(lake: rp.Lake) -> None:
    """Weights, seeds and sampling included; so what is found is what a refit gives."""
    weighted = {
        name: lake.table(name).at(version=1).frame().with_columns(w=pl.col("x").abs() + 0.1)
        for name in ("rows", "judged")
    }
    for name, frame in weighted.items():
        lake.table(f"{name}_w").append(frame, batch_id="w")
    rows, judged = lake.table("rows_w").at(), lake.table("judged_w").at()
    base = trainer(weight="w", early_stopping=rp.EarlyStopping(patience=4))
    found = rp.Tuner(base, space(), metric="auc", num_samples=3, scheduler="none", workers=2).fit(
        rows, judged
    )
    for one in found.trials:
        settings = {**one.params, "gamma": 0.1}
        run = base.with_learner(with_settings(base.learner, settings)).fit(rows, judged)
        figures = run.history["valid"]["auc"]
        assert one.value == max(figures)
        assert one.rounds == len(figures)
        assert one.best_round == figures.index(max(figures)) + 1
    assert found.mode == "max"


def test_rows_on_disk_give_the_same(
    lake: rp.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tuned(fill(str(tmp_path / "held")), num_samples=4)
    monkeypatch.setattr(tuner_file, "_HELD_SHARE", 0.0)
    assert told(tuned(lake, num_samples=4)) == told(held)


def test_a_trial_that_fails_is_a_row(lake: rp.Lake) -> None:
    """Each choice is fine by itself; together XGBoost refuses two of them."""
    odd = {"booster": "dart", "multi_strategy": "multi_output_tree"}
    choices = {
        "booster": tune.choice(["gbtree", "dart"]),
        "multi_strategy": tune.choice(["one_output_per_tree", "multi_output_tree"]),
    }
    rows, judged = lake.table("rows").at(), lake.table("judged").at()
    found = rp.Tuner(trainer(), choices, num_samples=16, search="random", workers=2, seed=1).fit(
        rows, judged
    )
    bad = [t for t in found.trials if t.status == "failed"]
    assert bad
    assert all(t.params == odd for t in bad)
    assert all("XGBoost failed in round 0" in (t.error or "") for t in bad)
    assert found.best.params != odd
    assert len(found.trials) == 16


def test_trials_of_several_workers_are_trainings(lake: rp.Lake) -> None:
    base = trainer(num_workers=2)
    found = tuned(lake, base, num_samples=2, scheduler="none")
    runs = rp.Runs(lake).list().frame
    assert runs.height == 2
    assert [t.rounds for t in found.trials] == [20, 20]
    assert told(tuned(lake, base, num_samples=2, scheduler="none")) == told(found)
    assert rp.Runs(lake).list().frame["attempts"].to_list() == [1, 1]


def test_an_estimator_that_is_fitted_at_once_is_searched_and_refitted(lake: rp.Lake) -> None:
    """By several threads at once, whose trials are those of one."""
    pytest.importorskip("skops")
    learner = rp.Sklearn(estimator="LogisticRegression")
    base = rp.Trainer(small.recipe(), label="late", learner=learner, seed=5)
    rows, judged = lake.table("rows").at(version=1), lake.table("judged").at(version=1)
    space = {"C": tune.loguniform(0.01, 10.0)}
    settings = {"num_samples": 6, "scheduler": "none", "search": "random"}
    found = rp.Tuner(base, space, workers=3, seed=2, **settings).fit(rows, judged)
    assert {t.status for t in found.trials} == {"finished"}
    run = found.refit(rows, judged)
    assert run.bundle.manifest["learner"]["params"] == found.best_params
    assert run.history["valid"]["logloss"] == [found.best.value]


def test_the_best_refits_to_a_run_that_registers(lake: rp.Lake) -> None:
    found = tuned(lake, trainer(early_stopping=rp.EarlyStopping(patience=5)), num_samples=4)
    run = found.refit(lake.table("rows").at())
    learner = run.bundle.manifest["learner"]
    assert learner["rounds"] == found.best.best_round
    assert learner["max_depth"] == found.best_params["max_depth"]
    assert learner["params"]["gamma"] == 0.1  # what does not vary stays
    assert run.facts["rounds"] == found.best.best_round
    version = rp.Registry(lake).register("tuned", run)
    assert version.version == 1
    frame = found.to_frame()
    assert frame.height == 4
    assert frame["logloss"].min() == found.best.value
    assert "<svg" in found._repr_html_()
    schedule = rp.Schedule(start=0.3, end=0.1)
    rated = rp.Trainer(
        small.recipe(), label="late", learner=rp.XGBoost(rounds=9, learning_rate=schedule)
    )
    result = rp.Tuner(rated, DEPTH, num_samples=1).fit(
        lake.table("rows").at(), lake.table("judged").at()
    )
    assert result.best_trainer().learner.rounds == 9  # the schedule is of so many rounds


def test_schedulers_of_other_settings_are_other_searches() -> None:
    def named(**settings: Any) -> str:
        made = tune.schedulers.ASHAScheduler(time_attr="rounds", max_t=9, **settings)
        return rp.Tuner(trainer(), DEPTH, scheduler=made)._id({})

    assert named(grace_period=1) == named(grace_period=1)
    assert len({named(grace_period=n) for n in (1, 2)} | {named(reduction_factor=2)}) == 3


def test_the_line_is_for_terminals_alone() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    log, screen = io.StringIO(), Terminal()
    for out in (log, screen):
        with contextlib.closing(Line(out)) as line:
            line.say("tuning 3/9 [best]")
    assert log.getvalue() == ""
    assert "tuning 3/9 [best]" in screen.getvalue()
    assert (time_left(0, 9, 1.0), time_left(9, 9, 1.0)) == ("", "")
    assert time_left(3, 9, 30.0) == "about 60 s left"
    assert time_left(1, 9, 30.0) == "about 4 min left"


def test_where_a_search_runs() -> None:
    facts: dict[str, Any] = {"rounds": 100, "population": False, "cores": 2}
    small_one = choose("auto", cells=10**6, trials=20, cluster_cpus=64.0, **facts)
    large = choose("auto", cells=10**9, trials=200, cluster_cpus=64.0, **facts)
    alone = choose("auto", cells=10**9, trials=200, cluster_cpus=None, **facts)
    assert [c.place for c in (small_one, large, alone)] == ["local", "ray", "local"]
