from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.core.scan import Scan
from raypipe.features import FittedRecipe, InputSpec, Recipe, transforms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = transforms
FRAME = pl.DataFrame(
    {
        "delay": [20.0, 3.0, None, 16.0, -4.0, 0.0],
        "dest": ["ATL", "ATL", "BOS", "BOS", None, ""],
        "tail": ["N1", "N2", "N9", None, "N1", "N2"],
        "temp": [1.0, None, 3.0, math.nan, 4.0, math.inf],
        "distance": [100, 200, 300, 400, 500, 600],
        "late_flag": [True, False, None, True, False, False],
    }
)
PLANES = pl.DataFrame({"tail": ["N1", "N2"], "seats": [100.0, math.nan], "engine": ["jet", "fan"]})
LATE = T.derive(late=pl.col("delay") > 15)


class Part:
    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.rows = frame.height
        self.asked: list[list[str]] = []

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        self.asked.append(list(columns or []))
        return self.frame if columns is None else self.frame.select(columns)


class Parts:
    def __init__(self, *frames: pl.DataFrame) -> None:
        self._parts = [Part(frame) for frame in frames]

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._parts[0].frame.schema

    def parts(self) -> Sequence[Part]:
        return self._parts

    def lazy(self) -> pl.LazyFrame:
        return pl.concat([part.frame for part in self._parts]).lazy()

    def identity(self) -> dict[str, Any]:
        return {"parts": len(self._parts)}


def _refused(recipe: Recipe, label: str | None = None, frame: pl.DataFrame = FRAME) -> RecipeError:
    with pytest.raises(RecipeError) as refused:
        recipe.fit(frame, label)
    return refused.value


def test_features_are_exactly_what_transforms_give() -> None:
    recipe = Recipe(
        LATE,
        T.lookup(PLANES, on="tail", columns=["seats", "engine"]),
        T.impute("temp", "seats", strategy="mean", indicator=True),
        T.one_hot("engine"),
        T.target_encode("dest", smoothing=1),
        T.select("distance"),
    )
    fitted = recipe.fit(FRAME, label="late")
    assert fitted.feature_names == (
        "temp", "temp_missing", "seats", "seats_missing",
        "engine=fan", "engine=jet", "dest_target", "distance",
    )  # fmt: skip
    assert fitted.inputs == {
        "tail": InputSpec("string", True),
        "temp": InputSpec("float64", True),
        "dest": InputSpec("string", True),
        "distance": InputSpec("int64", False),
    }
    assert fitted.label == "late"
    assert fitted.labels(FRAME).to_list() == [1.0, 0.0, None, 1.0, 0.0, 0.0]
    assert fitted.labels(FRAME).dtype == pl.Float32
    prior = 2 / 5
    got = fitted.transform(FRAME)
    assert got["temp"][:2].to_list() == [1.0, pytest.approx(8 / 3)]
    assert got["temp_missing"].to_list() == [0, 1, 0, 1, 0, 0]
    assert got["seats"].to_list() == [100.0] * 6
    assert got["engine=jet"].to_list() == [1, 0, 0, 0, 1, 0]
    want = [(1 + prior) / 3] * 2 + [(1 + prior) / 2] * 2 + [prior, (0 + prior) / 2]
    assert got["dest_target"].to_list() == pytest.approx(want)


def test_a_derived_column_is_a_feature_unless_it_is_read_or_the_label() -> None:
    hours = T.derive(hours=pl.col("delay") / 60, late=pl.col("hours") > 0.25)
    fitted = Recipe(hours, T.derive(far=pl.col("distance") > 250)).fit(FRAME, "late")
    assert fitted.feature_names == ("far",)
    assert list(fitted.inputs) == ["distance"]


def test_a_later_transform_reads_the_imputed_column() -> None:
    recipe = Recipe(T.impute("temp", strategy="constant", value=9), T.derive(t2=pl.col("temp") * 2))
    got = recipe.fit(FRAME).transform(FRAME)
    assert got.columns == ["temp", "t2"]
    assert got["t2"][1] == 18.0


def test_an_imputation_may_feed_a_fitted_transform() -> None:
    warm = T.derive(warm=pl.col("temp") > 2)
    recipe = Recipe(LATE, T.impute("temp", strategy="mean"), warm, T.target_encode("warm"))
    fitted = recipe.fit(FRAME, "late")
    assert fitted.feature_names == ("temp", "warm_target")
    scan = Parts(FRAME[:2], FRAME[2:])
    assert recipe.fit(scan, "late").feature_names == fitted.feature_names
    assert [set(asked) for asked in scan.parts()[0].asked] == [{"delay"}, *[{"delay", "temp"}] * 2]


def test_a_looked_up_column_may_hide_a_raw_one_that_nothing_read() -> None:
    years = pl.DataFrame({"tail": ["N1"], "distance": [1990]})
    recipe = Recipe(T.lookup(years, on="tail", columns=["distance"]), T.select("distance"))
    assert recipe.fit(FRAME).transform(FRAME)["distance"][0] == 1990.0
    again = Recipe(
        T.lookup(years, on="tail", columns=["distance"], prefix="plane_"),
        T.select("distance", "plane_distance"),
    )
    assert again.fit(FRAME).transform(FRAME).row(0) == (100.0, 1990.0)


def test_a_name_given_twice_is_refused() -> None:
    error = _refused(Recipe(T.select("temp"), T.derive(temp=pl.col("distance") * 2)))
    assert error.field == "temp"
    error = _refused(Recipe(T.one_hot("dest"), T.derive(**{"dest=ATL": pl.col("distance") * 2})))
    assert error.field == "dest=ATL"


def test_a_string_feature_is_refused_by_name() -> None:
    error = _refused(Recipe(T.select("distance", "dest")))
    assert error.field == "dest"
    assert "one_hot" in str(error)
    assert _refused(Recipe(T.derive(d=pl.col("dest") + "x"))).field == "d"


@pytest.mark.parametrize(
    ("label", "transforms_given", "said"),
    [
        ("nothing", (), "not there"),
        ("late_flag", T.select("late_flag"), "is a feature"),
        ("late_flag", T.one_hot("late_flag"), "feeds one"),
        ("late", (*LATE, *T.select("late")), "is a feature"),
        ("dest", (), "not a number"),
        ("temp", T.impute("temp"), "is a feature"),
        ("same", T.derive(same=pl.col("distance") > 0), "same in every row"),
        ("none", T.derive(none=pl.col("delay") / 0 * 0), "null in every row"),
        ("big", T.derive(big=pl.col("temp") * 1), "infinite"),
    ],
)
def test_a_label_that_cannot_be_is_refused(label: str, transforms_given: Any, said: str) -> None:
    error = _refused(Recipe(T.date_parts("d", ["day"]), transforms_given), label,
                     FRAME.with_columns(d=date(2013, 1, 1)))  # fmt: skip
    assert error.field == label
    assert said in str(error)


def test_target_encode_needs_a_label() -> None:
    assert _refused(Recipe(T.target_encode("dest"))).field == "label"


def test_no_row_and_no_feature_are_refused() -> None:
    assert "no row" in str(_refused(Recipe(T.select("distance")), None, FRAME.clear()))
    assert "no feature" in str(_refused(Recipe()))
    assert _refused(Recipe(T.impute("temp")), None, FRAME.with_columns(temp=None)).field == "temp"


def test_types_that_no_transform_can_read_are_refused_by_name() -> None:
    frame = FRAME.with_columns(odd=pl.concat_list("distance"))
    error = _refused(Recipe(T.select("odd")), None, frame)
    assert error.field == "odd"
    assert "List(Int64)" in str(error)
    assert _refused(Recipe(T.one_hot("temp"))).field == "temp"
    assert _refused(Recipe(T.impute("dest"))).field == "dest"
    assert _refused(Recipe(T.date_parts("distance", ["day"]))).field == "distance"
    assert _refused(Recipe(T.derive(z=pl.col("dest") * 2))).field == "z"
    assert _refused(Recipe(T.lookup(PLANES, on="tail", columns=["seats"]), T.select("seats")), None,
                    FRAME.with_columns(tail=1)).field == "tail"  # fmt: skip


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: T.impute("x", strategy="best"), "strategy"),  # type: ignore[arg-type]
        (lambda: T.impute("x", strategy="constant"), "value"),
        (lambda: T.impute("x", value=1.0), "value"),
        (lambda: T.impute("x", strategy="constant", value=math.nan), "value"),
        (lambda: T.one_hot("x", min_count=0), "min_count"),
        (lambda: T.target_encode("x", smoothing=0), "smoothing"),
        (lambda: T.date_parts("x", ["era"]), "parts"),
        (lambda: T.date_parts("x", []), "parts"),
        (lambda: T.select(""), "column"),
        (lambda: T.derive(z=pl.col("x").sum()), "z"),
        (lambda: T.derive(z=pl.lit(1)), "z"),
        (lambda: T.lookup(PLANES, on="tail", columns=["wings"]), "wings"),
        (lambda: T.lookup(PLANES, on="tail", columns=[]), "columns"),
        (lambda: T.lookup(pl.concat([PLANES, PLANES]), on="tail", columns=["seats"]), "tail"),
        (lambda: T.lookup(PLANES.with_columns(tail=None), on="tail", columns=["seats"]), "tail"),
        (lambda: T.lookup(PLANES, on="seats", columns=["engine"]), "seats"),
        (lambda: Recipe("temp"), "recipe"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(make: Any, field: str) -> None:
    with pytest.raises(RecipeError) as refused:
        make()
    assert refused.value.field == field


def test_frame_lazy_frame_and_scan_give_the_same() -> None:
    recipe = Recipe(LATE, T.impute("temp"), T.one_hot("dest"), T.target_encode("dest"))
    fitted = recipe.fit(FRAME, "late")
    scan = Parts(FRAME[:1], FRAME[1:4], FRAME[4:])
    assert isinstance(scan, Scan)
    assert recipe.fit(FRAME.lazy(), "late").to_json() == fitted.to_json()
    assert recipe.fit(scan, "late").to_json() == fitted.to_json()
    assert set(scan.parts()[0].asked[1]) == {"delay", "temp", "dest"}
    want = fitted.transform(FRAME)
    assert fitted.transform(FRAME.lazy()).equals(want)
    assert fitted.transform(scan).equals(want)
    assert fitted.labels(scan).to_list() == fitted.labels(FRAME).to_list()


def test_other_widths_and_zones_mean_the_same() -> None:
    frame = pl.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "t": [datetime(2013, 1, 1, 5)] * 2})
    recipe = Recipe(T.select("n", "x"), T.date_parts("t", ["hour"])).fit(frame)
    other = frame.with_columns(
        pl.col("n").cast(pl.Int8),
        pl.col("x").cast(pl.Float32),
        pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York"),
    )
    assert recipe.transform(other).equals(recipe.transform(frame))
    zoned = datetime(2013, 1, 1, 0, tzinfo=timezone(timedelta(hours=-5)))
    for time in (datetime(2013, 1, 1, 5), zoned, "2013-01-01T05:00:00", "2013-01-01T05:00:00Z"):
        assert recipe.row({"n": 1, "x": 1, "t": time}).tolist() == [1.0, 1.0, 5.0]
    assert recipe.row({"n": 1, "x": 1, "t": datetime(2013, 1, 1, 5, tzinfo=UTC)})[2] == 5.0


def test_a_frame_of_other_columns_is_refused_by_name() -> None:
    fitted = Recipe(T.select("distance"), T.one_hot("dest")).fit(FRAME)
    with pytest.raises(RecipeError) as refused:
        fitted.transform(FRAME.drop("dest"))
    assert refused.value.field == "dest"
    with pytest.raises(RecipeError) as refused:
        fitted.transform(FRAME.with_columns(distance=pl.lit("far")))
    assert refused.value.field == "distance"
    with pytest.raises(RecipeError, match="without a label"):
        fitted.labels(FRAME)
    with pytest.raises(RecipeError, match="frame or a snapshot"):
        fitted.transform([1])  # type: ignore[arg-type]


ROW = {"distance": 5, "temp": 1.5, "dest": "ATL", "ok": True, "day": date(2013, 1, 1)}


def _scorer() -> FittedRecipe:
    frame = pl.DataFrame([ROW, {**ROW, "dest": "BOS"}])
    return Recipe(
        T.select("distance", "temp", "ok"), T.one_hot("dest"), T.date_parts("day", ["day"])
    ).fit(frame)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"distance": "5"}, "distance"),
        ({"distance": 5.0}, "distance"),
        ({"distance": True}, "distance"),
        ({"distance": 2**63}, "distance"),
        ({"temp": "1.5"}, "temp"),
        ({"temp": True}, "temp"),
        ({"temp": 10**400}, "temp"),
        ({"temp": [1.0]}, "temp"),
        ({"dest": 5}, "dest"),
        ({"dest": "\ud800"}, "dest"),
        ({"ok": 1}, "ok"),
        ({"day": "tomorrow"}, "day"),
        ({"day": datetime(2013, 1, 1)}, "day"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_field_of_a_row_is_named(change: dict[str, Any], field: str) -> None:
    fitted = _scorer()
    for score in (fitted.row, lambda row: fitted.rows([row]), lambda row: fitted.rows([row] * 600)):
        with pytest.raises(RecipeError) as refused:
            score({**ROW, **change})
        assert refused.value.field == field


def test_a_missing_field_of_a_row_is_named() -> None:
    fitted = _scorer()
    short = {name: value for name, value in ROW.items() if name != "temp"}
    for row in (short, {**short, "other": 1}):
        for many in ([row], [row] * 600):
            with pytest.raises(RecipeError) as refused:
                fitted.rows(many)
            assert refused.value.field == "temp"
    for odd in ([1], None, "row"):
        with pytest.raises(RecipeError, match="mapping"):
            fitted.row(odd)  # type: ignore[arg-type]


def test_values_of_numpy_and_extremes_are_taken() -> None:
    fitted = _scorer()
    got = fitted.row({**ROW, "distance": np.int32(7), "temp": np.float32(0.5)})
    assert got.tolist()[:2] == [7.0, 0.5]
    assert fitted.row({**ROW, "temp": 1e300})[1] == math.inf
    nulls = fitted.row(dict.fromkeys(ROW))
    assert np.isnan(nulls).tolist() == [True, True, True, False, False, True]
    assert fitted.rows([]).shape == (0, 6)
    assert fitted.row(ROW).dtype == np.float32


def test_recipes_show_themselves() -> None:
    recipe = Recipe(LATE, T.lookup(PLANES, on="tail", columns=["seats"]), T.select("distance"))
    assert "Lookup(on='tail', columns=['seats'], rows=2)" in repr(recipe)
    fitted = recipe.fit(FRAME, "late")
    assert "1 features" in repr(fitted)
    assert "<table>" in recipe._repr_html_()
    assert "distance" in fitted._repr_html_()
    risky = Recipe(T.select("<script>")).fit(pl.DataFrame({"<script>": [1, 2]}))
    assert "<script>" not in risky._repr_html_()
    assert "<script>" not in risky.profile._repr_html_()


def test_what_is_no_transform_or_no_rows_is_told_what_to_pass() -> None:
    with pytest.raises(RecipeError, match=r"got 'km'\. Use .* such as select\('km'\)"):
        Recipe("km")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"got 3\. Use raypipe\.transforms\.$"):
        Recipe(3)  # type: ignore[arg-type]
    pandas = pytest.importorskip("pandas")
    with pytest.raises(RecipeError, match=r"got pandas\.DataFrame\. Pass .*pl\.from_pandas"):
        Recipe(T.select("x")).fit(pandas.DataFrame({"x": [1]}))


def test_many_columns_cost_no_more_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame makes its schema anew each time; asked for by column it is the square of them."""
    asked = 0
    schema = pl.DataFrame.schema

    def counted(frame: pl.DataFrame) -> Any:
        nonlocal asked
        asked += 1
        return schema.fget(frame)

    def made(columns: int) -> int:
        nonlocal asked
        names = [f"c{number}" for number in range(columns)]
        frame = pl.DataFrame({name: [0.5, 1.5] for name in names}).with_columns(y=pl.Series([0, 1]))
        recipe = Recipe(T.select(*names))
        asked = 0
        recipe.fit(frame, label="y").transform(frame)
        return asked

    monkeypatch.setattr(pl.DataFrame, "schema", property(counted))
    assert made(100) == made(10) > 0


@pytest.mark.parametrize("kind", [T.one_hot, T.target_encode, T.ordinal])
def test_a_category_that_is_too_long_is_named(kind: Any) -> None:
    frame = pl.DataFrame({"s": ["é" * 10_001, "b"] * 4, "y": [0, 1] * 4})
    with pytest.raises(RecipeError, match=r"category of 's' is too long .* 10,001 .*hash_"):
        Recipe(kind("s")).fit(frame, label="y")
    fine = frame.with_columns(pl.col("s").str.head(10_000))
    assert Recipe(kind("s")).fit(fine, label="y").transform(fine).height == 8
    assert Recipe(T.hash_encode("s", width=4)).fit(frame, label="y").transform(frame).height == 8
