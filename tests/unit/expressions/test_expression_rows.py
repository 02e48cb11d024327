from __future__ import annotations

import math
import random
import struct
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from raypipe.expressions import compile_row, decode, encode, lower

c = pl.col
f, g, i, j, s, u, b, k, t, e = (c(name) for name in "fgijsubkte")
m, n = t.dt.month(), s.str.len_chars()

SCHEMA: dict[str, Any] = {
    **dict.fromkeys("fg", pl.Float64()),
    **dict.fromkeys("ij", pl.Int64()),
    **dict.fromkeys("su", pl.String()),
    **dict.fromkeys("bk", pl.Boolean()),
    **dict.fromkeys("te", pl.Datetime("us")),
}


def _frame() -> pl.DataFrame:
    draw = random.Random(7)
    floats = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0.5, -0.5, 2.5, 1e300, 5e-324, 7.0]
    whole = [None, 0, 1, -1, 7, -7, 2**53 + 1, 2**63 - 1, -(2**63)]
    texts = [None, "", "a", "ab", "é", "😀", "JFK"]
    start = datetime(1950, 1, 1)
    times = [None, datetime(1, 1, 1), datetime(9999, 12, 31), datetime(1969, 12, 31, 23, 59, 59, 9)]
    pools: dict[str, list[Any]] = {
        "f": floats + [draw.uniform(-1e3, 1e3) for _ in range(20)],
        "i": whole + [draw.randint(-1000, 1000) for _ in range(9)],
        "s": texts,
        "b": [None, True, False],
        "t": times + [start + timedelta(seconds=draw.randint(0, 4 * 10**9)) for _ in range(9)],
    }
    same = {"g": "f", "j": "i", "u": "s", "k": "b", "e": "t"}
    return pl.DataFrame(
        {name: [draw.choice(pools[same.get(name, name)]) for _ in range(131)] for name in SCHEMA},
        schema=SCHEMA,
    )


def _arithmetic() -> list[pl.Expr]:
    others = [f, g, i, m, n, *map(pl.lit, (3, 0, 1, -7, 0.1, 7.0, -0.0, 2**40))]
    found = []
    for a in (f, i, m):
        for z in others:
            found += [a + z, a - z, z - a, a * z, a / z, z / a, a // z, a % z]
            found += [a > z, a >= z, a < z, a <= z, a == z, a != z, a.eq_missing(z)]
    return found


EXACT = [
    *_arithmetic(),
    *(-a for a in (f, i, m)),
    *(a.abs() for a in (f, i, m)),
    *(done for a in (f, i) for done in (a.sqrt(), a.exp(), a.log(), a.log1p(), a.sin(), a.cos())),
    f.tanh(), f.floor(), f.ceil(), f.round(), i.floor(), f.clip(-1, 5), i.clip(0, None),
    f.is_nan(), f.is_not_nan(), f.is_finite(), f.is_infinite(), f.is_null(), s.is_not_null(),
    i.is_in([1, 7]), f.is_in([0.5]), s.is_in(["a", ""]), b.is_in([True]),
    f.is_between(0, 5), f.is_between(g, i, closed="none"),
    s.is_between(pl.lit("a"), pl.lit("b"), closed="left"),
    f.fill_null(0), f.fill_null(g), f.fill_nan(1.0), pl.coalesce(i, g), i.cast(pl.Float64),
    b.cast(pl.Int64), i.cast(pl.String), m.cast(pl.Int64),
    pl.when(f > 1).then(i).otherwise(g), pl.when(b).then(1).when(k).then(2.5).otherwise(None),
    b & k, b | k, b ^ k, ~b, pl.all_horizontal(b, k, f > 1), pl.any_horizontal(b, k),
    b & True, b | False, s > u, s == "a", b == k, t > e, t >= datetime(2000, 1, 1),
    n, s.str.len_bytes(), s.str.starts_with(u), s.str.ends_with("a"),
    s.str.contains("a", literal=True), pl.concat_str([s, i, m], separator="-"),
    t.dt.year(), m, t.dt.day(), t.dt.hour(), t.dt.minute(), t.dt.second(), t.dt.weekday(),
    t.dt.week(), t.dt.quarter(), t.dt.ordinal_day(), t.dt.date(), t.dt.date().dt.month(),
    (t - e).dt.total_days(), (t - e).dt.total_hours(), (t - e).dt.total_seconds() / 3600,
    (t - e).dt.total_microseconds(), (t - e) > timedelta(0), (t - e) / timedelta(hours=1),
    f.alias("z"), f + (pl.lit(2) * 3), 0 - i.cast(pl.Float64),
]  # fmt: skip

LEFT_TO_POLARS = [f**2, f.round(2), f.log(10), f.tan(), s.str.to_lowercase(), s.str.contains("^a"),
                  f.cast(pl.Int64, strict=False), f.cast(pl.Float32) + 1, pl.max_horizontal(f, g),
                  t.dt.truncate("1h"), i.is_in([1, None]), pl.concat_str(s, f)]  # fmt: skip


def _key(value: Any) -> Any:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value)
    return (type(value), value)


def test_the_row_function_gives_the_bits_of_polars() -> None:
    frame = _frame()
    rows = frame.to_dicts()
    for expr in EXACT:
        data = lower(encode(expr), SCHEMA)
        function = compile_row(data, SCHEMA)
        assert function is not None, expr
        batch = frame.lazy().select(decode(data).alias("#"))
        want = batch.collect(optimizations=pl.QueryOptFlags.none())["#"].to_list()
        for row, value in zip(rows, want, strict=True):
            assert _key(function(row)) == _key(value), (expr, row)


@pytest.mark.parametrize("expr", LEFT_TO_POLARS, ids=str)
def test_what_is_not_known_to_agree_is_not_compiled(expr: pl.Expr) -> None:
    assert compile_row(encode(expr), SCHEMA) is None


def test_columns_may_stand_at_other_keys() -> None:
    function = compile_row(encode(f + i), SCHEMA, {"f": 1, "i": 0})
    assert function is not None
    assert function([2, 0.5]) == 2.5


@pytest.mark.parametrize("expr", [f // 7, f % 7, f % g, i // 0.3], ids=str)
def test_lowered_quotients_do_not_depend_on_the_rows_place(expr: pl.Expr) -> None:
    frame = _frame().drop_nulls(["f", "g", "i"])
    lowered = decode(lower(encode(expr), SCHEMA)).alias("#")
    whole = frame.select(lowered)["#"].to_list()
    for place, value in enumerate(whole):
        two = pl.concat([frame[place], frame[place]]).select(lowered)["#"]
        assert _key(two[0]) == _key(value)


@pytest.mark.parametrize(
    "expr",
    [pl.lit(0).fill_null(f) + f, pl.coalesce(pl.lit(0.0), g) - f, f / pl.lit(7).fill_null(i),
     f * pl.coalesce(pl.lit(None), pl.lit(3), i), pl.lit(2).fill_null(i) // f],
    ids=str,
)  # fmt: skip
def test_a_constant_that_a_column_would_fill_is_a_constant(expr: pl.Expr) -> None:
    frame = _frame()
    data = lower(encode(expr), SCHEMA)
    function = compile_row(data, SCHEMA)
    assert function is not None
    want = frame.select(decode(data).alias("#"))["#"].to_list()
    plain = frame.select(expr.alias("#"))["#"].to_list()
    for row, value, first in zip(frame.to_dicts(), want, plain, strict=True):
        assert _key(function(row)) == _key(value)
        assert value == first or value is None or math.isnan(value) or "//" in str(expr)


def test_lowering_leaves_the_rest_as_it_is() -> None:
    data = encode((i // 7 + i % 3) * f)
    assert lower(data, SCHEMA) == data
