"""The transforms of numbers against a computation by hand."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe, transforms

t = transforms
WILD = [1.0, None, math.nan, -3.0, math.inf, -math.inf, -0.0, 2.0**53 + 2, 0.25]
FINITE = [1.0, -3.0, 0.0, 2.0**53 + 2, 0.25]


def _fit(*steps: Any, **columns: list[Any]) -> FittedRecipe:
    return Recipe(*steps).fit(pl.DataFrame(columns, strict=False))


def _row(fitted: FittedRecipe, **fields: Any) -> list[float]:
    """One row, which a batch must give, too."""
    made = fitted.row(fields)
    types = {name: one.dtype for name, one in fitted.inputs.items()}
    kinds = {"float64": pl.Float64, "int64": pl.Int64, "bool": pl.Boolean, "string": pl.String}
    frame = pl.DataFrame([fields], schema={name: kinds[types[name]] for name in fields})
    assert fitted.transform(frame).to_numpy().tobytes() == made.tobytes()
    return [float(value) for value in made]


def _column(fitted: FittedRecipe, values: list[Any]) -> list[float]:
    return [_row(fitted, x=value)[0] for value in values]


def _same(found: list[float], want: list[float]) -> None:
    np.testing.assert_array_equal(np.float32(found), np.float32(want))


class TestScale:
    def test_standard(self) -> None:
        fitted = _fit(t.scale("x"), x=WILD)
        mean, spread = statistics.fmean(FINITE), statistics.pstdev(FINITE)
        want = [
            math.nan if v is None else v if math.isinf(v) else (v - mean) * (1 / spread)
            for v in WILD
        ]
        np.testing.assert_allclose(_column(fitted, WILD), want, rtol=1e-6)

    def test_min_max_and_max_abs_reach_their_ends(self) -> None:
        values = [2.0, 4.0, None, 3.0, math.inf]
        _same(_column(_fit(t.scale("x", how="min_max"), x=values), [2, 3, 4, 6]), [0, 0.5, 1, 2])
        values = [-4.0, 2.0, math.nan]
        _same(_column(_fit(t.scale("x", how="max_abs"), x=values), [-4, 2, 0]), [-1, 0.5, 0])

    def test_robust_is_not_moved_by_outliers(self) -> None:
        values = [0.0, 1.0, 2.0, 3.0, 1e300]
        _same(_column(_fit(t.scale("x", how="robust"), x=values), [2, 3, 1]), [0, 0.5, -0.5])

    @pytest.mark.parametrize("how", ["standard", "min_max", "robust", "max_abs"])
    def test_a_constant_column_is_moved_alone(self, how: Any) -> None:
        fitted = _fit(t.scale("x", how=how), x=[5.0, 5.0, None])
        if how == "max_abs":
            _same(_column(fitted, [5.0, 10.0]), [1, 2])
        else:
            _same(_column(fitted, [5.0, 7.0]), [0, 2])

    @pytest.mark.parametrize("how", ["standard", "min_max", "robust", "max_abs"])
    def test_sizes_at_the_ends_of_floats(self, how: Any) -> None:
        assert np.isfinite(_column(_fit(t.scale("x", how=how), x=[5e-324, 0.0]), [5e-324])).all()
        wide = _fit(t.scale("x", how=how), x=[1.7e308, -1.7e308, 0.0])
        assert np.isfinite(_column(wide, [0.0])).all()

    def test_an_integer_beyond_floats_is_the_nearest(self) -> None:
        fitted = _fit(t.scale("x", how="min_max"), x=[2**53, 2**53 + 4])
        _same(_column(fitted, [2**53 + 1, 2**53 + 3]), [0, 1])

    def test_nothing_to_learn_from(self) -> None:
        for how in ("standard", "min_max", "robust", "max_abs"):
            with pytest.raises(RecipeError, match="no value of 'x'") as refused:
                _fit(t.scale("x", how=how), x=[None, math.nan, math.inf])  # type: ignore[arg-type]
            assert refused.value.field == "x"

    def test_what_is_refused(self) -> None:
        with pytest.raises(RecipeError, match="way"):
            t.scale("x", how="other")  # type: ignore[arg-type]
        with pytest.raises(RecipeError, match="cannot take column 'x'"):
            _fit(t.scale("x"), x=["a"])


class TestClip:
    def test_given_bounds(self) -> None:
        fitted = _fit(t.clip("x", low=-1, high=2), x=WILD)
        _same(_column(fitted, WILD), [1, math.nan, math.nan, -1, 2, -1, 0, 2, 0.25])
        assert math.copysign(1, _row(fitted, x=-0.0)[0]) == -1

    def test_quantiles_of_finite_values(self) -> None:
        values = [*map(float, range(100)), math.inf, -math.inf, None]
        fitted = _fit(t.clip("x", quantiles=(0.05, 0.9)), x=values)
        _same(_column(fitted, [-7, 50, 1000, math.inf]), [5, 50, 90, 90])

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"low": 1, "quantiles": (0, 1)},
            {"low": 2, "high": 1},
            {"low": math.nan},
            {"quantiles": (0.9, 0.1)},
            {"quantiles": (-0.1, 1)},
            {"quantiles": (0.1,)},
        ],
    )
    def test_what_is_refused(self, wrong: Any) -> None:
        with pytest.raises(RecipeError):
            t.clip("x", **wrong)


class TestCurve:
    def test_logarithms(self) -> None:
        fitted = _fit(t.log1p("x"), x=WILD)
        want = [math.log(2), math.nan, -math.inf, math.nan, math.inf]
        _same(_column(fitted, [1.0, None, -1.0, -2.0, math.inf]), want)
        fitted = _fit(t.signed_log("x"), x=WILD)
        want = [-math.log(4), math.log(4), 0, 0, -math.inf, math.nan]
        _same(_column(fitted, [-3.0, 3.0, 0.0, -0.0, -math.inf, None]), want)

    @pytest.mark.parametrize("exponent", [-8, -3, -2, -1, -0.5, -0.3, 0.2, 0.5, 2, 3, 7, 8, 12.5])
    def test_powers(self, exponent: float) -> None:
        fitted = _fit(t.power("x", exponent=exponent), x=WILD)
        found = _column(fitted, [0.7, 2.0, 9.0])
        np.testing.assert_allclose(found, np.power([0.7, 2.0, 9.0], exponent), rtol=1e-6)
        assert math.isnan(_row(fitted, x=None)[0])
        assert math.isnan(_row(fitted, x=math.nan)[0])
        below = (-2.0) ** exponent if float(exponent).is_integer() else math.nan
        _same(_column(fitted, [-2.0, 0.0]), [below, 0.0 if exponent > 0 else math.nan])

    @pytest.mark.parametrize("exponent", [0, 1, 9, -9, math.inf, "2", None])
    def test_what_is_refused(self, exponent: Any) -> None:
        with pytest.raises(RecipeError):
            t.power("x", exponent=exponent)


class TestBins:
    def test_an_edge_belongs_to_the_bin_above(self) -> None:
        fitted = _fit(t.bins("x", edges=[-1, 0, 2.5]), x=WILD)
        values = [-5.0, -1.0, -0.0, 2.4, 2.5, math.inf, -math.inf, math.nan, None]
        _same(_column(fitted, values), [0, 1, 2, 2, 3, 3, 0, math.nan, math.nan])
        assert fitted.feature_names == ("x_bin",)

    @pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 40])
    def test_few_edges_and_many_mean_the_same(self, count: int) -> None:
        edges = [float(n - count // 2) for n in range(count)]
        fitted = _fit(t.bins("x", edges=edges), x=WILD)
        values = [*edges, *(edge + 0.5 for edge in edges), -0.0, 5e-324, -5e-324, *WILD]
        want = [
            math.nan if v is None or math.isnan(v) else sum(edge <= v for edge in edges)
            for v in values
        ]
        _same(_column(fitted, values), want)

    def test_uniform(self) -> None:
        fitted = _fit(t.bins("x", count=4, how="uniform"), x=[0.0, 8.0, math.inf, None])
        _same(_column(fitted, [0, 1.9, 2, 4, 6, 8, 99]), [0, 0, 1, 2, 3, 3, 3])

    def test_quantiles_hold_equal_shares(self) -> None:
        values = np.random.default_rng(3).lognormal(size=1000).tolist()
        fitted = _fit(t.bins("x", count=8), x=values)
        counts = np.bincount(fitted.transform(pl.DataFrame({"x": values}))["x_bin"].cast(int))
        assert counts.tolist() == [125] * 8

    def test_a_constant_column(self) -> None:
        for how in ("uniform", "quantile"):
            fitted = _fit(t.bins("x", how=how), x=[3.0, 3.0])  # type: ignore[arg-type]
            found = _column(fitted, [2.0, 3.0, 4.0])
            assert found in ([0, 0, 0], [0, 1, 1])

    def test_a_range_wider_than_floats(self) -> None:
        fitted = _fit(t.bins("x", count=2, how="uniform"), x=[-1.7e308, 1.7e308])
        _same(_column(fitted, [-1.0, 0.0]), [0, 1])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"count": 1},
            {"count": 1001},
            {"count": 2.0},
            {"edges": []},
            {"edges": [1, 1]},
            {"edges": [0, math.nan]},
            {"edges": [1], "count": 3},
            {"how": "given"},
        ],
    )
    def test_what_is_refused(self, wrong: Any) -> None:
        with pytest.raises(RecipeError):
            t.bins("x", **wrong)


class TestPairs:
    def test_ratio(self) -> None:
        fitted = _fit(t.ratio("x", "y"), x=[1.0], y=[1.0])
        cases = [
            (1, 4, 0.25),
            (1, 0, math.nan),
            (0, -0.0, math.nan),
            (None, 0, math.nan),
            (3, None, math.nan),
            (math.inf, 2, math.inf),
            (1, -math.inf, 0.0),
            (1e308, 1e-308, math.inf),
        ]
        for over, under, want in cases:
            _same(_row(fitted, x=over, y=under), [want])
        fitted = _fit(t.ratio("x", "y", zero=9, name="r"), x=[1], y=[True])
        assert fitted.feature_names == ("r",)
        _same(_row(fitted, x=5, y=False), [9])
        _same(_row(fitted, x=None, y=False), [math.nan])
        _same(_row(fitted, x=2**53 + 1, y=True), [2.0**53])

    def test_interactions(self) -> None:
        fitted = _fit(t.interactions("x", "y", "z", squares=True), x=[1.0], y=[2], z=[True])
        assert fitted.feature_names == ("x*x", "x*y", "x*z", "y*y", "y*z", "z*z")
        _same(_row(fitted, x=0.5, y=3, z=True), [0.25, 1.5, 0.5, 9, 3, 1])
        nan = math.nan
        _same(_row(fitted, x=math.inf, y=0, z=None), [math.inf, nan, nan, 0, nan, nan])
        for wrong in ((), ("x",), ("x", "x")):
            with pytest.raises(RecipeError):
                t.interactions(*wrong)

    def test_geo_distance(self) -> None:
        steps = t.geo_distance(("a", "b"), ("c", "d"))
        fitted = _fit(steps, a=[0.0], b=[0.0], c=[0.0], d=[0.0])

        def far(a: Any, b: Any, c: Any, d: Any) -> float:
            return _row(fitted, a=a, b=b, c=c, d=d)[0]

        # Against the vector form, which shares nothing with the haversine's.
        rng = np.random.default_rng(5)
        for lat1, lon1, lat2, lon2 in rng.uniform([-90, -180] * 2, [90, 180] * 2, (50, 4)).tolist():
            ends = []
            for lat, lon in ((lat1, lon1), (lat2, lon2)):
                up, round_ = math.radians(lat), math.radians(lon)
                flat = math.cos(up)
                ends.append((flat * math.cos(round_), flat * math.sin(round_), math.sin(up)))
            angle = math.atan2(math.hypot(*np.cross(*ends)), float(np.dot(*ends)))
            assert far(lat1, lon1, lat2, lon2) == pytest.approx(6371.0088 * angle, rel=1e-6)
        # Kennedy to Los Angeles
        assert far(40.6398, -73.7789, 33.9425, -118.4081) == pytest.approx(3974, abs=10)
        assert far(0, 0, 0, 180) == pytest.approx(math.pi * 6371.0088)
        assert far(12, 34, 12, 34) == 0
        assert far(10, 179, 10, -179) == pytest.approx(far(10, 1, 10, -1), rel=1e-6)
        for wrong in (90.5, math.nan, math.inf, None):
            assert math.isnan(far(wrong, 0, 0, 0))
            assert math.isnan(far(0, 0, wrong, 0))
        assert math.isnan(far(0, math.inf, 0, 0))

    def test_units_of_distance(self) -> None:
        columns = {"a": [0.0], "b": [0.0], "c": [0.0], "d": [0.0]}
        found = {
            unit: _row(
                _fit(t.geo_distance(("a", "b"), ("c", "d"), unit=unit), **columns),
                a=0,
                b=0,
                c=1,
                d=0,
            )[0]
            for unit in ("km", "m", "mi", "nmi")
        }
        assert found["m"] == pytest.approx(1000 * found["km"])
        assert found["mi"] == pytest.approx(found["km"] / 1.609344)
        assert found["nmi"] == pytest.approx(found["km"] / 1.852)
        for wrong in ("feet", None):
            with pytest.raises(RecipeError):
                t.geo_distance(("a", "b"), ("c", "d"), unit=wrong)  # type: ignore[arg-type]
        with pytest.raises(RecipeError):
            t.geo_distance("ab", ("c", "d"))  # a text is not two names

    def test_cyclical(self) -> None:
        fitted = _fit(t.cyclical("x", period=360), x=[0.0])
        assert fitted.feature_names == ("x_sin", "x_cos")
        for value, want in ((0, (0, 1)), (90, (1, 0)), (360, (0, 1)), (-90, (-1, 0))):
            assert _row(fitted, x=value) == pytest.approx(want, abs=1e-7)
        for value in (None, math.nan, math.inf):
            assert all(map(math.isnan, _row(fitted, x=value)))
        for period in (0, -1, math.inf, "7"):
            with pytest.raises(RecipeError):
                t.cyclical("x", period=period)  # type: ignore[arg-type]


class TestImpute:
    def test_the_mode_of_numbers(self) -> None:
        values = [3.0, 1.0, 3.0, 1.0, None, math.inf, math.inf, math.inf, math.nan]
        fitted = _fit(t.impute("x", strategy="mode", indicator=True), x=values)
        assert _row(fitted, x=None) == [1, 1]
        assert _row(fitted, x=math.inf) == [math.inf, 0]
        assert _row(_fit(t.impute("x", strategy="mode"), x=[True, False, True]), x=None) == [1]

    def test_zeros_of_both_signs_are_one_value(self) -> None:
        fitted = _fit(t.impute("x", strategy="mode"), x=[0.0, -0.0, 5.0, 5.0, 0.0])
        assert _row(fitted, x=None) == [0]

    def test_the_mode_of_texts(self) -> None:
        steps = (*t.impute("x", strategy="mode", indicator=True), *t.one_hot("x"))
        fitted = _fit(steps, x=["b", "", "b", "", None, "c"])
        assert fitted.feature_names == ("x_missing", "x=", "x=b", "x=c")
        assert _row(fitted, x=None) == [1, 1, 0, 0]
        assert _row(fitted, x="new") == [0, 0, 0, 0]

    def test_a_constant_text(self) -> None:
        steps = (*t.impute("x", strategy="constant", value="none"), *t.one_hot("x"))
        assert _row(_fit(steps, x=["a", None]), x=None) == [0, 1]

    def test_a_mean_that_a_sum_would_overflow(self) -> None:
        fitted = _fit(t.impute("x", strategy="mean"), *t.scale("x"), x=[1.5e308, 1.5e308])
        assert _row(fitted, x=None) == [0]

    def test_a_mean_of_text_or_a_wrong_constant_is_refused(self) -> None:
        for steps in (t.impute("x"), t.impute("x", strategy="constant", value=1)):
            with pytest.raises(RecipeError, match="cannot take column 'x'"):
                _fit(steps, t.one_hot("x"), x=["a"])
        with pytest.raises(RecipeError, match="cannot take column 'x'"):
            _fit(t.impute("x", strategy="constant", value="a"), x=[1.0])
        with pytest.raises(RecipeError, match="not a number"):
            _fit(t.impute("x", strategy="mode"), x=["a"])


class TestDrop:
    def test_a_means_is_no_feature(self) -> None:
        steps = (*t.bins("x", count=2), *t.one_hot("x_bin"), *t.drop("x_bin"))
        assert _fit(steps, x=[1.0, 2.0]).feature_names == ("x_bin=0", "x_bin=1")

    def test_what_is_dropped_alone_is_not_read(self) -> None:
        fitted = _fit(t.select("y"), t.scale("x"), t.drop("x"), x=[1.0], y=[2.0])
        assert fitted.feature_names == ("y",)
        assert set(fitted.inputs) == {"y"}

    def test_a_later_transform_may_read_it(self) -> None:
        steps = (t.scale("x", how="max_abs"), t.drop("x"), t.cyclical("x", period=1))
        assert _fit(*steps, x=[2.0]).feature_names == ("x_sin", "x_cos")

    def test_a_raw_column_cannot_be_dropped(self) -> None:
        with pytest.raises(RecipeError, match="no earlier transform gives") as refused:
            _fit(t.select("y"), t.drop("x"), x=[1.0], y=[2.0])
        assert refused.value.field == "x"


class TestCast:
    @pytest.mark.parametrize(
        ("to", "values", "want"),
        [
            ("float64", ["-1.5e3", ".5", "1e999", "", " 1", "nan", "inf", "1_0", None, "٣", "1\n"],
             [-1500, 0.5, math.inf, *[math.nan] * 8]),
            ("int64", ["007", "+5", "-9", "1.0", "9" * 30, ""],
             [7, 5, -9, math.nan, math.nan, math.nan]),
            ("bool", ["true", "false", "True", "1", ""], [1, 0, *[math.nan] * 3]),
        ],
    )  # fmt: skip
    def test_texts(self, to: str, values: list[Any], want: list[float]) -> None:
        fitted = _fit(t.cast(x=to, strict=False), t.select("x"), x=["1"])
        _same(_column(fitted, values), want)

    def test_floats_are_cut_off(self) -> None:
        fitted = _fit(t.cast(x="int64", strict=False), t.select("x"), x=[1.0])
        values = [1.9, -1.9, -0.0, math.nan, math.inf, 2.0**63, -(2.0**63)]
        nan = math.nan
        _same(_column(fitted, values), [1, -1, 0, nan, nan, nan, -(2.0**63)])

    def test_integers_as_booleans_and_texts(self) -> None:
        _same(_column(_fit(t.cast(x="bool"), x=[1]), [0, 5, None]), [0, 1, math.nan])
        fitted = _fit(t.cast(x="string"), t.one_hot("x"), x=[-3, 2**53 + 1])
        assert fitted.feature_names == ("x=-3", f"x={2**53 + 1}")

    def test_a_strict_cast_names_the_column_and_the_value(self) -> None:
        fitted = _fit(t.cast(x="int64"), x=["12", None])
        assert _column(fitted, ["7"]) == [7]
        for make in (
            lambda: fitted.row({"x": "abc"}),
            lambda: fitted.transform(pl.DataFrame({"x": ["1", "abc"]})),
            lambda: _fit(t.cast(x="int64"), x=["abc"]),
        ):
            with pytest.raises(RecipeError, match="int64 of a value of column 'x': got 'abc'"):
                make()

    def test_what_is_refused(self) -> None:
        with pytest.raises(RecipeError, match="does not know"):
            t.cast(x="object")
        with pytest.raises(RecipeError, match="cannot make string") as refused:
            _fit(t.cast(x="string"), x=[1.5])
        assert refused.value.field == "x"
        assert t.cast({"strict": "bool"})[0].column == "strict"
