"""Intervals, slices, calibration and splits."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.models import evaluation, metrics

DAY = timedelta(days=1)


def scored(n: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p).astype(float), p


class TestIntervals:
    def test_the_true_figure_is_inside_as_often_as_said(self) -> None:
        # The AUC of these scores is known: P(p1 > p0) for densities 2p and 2(1-p) is 5/6.
        inside = 0
        for seed in range(120):
            y, p = scored(300, seed)
            one = evaluation.interval(metrics.roc_auc, y, p, resamples=200, level=0.9, seed=seed)
            inside += 5 / 6 in one
        assert 0.82 <= inside / 120 <= 0.97

    def test_seeded_and_told(self) -> None:
        y, p = scored(200)
        one, again, other = (
            evaluation.interval(metrics.log_loss, y, p, resamples=100, seed=s) for s in (1, 1, 2)
        )
        assert one == again != other
        assert one.low < one.value < one.high
        assert str(one).startswith("log_loss 0.")
        assert one.to_dict()["rows"] == 200

    def test_a_row_is_drawn_with_its_weight(self) -> None:
        y, p = scored(300)
        w = np.random.default_rng(2).integers(0, 4, y.size).astype(float)
        for metric in (metrics.roc_auc, metrics.brier):
            one, twice = (
                evaluation.interval(metric, y, p, weights=w * n, resamples=200) for n in (1, 2)
            )
            assert one == twice  # a power of two changes no bit of a quotient
            whole = metric(np.repeat(y, w.astype(int)), np.repeat(p, w.astype(int)))
            assert one.value == pytest.approx(whole)
            plain = evaluation.interval(metric, y, p, resamples=200)
            assert plain == evaluation.interval(metric, y, p, weights=y * 0 + 1, resamples=200)
            assert plain.value != one.value
            gain = evaluation.compare(metric, y, p, 1 - p, weights=w, resamples=200)
            other = metric(y, 1 - p, weights=w)
            assert gain.value == abs(one.value - other)
            assert gain.low < gain.value < gain.high

    def test_clusters_make_it_wider(self) -> None:
        y, p = scored(60)
        y, p = np.repeat(y, 20), np.repeat(p, 20)
        keys = np.repeat(np.arange(60), 20)
        alone = evaluation.interval(metrics.brier, y, p)
        held = evaluation.interval(metrics.brier, y, p, clusters=keys)
        assert held.rows == 60
        assert held.high - held.low > 3 * (alone.high - alone.low)

    def test_a_difference_is_sharper_than_two_intervals(self) -> None:
        y, p = scored(2000)
        worse = 0.9 * p + 0.05 + np.random.default_rng(1).normal(0, 0.03, p.size)
        worse = np.clip(worse, 0, 1)
        gain = evaluation.compare(metrics.brier, y, p, worse)
        assert gain.low > 0  # lower is better, and the gain is positive all the same
        one, other = (evaluation.interval(metrics.brier, y, s) for s in (p, worse))
        assert one.high > other.low
        same = evaluation.compare(metrics.roc_auc, y, p, p)
        assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)

    def test_groups_are_drawn_whole_and_count_twice_when_drawn_twice(self) -> None:
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(40), 5)
        y, p = rng.integers(0, 3, 200).astype(float), rng.random(200)
        one = evaluation.interval(metrics.ndcg(3), y, p, groups=groups, resamples=200)
        means = [metrics.ndcg(3)(y[groups == g], p[groups == g], groups=[0] * 5) for g in range(40)]
        assert one.value == pytest.approx(np.mean(means))
        spread = 1.96 * np.std(means) / math.sqrt(40)
        assert (one.high - one.low) / 2 == pytest.approx(spread, rel=0.25)

    def test_a_name_is_no_metric(self) -> None:
        y, p = scored(9)
        frame = pl.DataFrame({"a": y})
        for call in (
            lambda: evaluation.interval("roc_auc", y, p),  # type: ignore[arg-type]
            lambda: evaluation.compare("roc_auc", y, p, p),  # type: ignore[arg-type]
            lambda: evaluation.slices("roc_auc", frame, y, p, by="a"),  # type: ignore[arg-type]
        ):
            with pytest.raises(ConfigError, match=r"not a metric: got 'roc_auc'\. Pass one of"):
                call()

    def test_without_a_figure_there_is_no_end(self) -> None:
        one = evaluation.interval(metrics.roc_auc, [1.0, 1.0], [0.1, 0.2], resamples=100)
        assert math.isnan(one.low)
        assert one.undefined == 100
        assert one.to_dict()["low"] is None
        empty = evaluation.interval(metrics.roc_auc, [], [], resamples=100)
        assert math.isnan(empty.high)

    @pytest.mark.parametrize("wrong", [{"level": 1.0}, {"resamples": 5}, {"clusters": [1]}])
    def test_bad_settings(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            evaluation.interval(metrics.brier, [1.0, 0.0], [0.1, 0.2], **wrong)


class TestSlices:
    def test_the_slice_that_is_worse_is_found(self) -> None:
        y, p = scored(6000)
        frame = pl.DataFrame(
            {
                "origin": np.resize(["a", "b", "c"], 6000),
                "size": np.arange(6000.0),
                "odd": [None, math.nan, *[1.0] * 5998],
            }
        )
        p = np.where(frame["origin"] == "b", 1 - p, p)
        report = evaluation.slices(
            metrics.roc_auc, frame, y, p, by=["origin", "size", "odd"], resamples=100
        )
        assert report.worse.select("column", "slice").rows() == [("origin", "b")]
        assert report.frame["slice"][0] == "b"
        assert report.frame.filter(column="size").height == 4
        assert report.small == 1  # the missing ones of "odd"
        assert "1 worse" in repr(report)
        assert "<svg" in report._repr_html_()

    def test_rows_of_a_slice_count_by_their_weight(self) -> None:
        y, p = scored(400)
        side = np.arange(400) % 2
        frame, w = pl.DataFrame({"side": side}), 1.0 + np.arange(400) % 3
        found = evaluation.slices(
            metrics.brier, frame, y, p, by="side", weights=w, resamples=100
        ).frame
        for name, value in found.select("slice", "value").iter_rows():
            mine = side == int(name)
            assert value == metrics.brier(y[mine], p[mine], weights=w[mine])

    def test_edges_and_missing_values_are_named(self) -> None:
        y, p = scored(400)
        sizes = pl.Series([None if i % 4 == 0 else float(i % 40) for i in range(400)])
        report = evaluation.slices(
            metrics.brier, sizes.to_frame("n"), y, p, by="n", bins=2, min_rows=10, resamples=100
        )
        names = set(report.frame["slice"])
        assert "(missing)" in names
        assert {n.split(" ")[0] for n in names if n != "(missing)"} == {"<", ">="}
        assert report.frame["rows"].sum() == 400

    def test_bad_calls(self) -> None:
        frame = pl.DataFrame({"a": [1, 2]})
        with pytest.raises(ConfigError, match="no such column"):
            evaluation.slices(metrics.brier, frame, [0, 1], [0.1, 0.2], by="b")
        with pytest.raises(ConfigError, match="a row for each label"):
            evaluation.slices(metrics.brier, frame, [0], [0.1], by="a")
        with pytest.raises(ConfigError, match="ranking"):
            evaluation.slices(metrics.ndcg(), frame, [0, 1], [0.1, 0.2], by="a")


class TestCalibration:
    def test_true_probabilities_are_calibrated(self) -> None:
        y, p = scored(20_000)
        found = evaluation.calibration(y, p)
        assert found.error < 0.02
        assert found.slope == pytest.approx(1, abs=0.06)
        assert found.intercept == pytest.approx(0, abs=0.06)
        assert found.frame["rows"].sum() == 20_000
        assert "<svg" in found._repr_html_()
        z = np.log(p / (1 - p))
        extreme = evaluation.calibration(y, 1 / (1 + np.exp(-(2 * z + 1))))
        assert extreme.slope == pytest.approx(0.5, abs=0.04)
        assert extreme.intercept == pytest.approx(-0.5, abs=0.06)

    @pytest.mark.parametrize("cut", ["uniform", "quantile"])
    def test_bins_are_those_of_scikit_learn(self, cut: Any) -> None:
        theirs = pytest.importorskip("sklearn.calibration").calibration_curve
        for seed in range(20):
            y, p = scored(150, seed)
            share, score = theirs(y, p, n_bins=7, strategy=cut)
            mine = evaluation.calibration(y, p, bins=7, cut=cut).frame
            assert mine["share"].to_numpy() == pytest.approx(share, abs=1e-12)
            assert mine["score"].to_numpy() == pytest.approx(score, abs=1e-12)

    def test_what_has_no_regression_has_no_slope(self) -> None:
        for y, p in (([1, 1], [0.2, 0.4]), ([0, 1], [0.5, 0.5]), ([0, 0, 1, 1], [0, 0.1, 0.9, 1])):
            assert math.isnan(evaluation.calibration(y, p).slope)

    @pytest.mark.parametrize(
        ("y", "p", "more"),
        [([], [], {}), ([1], [1.5], {}), ([2], [0.5], {}), ([1], [0.5], {"cut": "x"})],
    )
    def test_bad_calls(self, y: Any, p: Any, more: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            evaluation.calibration(y, p, **more)


class TestSplits:
    @given(
        days=st.integers(1, 60),
        horizon=st.integers(1, 20),
        gap=st.integers(0, 5),
        window=st.none() | st.integers(1, 30),
    )
    def test_nothing_is_trained_on_that_was_not_known(
        self, days: int, horizon: int, gap: int, window: int | None
    ) -> None:
        start = datetime(2013, 3, 1)
        end = start + days * DAY
        found = evaluation.rolling_origin(
            start,
            end,
            horizon=horizon * DAY,
            gap=gap * DAY,
            window=None if window is None else window * DAY,
        )
        times = pl.DataFrame({"t": [start + i * DAY / 2 for i in range(-120, 2 * days)]})
        judged = []
        for one in found:
            train, test = times.filter(one.train("t")), times.filter(one.test("t"))
            if train.height and test.height:
                assert train["t"].max() < test["t"].min() - gap * DAY  # type: ignore[operator]
            judged += test["t"].to_list()
        assert judged == times.filter(pl.col("t") >= start)["t"].to_list()  # each once

    def test_dates_and_bad_calls(self) -> None:
        first = date(2013, 1, 1)
        found = evaluation.rolling_origin(first, date(2013, 1, 10), horizon=4 * DAY)
        assert [(s.test_start.day, s.test_end.day) for s in found] == [(1, 5), (5, 9), (9, 10)]
        for wrong in ({"horizon": 0 * DAY}, {"horizon": DAY, "gap": -DAY}):
            with pytest.raises(ConfigError):
                evaluation.rolling_origin(first, date(2013, 2, 1), **wrong)
        with pytest.raises(ConfigError, match="after start"):
            evaluation.rolling_origin(first, first, horizon=DAY)
        with pytest.raises(ConfigError, match="horizon is a timedelta: got 10"):
            evaluation.rolling_origin(first, date(2013, 2, 1), horizon=10)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="splits"):
            evaluation.rolling_origin(first, date(2053, 1, 1), horizon=DAY)

    @pytest.mark.parametrize(
        ("ends", "spans", "message"),
        [
            ((date(2025, 1, 1), datetime(2025, 2, 1)), {}, "are of two kinds"),
            ((datetime(2025, 1, 1), datetime(2025, 2, 1, tzinfo=UTC)), {}, "both with a time zone"),
            (("2025-01-01", date(2025, 2, 1)), {}, "start is a date or a time: got '2025-01-01'"),
            ((date(2025, 1, 1), None), {}, "end is a date or a time: got None"),
            (
                (date(2025, 1, 1), date(2025, 1, 3)),
                {"horizon": DAY / 4},
                "horizon is of whole days",
            ),
            ((date(2025, 1, 1), date(2025, 1, 3)), {"gap": 1.5 * DAY}, "gap is of whole days"),
            ((date(2025, 1, 1), date(2025, 1, 3)), {"window": 10**6 * DAY}, "before all time"),
        ],
    )
    def test_ends_that_no_walk_joins(self, ends: Any, spans: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            evaluation.rolling_origin(*ends, **{"horizon": DAY, **spans})

    def test_the_end_of_all_time_and_a_time_zone(self) -> None:
        (last,) = evaluation.rolling_origin(
            datetime(9999, 12, 1), datetime(9999, 12, 31), horizon=60 * DAY
        )
        assert last.test_end == datetime(9999, 12, 31)
        zoned = [datetime(2025, 1, day, tzinfo=UTC) for day in (1, 4)]
        found = evaluation.rolling_origin(*zoned, horizon=2 * DAY)
        assert [one.test_end.day for one in found] == [3, 4]

    @pytest.mark.parametrize(
        "groups", [None, 3, [[1], [2]], [b"a", b"b"], [1, "a"], [object()] * 2]
    )
    def test_groups_that_are_no_keys(self, groups: Any) -> None:
        with pytest.raises(ConfigError, match="groups are the keys of rows"):
            evaluation.group_folds(groups, 2)

    def test_groups_that_are_missing_are_one_group(self) -> None:
        folds = evaluation.group_folds([None, "a", None, "b", "c", "d", None], 2)
        assert len(set(folds[[0, 2, 6]].tolist())) == 1

    def test_groups_stay_together_and_stay_where_they_are(self) -> None:
        keys = [f"c{i % 500}" for i in range(2000)]
        folds = evaluation.group_folds(keys, 5)
        by = dict(zip(keys, folds.tolist(), strict=True))
        assert [by[k] for k in keys] == folds.tolist()
        assert np.bincount([by[k] for k in set(keys)]).min() > 70
        fewer = evaluation.group_folds([*keys[:40], None], 5)
        assert fewer[:40].tolist() == folds[:40].tolist()
        assert (evaluation.group_folds(keys, 5, seed=1) != folds).any()
        assert evaluation.group_folds(["a", "b", "c"], 2).tolist() == [0, 0, 1]  # for ever
        with pytest.raises(ConfigError, match="fewer groups"):
            evaluation.group_folds([1, 1, 2], 3)
