"""The parts of a search that need no cluster: space, proposals, trials, result."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, LakeAccessError, TrainingError
from raypipe.lake import Lake
from raypipe.training.trees import XGBoost
from raypipe.training.tuning.book import Book
from raypipe.training.tuning.local import _Writes
from raypipe.training.tuning.pictures import bars, parallel, progress
from raypipe.training.tuning.result import TuneResult
from raypipe.training.tuning.schedulers import scheduler
from raypipe.training.tuning.search import Proposals, Told
from raypipe.training.tuning.space import check_space, with_settings
from raypipe.training.tuning.trials import TABLE, Ended, Trials

pytest.importorskip("optuna")
tune = pytest.importorskip("ray.tune")


def domains() -> dict[str, Any]:
    return {
        "max_depth": tune.randint(2, 10),
        "eta": tune.loguniform(1e-3, 1.0),
        "grow_policy": tune.choice(["depthwise", "lossguide"]),
    }


def figure(params: dict[str, Any]) -> float:
    return (params["max_depth"] - 6) ** 2 + abs(math.log(params["eta"]) + 2)


def ended(number: int, params: dict[str, Any], **more: Any) -> Ended:
    value = more.pop("value") if "value" in more else figure(params)
    facts = {"rounds": 9, "best_round": 7, "seconds": 0.5} | more
    return Ended(number=number, params=params, value=value, **facts)


def searched(count: int, cut: int | None = None, search: str = "tpe", seed: int = 3) -> list[Any]:
    """A search of one worker; cut off after some trials and begun again by another process."""
    proposals, told = Proposals(domains(), search, "min", seed), []
    for number in range(count):
        if number == cut:
            proposals.propose(number)  # it was under way when its process died
            proposals = Proposals(domains(), search, "min", seed)
            for one in told:
                proposals.tell(one)
        params = proposals.propose(number)
        kind = {"stopped": number % 5 == 4, "failed": number % 7 == 6}
        told.append(Told(number=number, params=params, value=figure(params), rounds=9, **kind))
        proposals.tell(told[-1])
    return [one.params for one in told]


class TestProposals:
    @pytest.mark.parametrize("search", ["tpe", "random"])
    def test_a_search_that_was_cut_off_proposes_the_same(self, search: str) -> None:
        whole = searched(30, search=search)
        assert whole == searched(30, search=search)
        for cut in (1, 11, 15, 29):
            assert searched(30, cut, search) == whole
        assert searched(30, search=search, seed=4) != whole

    def test_it_learns(self) -> None:
        found = [figure(p) for p in searched(60)]
        assert sum(found[40:]) < 0.6 * sum(found[:20])

    def test_an_unknown_search(self) -> None:
        with pytest.raises(ConfigError, match="unknown search"):
            Proposals(domains(), "grid", "min", 0)


class TestSpace:
    def test_fields_and_params(self) -> None:
        learner = with_settings(XGBoost(params={"gamma": 1}), {"max_depth": 3, "subsample": 0.5})
        assert learner.max_depth == 3
        assert learner.params == {"gamma": 1, "subsample": 0.5}

    @pytest.mark.parametrize(
        "space",
        [{}, [], {"max_depth": 3}, {"max_depth": {"grid_search": [1]}}, {1: 2}],
    )
    def test_what_is_no_space(self, space: Any) -> None:
        with pytest.raises(ConfigError):
            check_space(space, XGBoost())

    def test_what_the_learner_refuses(self) -> None:
        with pytest.raises(ConfigError, match="learner refuses"):
            check_space({"max_depth": tune.randint(-5, -1)}, XGBoost())


class TestTrials:
    def test_each_is_there_once_and_comes_back_whole(self, tmp_path: Path) -> None:
        lake = Lake(tmp_path)
        trials = Trials(lake, "t1")
        assert trials.known() == []
        one = ended(1, {"max_depth": 3, "eta": 0.1}, history=((3, 0.5), (9, math.inf)))
        bad = ended(0, {"max_depth": 3}, value=math.nan, failed=True, error="E")
        for told in (one, bad, one):
            trials.tell(told)
        Trials(lake, "other").tell(one)
        known = trials.known()
        assert [t.number for t in known] == [0, 1]
        assert known[1] == one
        assert (known[0].error, known[0].status) == ("E", "failed")
        assert math.isnan(known[0].value)

    def test_the_last_attempt_counts(self, tmp_path: Path) -> None:
        trials = Trials(Lake(tmp_path), "t")
        bad = ended(0, {"max_depth": 3}, value=math.nan, failed=True, error="E", attempts=2)
        worse = replace(bad, error="F", attempts=4)
        good = ended(0, {"max_depth": 3, "eta": 0.1}, attempts=5)
        trials.tell(bad)
        for told, before, left in ((worse, 2, worse), (good, 4, good)):
            for _ in range(2):  # a process that was killed tells it again
                trials.tell(told, before)
            assert [(t.error, t.attempts) for t in trials.known()] == [(left.error, left.attempts)]

    def test_a_table_of_before_attempts_were_counted(self, tmp_path: Path) -> None:
        lake = Lake(tmp_path)
        one, other = (ended(n, {"max_depth": 3, "eta": 0.1}) for n in (0, 1))
        Trials(lake, "other").tell(one)
        old = lake.table(TABLE).at().frame().drop("attempts").with_columns(tuning_id=pl.lit("t"))
        before = Lake(tmp_path / "old")
        before.table(TABLE).append(old)
        trials = Trials(before, "t")
        assert trials.known() == [one]
        trials.tell(other)
        assert trials.known() == [one, other]


def result(trials: list[Ended], mode: Any = "min") -> TuneResult:
    return TuneResult(
        id="x",
        metric="loss",
        mode=mode,
        trials=trials,
        trainer=None,
        domains=domains(),  # type: ignore[arg-type]
    )


class TestResult:
    def test_the_best_ran_to_its_end(self) -> None:
        params = {"max_depth": 6, "eta": 0.1, "grow_policy": "depthwise"}
        trials = [
            ended(0, params, value=0.5),
            ended(1, params, value=0.1, stopped=True),
            ended(2, params, value=0.4),
            ended(3, params, value=math.nan, failed=True, error="E: no"),
        ]
        assert result(trials).best.number == 2
        assert result(trials, "max").best.number == 0
        frame = result(trials).frame
        assert frame["loss"].to_list() == [0.5, 0.1, 0.4, None]
        assert frame["param.eta"].to_list() == [0.1] * 4
        assert "2 finished, 1 stopped, 1 failed, best loss=0.4 by trial 2" in repr(result(trials))
        with pytest.raises(TrainingError, match="E: no"):
            _ = result(trials[3:]).best

    def test_importance_names_what_matters(self) -> None:
        trials = [ended(n, p) for n, p in enumerate(searched(80, search="random"))]
        shares = result(trials).importance()
        assert max(shares, key=shares.__getitem__) == "max_depth"
        assert min(shares, key=shares.__getitem__) == "grow_policy"
        assert sum(shares.values()) == pytest.approx(1)
        assert result(trials[:3]).importance() == {}
        assert (
            result([ended(n, t.params, value=1.0) for n, t in enumerate(trials)]).importance() == {}
        )

    def test_pictures_are_well_formed(self) -> None:
        trials = [ended(n, p) for n, p in enumerate(searched(12, search="random"))]
        odd = [ended(0, {"max_depth": "<&>", "eta": None}, value=math.nan), *trials]
        for some in (trials, trials[:1], [], odd):
            for picture in (
                progress("<m>", "min", some),
                parallel("<m>", "max", some, ["max_depth", "eta", "grow_policy"]),
                bars("<t>", {"<a>": 0.5} if some else {}),
            ):
                ElementTree.fromstring(picture)
        ElementTree.fromstring(f"<div>{result(trials)._repr_html_()}</div>")


def test_schedulers_by_name() -> None:
    from ray.tune import schedulers

    settings = {"mode": "min", "rounds": 100, "grace": 10, "domains": domains(), "seed": 0}
    for name, kind in (
        ("asha", schedulers.ASHAScheduler),
        ("median", schedulers.MedianStoppingRule),
        ("pbt", schedulers.PopulationBasedTraining),
        ("none", schedulers.FIFOScheduler),
    ):
        assert isinstance(scheduler(name, **settings), kind)  # type: ignore[arg-type]
    own = schedulers.FIFOScheduler()
    assert scheduler(own, **settings) is own  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown scheduler"):
        scheduler("hyperband", **settings)  # type: ignore[arg-type]


def test_every_metric_of_a_learner_has_a_mode() -> None:
    from raypipe.training.light_params import METRICS
    from raypipe.training.objectives import LOWER, plain

    more = {"auc", "aucpr", "ndcg", "map", "pre"}
    assert {plain(name) for names in METRICS.values() for name in names} <= LOWER | more
    assert not LOWER & more


def test_the_best_so_far_is_of_trials_that_ran_to_their_end() -> None:
    params = {"max_depth": 6, "eta": 0.1, "grow_policy": "depthwise"}
    trials = [ended(0, params, value=0.5), ended(1, params, value=0.1, stopped=True)]
    drawn = ElementTree.fromstring(progress("loss", "min", trials))
    best, *each = (
        [
            one.tag.rpartition("}")[2]
            for one in group.iter()
            if one.tag.endswith(("circle", "polyline"))
        ]
        for group in drawn.iter()
        if group.tag.endswith("}g")
    )
    assert best == ["circle"]  # of one trial
    assert each == [["circle"], ["circle"]]


def taken(lake: Lake, count: int) -> tuple[Book, _Writes]:
    """A search whose trials have all ended, and wait to be written down."""
    book = Book(
        trials=Trials(lake, "one"),
        known=(),
        proposals=Proposals(domains(), "tpe", "min", 3),
        count=count,
        metric="rmse",
        mode="min",
        say=lambda _: None,
    )
    writes = _Writes(book, count)
    while (coming := book.next()) is not None:
        writes.add(book.take(ended(*coming)))
    return book, writes


def test_after_a_trial_that_could_not_be_written_down_none_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the lost one would be proposed again by what came after it."""
    all_wait, tell = threading.Event(), Trials.tell

    def failing(self: Trials, one: Ended, before: int = 0) -> None:
        if one.number == 1:
            all_wait.wait()
            raise LakeAccessError("the disk is away")
        tell(self, one, before)

    monkeypatch.setattr(Trials, "tell", failing)
    lake = Lake(str(tmp_path))
    book, writes = taken(lake, 4)
    all_wait.set()
    with pytest.raises(LakeAccessError, match="the disk is away"):
        writes.close()
    assert [one.number for one in Trials(lake, "one").known()] == [0]
    assert (book.kept, len(book.ended)) == (1, 4)


def test_trials_that_ended_are_written_down_though_waiting_for_it_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(tmp_path))
    book, writes = taken(lake, 4)

    def interrupted(_: _Writes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_Writes, "_first", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writes.close()
    assert [one.number for one in Trials(lake, "one").known()] == [0, 1, 2, 3]
    assert book.kept == 4
