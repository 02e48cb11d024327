"""Runs as tables: what their events fold to, and how they are listed, compared and drawn."""

from __future__ import annotations

import itertools
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, RunNotFoundError
from raypipe.lake import Lake
from raypipe.training.runs import Runs
from raypipe.training.runs.chart import line_chart, ticks
from raypipe.training.runs.code import code_version
from raypipe.training.runs.record import Kind, RunEvent, fold

START = datetime(2026, 1, 1)


def event(number: int, kind: Kind, detail: dict[str, Any] | None = None) -> RunEvent:
    at = START + number * timedelta(minutes=1)
    return RunEvent(id=f"{kind}{number}", run_id="r", at=at, kind=kind, detail=detail or {})


class TestFold:
    def test_an_attempt_that_died_and_one_that_finished_are_one_run(self) -> None:
        events = [
            event(0, "started", {"params": {"depth": 3}}),
            event(5, "started", {"params": {"depth": 3}}),
            event(9, "finished", {"metrics": {"auc": 0.7}, "rounds": 10, "seconds": 4.0}),
        ]
        for order in itertools.permutations([*events, events[1]]):  # told twice, in any order
            one = fold(order)["r"]
            assert (one.status, one.attempts, one.rounds) == ("finished", 2, 10)
            assert (one.started, one.ended) == (START, events[2].at)
            assert one.flat()["param.depth"] == 3

    def test_the_last_word_counts_until_it_is_finished(self) -> None:
        begun = event(0, "started")
        assert fold([begun])["r"].status == "unfinished"
        broken = event(1, "failed", {"error": "E: no"})
        one = fold([begun, broken])["r"]
        assert (one.status, one.error, one.ended) == ("failed", "E: no", broken.at)
        again = event(2, "started")
        assert fold([begun, broken, again])["r"].status == "unfinished"
        done = event(3, "finished")
        late = event(4, "failed", {"error": "beside"})
        assert fold([begun, done, late])["r"].error is None
        assert fold([begun, done, late])["r"].status == "finished"


def told(runs: Runs, name: str, auc: float, **params: Any) -> None:
    runs.started(
        name,
        params={"learner": {"max_depth": 6, **params}, "label": "late"},
        data={"train": {"table": "t", "version": 3}},
        tags={"team": "x"},
        packages={"ray": "2.60"},
        resources={"workers": 2},
    )
    history = {
        "train": {"logloss": [0.6, 0.5, 0.4]},
        "valid": {"logloss": [0.65, 0.6, float("nan")]},
    }
    for _ in range(2):  # a retry after the answer was lost
        runs.finished(
            name,
            metrics={"roc_auc": auc, "pr_auc": None},
            history=history,
            rounds=3,
            resumed_at=1,
            rows=100,
            seconds=1.23456,
            artifacts=f"runs/{name}/finished",
            logs=None,
        )


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(Lake(tmp_path))


class TestRuns:
    def test_none_yet(self, runs: Runs) -> None:
        assert len(runs.list()) == 0
        assert runs.history().is_empty()
        assert "0 runs" in repr(runs.list())
        assert runs._repr_html_().startswith("<table>")
        with pytest.raises(RunNotFoundError, match="no such run"):
            runs.get("abc")
        with pytest.raises(RunNotFoundError, match=r"named by its id: got object\. Pass Run\.id"):
            runs.compare(object(), object())  # type: ignore[arg-type]

    def test_get_looks_the_id_up_once(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        told(runs, "aaa1", 0.7)
        looked: list[str] = []
        resolve = Runs.resolve

        def counted(self: Runs, run_id: str) -> str:
            looked.append(run_id)
            return resolve(self, run_id)

        monkeypatch.setattr(Runs, "resolve", counted)
        assert runs.get("aa").run_id == "aaa1"
        assert looked == ["aa"]

    def test_list_search_and_get(self, runs: Runs) -> None:
        told(runs, "aaa1", 0.7)
        told(runs, "aab2", 0.8, eta=0.5)
        runs.started("ccc", params={}, data={}, tags={}, packages={}, resources={})
        assert "error" not in runs.list().frame.columns
        runs.failed("ccc", ValueError("no rows"))
        assert runs.list().ids == ["ccc", "aab2", "aaa1"]
        best = runs.search(pl.col("metric.roc_auc") > 0.6, order_by="metric.roc_auc")
        assert best.ids == ["aaa1", "aab2"]
        assert runs.search(order_by="metric.roc_auc", descending=True, limit=1).ids == ["aab2"]
        one = runs.get("aab")
        assert one.run_id == "aab2"
        assert one.params["learner"]["eta"] == 0.5
        assert one.environment["packages"] == {"ray": "2.60"}
        assert one.metrics == {"roc_auc": 0.8, "pr_auc": None}
        assert runs.get("ccc").error == "ValueError: no rows"
        assert runs.list().frame["error"].to_list() == ["ValueError: no rows", None, None]
        assert "ValueError: no rows" in repr(runs.list())
        assert runs.search(pl.col("error").is_null()).ids == ["aab2", "aaa1"]
        assert runs.list().frame["param.learner.eta"].to_list() == [None, 0.5, None]
        with pytest.raises(RunNotFoundError, match="several runs"):
            runs.get("aa")
        with pytest.raises(ConfigError, match=r"metric\.roc_auc"):
            runs.search(pl.col("metric.roc_acu") > 0.5)
        assert "roc_auc" in repr(runs.list())
        assert "param.learner.eta" in runs._repr_html_()

    def test_history_is_there_once(self, runs: Runs) -> None:
        told(runs, "aaa", 0.7)
        rows = runs.history("aaa")
        assert rows.height == 6
        assert rows.filter(data="valid")["value"].to_list()[:2] == [0.65, 0.6]
        assert math.isnan(rows.filter(data="valid")["value"][2])

    def test_comparison_shows_metrics_and_what_differs(self, runs: Runs) -> None:
        told(runs, "a", 0.7)
        told(runs, "b", 0.8, max_depth=9)
        found = runs.compare("a", "b")
        values = {row[0]: row[1:] for row in found.frame.iter_rows()}
        assert values["metric.roc_auc"] == ("0.7", "0.8")
        assert values["param.learner.max_depth"] == ("6", "9")
        assert "param.label" not in values
        assert "max_depth" in repr(found)
        with pytest.raises(ConfigError, match="two runs"):
            runs.compare("a")

    def test_curves(self, runs: Runs, tmp_path: Path) -> None:
        told(runs, "a", 0.7)
        told(runs, "b", 0.8)
        curves = runs.curves("a", "b")
        picture = ElementTree.fromstring(curves._repr_html_())
        assert len(picture.findall(".//{*}polyline")) == 4
        curves.save(tmp_path / "c.svg")
        assert (tmp_path / "c.svg").read_text() == curves.svg()
        with pytest.raises(ConfigError, match="logloss"):
            runs.curves("a", metric="auc")

    def test_any_engine_can_read_them(self, runs: Runs) -> None:
        told(runs, "a", 0.7)
        from deltalake import DeltaTable

        kinds = DeltaTable(f"{runs.lake.root}/training_runs").to_pyarrow_table()["kind"]
        assert sorted(kinds.to_pylist()) == ["finished", "started"]


class TestChart:
    @pytest.mark.parametrize(
        ("low", "high"), [(0, 1), (-3.2, 7.7), (0.61, 0.612), (0, 1e9), (5, 5), (-1e-9, 1e-9)]
    )
    def test_ticks_are_few_round_and_inside(self, low: float, high: float) -> None:
        found = ticks(low, high)
        assert 1 <= len(found) <= 8
        slack = (high - low) * 1e-6
        assert all(low - slack <= tick <= high + slack for tick in found)

    def test_hostile_names_and_empty_lines(self) -> None:
        odd = "<script>&\"'"
        text = line_chart(
            odd, odd, [(odd, odd, False, [(0, 1), (1, float("nan"))]), (odd, "", True, [])]
        )
        ElementTree.fromstring(text)
        assert "<script>" not in text
        ElementTree.fromstring(line_chart(odd, "x", []))
        long = [(float(i), float(i)) for i in range(100_000)]
        assert len(line_chart("t", "x", [("a", "a", False, long)])) < 20_000


def test_the_code_version_can_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYPIPE_CODE_VERSION", "v1.2")
    assert code_version() == {"commit": "v1.2"}
    monkeypatch.delenv("RAYPIPE_CODE_VERSION")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_version() == {}


@pytest.mark.parametrize("where", ["metric.roc_auc > 0.7", True, 3])
def test_a_search_by_what_is_no_expression(lake_root: str, where: Any) -> None:
    with pytest.raises(ConfigError, match="not a polars expression"):
        Runs(Lake(lake_root)).search(where)
