from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.expressions import decode, encode, root_columns

x, y, s, t = pl.col("x"), pl.col("y"), pl.col("s"), pl.col("t")

SUPPORTED = [
    x,
    pl.lit(5) + 2**40,
    pl.lit(1.5) * x,
    pl.lit("a"),
    pl.lit(True),
    pl.lit(None),
    t > datetime(2020, 1, 1, 3, 0, 0, 7),
    t.dt.date() > date(2020, 1, 1),
    (t - datetime(2020, 1, 1)) > timedelta(hours=1),
    pl.lit(3, dtype=pl.Int8),
    (x + 1 - y) * 2 / 3 // 4 % 5,
    (x > 1) & (x >= y) | (x < 2) ^ (x <= 2) | (x == 1) & (x != 2),
    x.eq_missing(y) | x.ne_missing(1),
    ~(x > 1) | (-x > 0),
    x.is_null() | x.is_not_null() | x.is_nan() | x.is_not_nan() | x.is_finite() | x.is_infinite(),
    x.is_in([1, 2]),
    x.is_in([0.5, None]),
    x.is_in([1], nulls_equal=True),
    s.is_in(["a", "b"]),
    s.is_in([]),
    x.is_between(0, 1, closed="left"),
    pl.when(x > 1).then(2).when(x < 0).then(1).otherwise(None),
    x.cast(pl.Int64).cast(pl.String, strict=False),
    x.cast(pl.Datetime("us")).alias("made"),
    t.dt.year() + t.dt.month() + t.dt.day() + t.dt.hour() + t.dt.minute() + t.dt.second(),
    t.dt.weekday() + t.dt.week() + t.dt.quarter() + t.dt.ordinal_day(),
    (t - t).dt.total_seconds() + (t - t).dt.total_days() + (t - t).dt.total_microseconds(),
    t.dt.truncate("1h").dt.offset_by("1d"),
    s.str.contains("a", literal=True) | s.str.contains("^a") | s.str.starts_with("a"),
    s.str.ends_with("a") | (s.str.len_chars() > 1) | (s.str.len_bytes() > 1),
    pl.concat_str([s, "y"], separator="-", ignore_nulls=True) + s.str.to_lowercase(),
    s.str.to_uppercase().str.strip_chars("x"),
    x.fill_null(0).fill_nan(1.0) + pl.coalesce("x", "y"),
    x.abs().log().log1p().exp().sqrt().cbrt().round(2).floor().ceil().sign() ** 2,
    x.clip(0, 1) + x.clip(lower_bound=0) + x.clip(upper_bound=1),
    x.sin() + x.cos() + x.tan() + x.tanh(),
    pl.min_horizontal("x", "y") + pl.max_horizontal("x", "y"),
    pl.all_horizontal("a", "b") | pl.any_horizontal("a", "b"),
]


BERLIN = ZoneInfo("Europe/Berlin")
# A time of two instants is told by its fold; a number may have all its digits or none before 1.
SUPPORTED += [
    x > datetime(2024, 1, 1, 12, 30, 0, 5, tzinfo=UTC),
    x <= datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    x <= datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    x == datetime(1, 1, 1, tzinfo=UTC),
    x.is_in([datetime(2024, 1, 1, tzinfo=BERLIN), None]),
    x == Decimal("1.50"),
    x == Decimal("-12345678901234567890.123456789"),
    x < Decimal("0.00000000000000000000000000000000000001"),
    x < Decimal("1E+3"),
    x == pl.lit(Decimal("1.5"), dtype=pl.Decimal(10, 2)),
    x.is_in([Decimal("1.50"), None, Decimal("2.125")]),
]


def test_instants_and_decimals_have_one_form() -> None:
    def node(value: object) -> object:
        return encode(x == value)["expr"]["args"][1]

    summer = datetime(2024, 7, 1, 2, tzinfo=BERLIN)
    assert node(summer) == {"lit": "2024-07-01T00:00:00", "type": "datetime[Europe/Berlin]"}
    assert node(Decimal("-0.50")) == {"lit": "-0.50", "type": "decimal[38,2]"}


@pytest.mark.parametrize("expr", SUPPORTED, ids=lambda expr: str(expr)[:60])
def test_round_trip_gives_the_same_expression_and_the_same_json(expr: pl.Expr) -> None:
    data = json.loads(json.dumps(encode(expr)))
    assert decode(data).meta.eq(expr)
    assert encode(decode(data)) == data


@pytest.mark.parametrize(
    ("expr", "named"),
    [
        (x.map_elements(lambda v: v, return_dtype=pl.Int64), "Python function"),
        (x.map_batches(lambda v: v, return_dtype=pl.Int64), "Python function"),
        (x.sum(), "Sum"),
        (x.sum().over("y"), "Over"),
        (pl.all(), "selector"),
        (pl.col("^a.*$"), "selector"),
        (pl.lit(float("nan")), "not finite"),
        (x.is_in([float("inf")]), "not finite"),
        (x.is_in(y), "list"),
        (pl.lit(b"a"), "Binary"),
        (x.cast(pl.Categorical), "cast"),
        (x.dt.replace_time_zone("UTC"), "ReplaceTimeZone"),
        (pl.len(), "Len"),
        (x.replace({1: 2}), "Replace"),
    ],
)
def test_what_cannot_be_data_is_refused_by_name(expr: pl.Expr, named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        encode(expr)


def test_the_refusal_lists_what_is_supported() -> None:
    with pytest.raises(RecipeError, match="is_between"):
        encode(x.sum())


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(RecipeError, match="not a polars expression"):
        encode("x + 1")  # type: ignore[arg-type]


def test_root_columns_are_named_once_in_order() -> None:
    assert root_columns(encode(y + x * y + pl.lit(1))) == ("y", "x")


def _op(name: Any, *args: Any, **options: Any) -> dict[str, Any]:
    return {"version": 1, "expr": {"op": name, "args": list(args), "options": options}}


def _deep(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"col": "x"}
    for _ in range(depth):
        node = {"op": "neg", "args": [node], "options": {}}
    return {"version": 1, "expr": node}


COLUMN = {"col": "x"}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"version": 2, "expr": COLUMN},
        {"version": True, "expr": COLUMN},
        {"version": 1, "expr": COLUMN, "code": "import os"},
        {"version": 1, "expr": "x"},
        {"version": 1, "expr": {}},
        {"version": 1, "expr": {"col": ""}},
        {"version": 1, "expr": {"col": "*"}},
        {"version": 1, "expr": {"col": "^.*$"}},
        {"version": 1, "expr": {"col": 1}},
        {"version": 1, "expr": {"lit": "1", "type": "int"}},
        {"version": 1, "expr": {"lit": 2**63, "type": "int"}},
        {"version": 1, "expr": {"lit": 300, "type": "int8"}},
        {"version": 1, "expr": {"lit": float("inf"), "type": "float"}},
        {"version": 1, "expr": {"lit": "soon", "type": "datetime"}},
        {"version": 1, "expr": {"lit": "2020-01-01T00:00:00+01:00", "type": "datetime"}},
        {"version": 1, "expr": {"lit": "2020-01-01T00:00:00", "type": "datetime[Mars/Base]"}},
        {"version": 1, "expr": {"lit": "2020-01-01T00:00:00", "type": "datetime[../zone]"}},
        {"version": 1, "expr": {"lit": "2020-01-01T00:00:00+01:00", "type": "datetime[UTC]"}},
        {"version": 1, "expr": {"lit": 0, "type": "datetime[UTC]"}},
        {"version": 1, "expr": {"lit": "9999-12-31T23:59:59", "type": "datetime[Asia/Tokyo]"}},
        {"version": 1, "expr": {"lit": "1.5", "type": "decimal[10,2]"}},
        {"version": 1, "expr": {"lit": "123.50", "type": "decimal[4,2]"}},
        {"version": 1, "expr": {"lit": "NaN", "type": "decimal[10,2]"}},
        {"version": 1, "expr": {"lit": 1.5, "type": "decimal[10,1]"}},
        {"version": 1, "expr": {"lit": "1.5", "type": "decimal[39,1]"}},
        {"version": 1, "expr": {"lit": "1.5", "type": "decimal[0,1]"}},
        {"version": 1, "expr": {"lit": 1, "type": "object"}},
        {"version": 1, "expr": {"lit": 1, "type": ["int"]}},
        {"version": 1, "expr": {"lit": 2**63, "type": "duration"}},
        {"version": 1, "expr": {"lit": "a" * 20_000, "type": "string"}},
        {"version": 1, "expr": {"list": [1], "type": "int64"}},
        _op("eval", COLUMN),
        _op("map_elements", COLUMN),
        _op(["neg"], COLUMN),
        _op("neg"),
        _op("neg", COLUMN, COLUMN),
        _op("neg", COLUMN, extra=1),
        _op("cast", COLUMN, to="object", strict=True),
        _op("cast", COLUMN, to="int64", strict=1),
        _op("round", COLUMN, decimals=10**9, mode="half_to_even"),
        _op("clip", COLUMN, COLUMN, low=True, high=True),
        _op("is_in", COLUMN, COLUMN, nulls_equal=False),
        _op("is_in", COLUMN, {"list": [0] * 20_000, "type": "int64"}, nulls_equal=False),
        _op("is_in", COLUMN, {"list": ["a"], "type": "int64"}, nulls_equal=False),
        _op("is_in", COLUMN, {"list": [1], "type": "object"}, nulls_equal=False),
        _op("coalesce", *[COLUMN] * 1000),
        _deep(150),
        _deep(5_000),
    ],
)
def test_a_strangers_json_is_refused(data: Any) -> None:
    with pytest.raises(RecipeError) as refused:
        decode(data)
    assert refused.value.field == "expression"


def test_too_many_nodes_are_refused() -> None:
    node: dict[str, Any] = COLUMN
    for _ in range(14):
        node = {"op": "add", "args": [node, node], "options": {}}
    with pytest.raises(RecipeError, match="larger"):
        decode({"version": 1, "expr": node})
