"""The quick readers of text give what the strict ones give, or nothing: on hostile files, too."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from unittest.mock import patch

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import RaypipeError
from raypipe.lake.write import quick_csv, quick_json, read_csv, read_json
from raypipe.lake.write.where import Where, as_table_frame

PATH = Where("file")
NAMES = st.lists(
    st.sampled_from(["a", "b", "k:k", "l c", "é"]), min_size=2, max_size=4, unique=True
)
WHOLE = st.integers(-(2**70), 2**70) | st.integers(-200, 200)
REAL = st.floats(allow_nan=False, allow_infinity=False)
DAY = st.dates().map(str)
WORDS = st.sampled_from(["x", "NA", "", " ", "a,b", 'q"q', "[1]", "{", ":", "a: -0", "007", "é"])
TEXT = WORDS | st.text(max_size=6)
ODD = st.sampled_from(
    ["+5", "-0", " 5", "5 ", "0x1F", "1.", ".5", "1e5", "-0.0", "1e400", "1e-400", "inf", "nan",
     "NaN", "true", "True", "TRUE", "2020-01-01", "2020/01/01", "01-02-2020", "2020-1-1",
     "+020-01-1", "2021-02-29", "0000-01-01", "9999-12-31", "12:30:00", "2020-01-01 10:00:00",
     "2020-01-01T10:00:00Z", '"5"', '"NA"', '""', "NA", "", " ", "\t", "null", "9" * 19, "9" * 20,
     "1_0", "007", "x", '"a""b"', '"a\nb"', '"open', 'a"b', "\r", "\0", "1,2"],
)  # fmt: skip
KINDS = [WHOLE.map(str), REAL.map(repr), DAY, st.booleans().map(lambda x: str(x).lower()), TEXT]


def small() -> tuple[Any, Any]:
    """Samples of a few bytes, so that small files have rows beyond them."""
    return patch.multiple(quick_csv, _SMALL=32), patch.multiple(quick_json, _SMALL=96)


def same(quick: pl.DataFrame, strict: pl.DataFrame) -> None:
    assert quick.schema == strict.schema
    assert quick.equals(strict, null_equal=True)
    for name, dtype in quick.schema.items():  # minus zero is another number than zero
        if dtype.is_float():
            assert (
                quick[name]
                .reinterpret(signed=True)
                .equals(strict[name].reinterpret(signed=True), null_equal=True)
            )


def read_quickly_csv(data: bytes, texts: list[str]) -> pl.DataFrame | None:
    """As ``read_csv`` calls it."""
    header = read_csv._csv_header(PATH, data)
    if header is None or (b'"' in data and not read_csv.plainly_quoted(memoryview(data))):
        return None
    strict = partial(read_csv._parse_csv, PATH)
    return quick_csv.quick_csv(data, header, texts, b'"' in data, strict)


def against_strict_csv(data: bytes, texts: list[str]) -> bool:
    """Whether the quick way was taken."""
    csv, ndjson = small()
    with csv, ndjson:
        try:
            quick = read_quickly_csv(data, texts)
        except RaypipeError:
            return False  # of the header, which both ways look at first
        if quick is None:
            return False
        with patch.object(read_csv, "quick_csv", lambda *_: None):
            same(quick, read_csv.read_csv(PATH, data, texts))
    return True


@st.composite
def csv_files(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    names = draw(NAMES)
    columns = [draw(st.sampled_from(KINDS)) for _ in names]
    odd = draw(st.sampled_from([0, 0, 1, 2, 3]))
    quote = draw(st.booleans())
    rows = draw(st.lists(st.tuples(*columns), min_size=10, max_size=40))
    lines = [
        [f'"{x}"' if quote and ('"' not in x and ("," in x or k == 1)) else x.replace(",", "")
         for k, x in enumerate(row)]
        for row in rows
    ]  # fmt: skip
    for _ in range(odd):
        line = draw(st.sampled_from(lines))
        line[draw(st.integers(0, len(names) - 1))] = draw(ODD)
    made = [",".join(line) for line in lines]
    if draw(st.integers(0, 5)) == 0:
        k = draw(st.integers(0, len(made) - 1))
        made[k] = draw(st.sampled_from(["", " ", made[k] + ",", made[k].rpartition(",")[0], '""']))
    end = draw(st.sampled_from(["\n", "\n", "\n", "", "\r\n"]))
    text = ",".join(names) + "\n" + "\n".join(made) + end
    return text.encode("utf-8", "surrogatepass"), draw(
        st.lists(st.sampled_from(names), unique=True)
    )


@settings(max_examples=300, deadline=None)
@given(csv_files())
def test_csv(file: tuple[bytes, list[str]]) -> None:
    against_strict_csv(*file)


ODD_ONES = ["+5", " ", "-0", "1e400", "1e-400", "2020/01/01", "2021-02-29", "", '""', "NA", '"NA"',
            "0x1F", "1_0", "9" * 20, "5", "5.5", "x"]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_ONES)
@pytest.mark.parametrize("column", ["5", "5.5", "2020-02-29", "true", "x"])
def test_csv_of_one_kind_and_one_odd_value(column: str, odd: str) -> None:
    rows = [f"{column},{k}" for k in range(50)]
    for k in (0, 49):
        lines = [*rows[:k], f"{odd},7", *rows[k:]]
        for text in (
            "a,b\n" + "\n".join(lines),
            "b,a\n" + "\n".join(f"7,{x.split(',')[0]}" for x in lines),
        ):
            against_strict_csv(text.encode(), [])
            against_strict_csv(text.encode(), ["a"])


@pytest.mark.parametrize("column", ["5", "5.5", "2020-02-29", "true", "x", '"a,b"', ""])
def test_a_plain_csv_goes_the_quick_way(column: str) -> None:
    text = "a,b\n" + f"{column},1\n" * 50 + ",2\n"
    assert against_strict_csv(text.encode(), ["a"] if column == '"a,b"' else [])


def test_a_short_line_is_seen_beside_quoted_commas() -> None:
    rows = ['"a,b,c",1\n'] * 50
    assert against_strict_csv(("t,n\n" + "".join(rows) + "x,\n").encode(), [])
    for short in ("x\n", '"x,y"\n'):
        assert not against_strict_csv(("t,n\n" + "".join([*rows, short])).encode(), [])


def against_strict_json(data: bytes, texts: list[str]) -> bool:
    """Whether the quick way was taken."""
    csv, ndjson = small()
    with csv, ndjson:
        quick = quick_json.quick_json(data, texts, read_json._with_texts)
        if quick is None:
            return False
        with patch.object(read_json, "quick_json", lambda *_: None):
            same(quick, read_json.read_json(PATH, data, texts))
    return True


VALUES = [WHOLE, st.integers(-5, 5), REAL, DAY, st.booleans(), TEXT, st.datetimes().map(str)]
LITERALS = st.sampled_from(
    ["-0", "-0.0", "1E2", "1.0", "true", "null", '"x"', '"\\u0041"', '"[1]"', "[1]", '["x"]', "{}",
     '{"x":1}', "01", "+1", "1.", "1e400", "1e-400", "NaN", "9" * 19, "9" * 25, '""', '":"', '"{"',
     '"2020-01-01"', '"2020-01-01 10:00:00"', "-0e1", " -0", '"\t"', '"\\ud83d"'],
)  # fmt: skip


@st.composite
def json_files(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    names = draw(NAMES)
    columns = [draw(st.sampled_from(VALUES)) for _ in names]
    ascii_only = draw(st.booleans())
    rows = draw(st.lists(st.tuples(*columns), min_size=16, max_size=40))
    dump = partial(json.dumps, ensure_ascii=ascii_only)
    lines = [[f"{dump(n)}:{dump(x)}" for n, x in zip(names, row, strict=True)] for row in rows]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        line = draw(st.sampled_from(lines))
        k = draw(st.integers(0, len(line) - 1)) if line else 0
        name = draw(st.sampled_from([*names, "z"]))
        pair = f"{dump(name)}{draw(st.sampled_from([':', ' : ']))}{draw(LITERALS)}"
        what = draw(st.sampled_from(["put", "add", "drop"]))
        if what == "add" or not line:
            line.append(pair)
        elif what == "drop":
            line.pop(k)
        else:
            line[k] = pair
    text = "\n".join("{" + ",".join(line) + "}" for line in lines)
    texts = draw(st.lists(st.sampled_from(names), unique=True))
    return (text + draw(st.sampled_from(["", "\n", "\n\n"]))).encode(
        "utf-8", "surrogatepass"
    ), texts


@settings(max_examples=400, deadline=None)
@given(json_files())
def test_json(file: tuple[bytes, list[str]]) -> None:
    against_strict_json(*file)


PLAIN = [f'{{"a":{k},"b":"x{k}","c":{k}.5}}' for k in range(60)]
"""Rows as a machine writes them."""


@pytest.mark.parametrize(
    "odd",
    [
        ['{"a":1,"b":5,"c":1.5}'],  # a number where text belongs
        ['{"a":1,"b":5,"c":1.5,"z":2}'],  # and as many quotes as if it were none
        ['{"a":1,"b":5,"c":1.5,"z" :2}'],
        ['{"a":1,"b":["x"],"c":1.5}'],
        ['{"a":1,"b":{"x":1},"c":1.5}'],
        ['{"a":1,"b":"x","c":1.5,"z":"y"}'],
        ['{"a":1,"a":2,"b":"x","c":1.5}'],
        ['{"a":1,"a":null,"b":"x","c":1.5}', '{"b":"x","c":1.5}'],  # one too many, one missing
        ['{"a":1,"b":"x","c":1.5,"z":null}', '{"b":"x","c":1.5}'],
        ['{"a":1,"b":null,"c":1.5,"z":"x"}'],
        ['{"a":-0,"b":"x","c":1.5}'],
        ['{"a":1,"b":"x","c":-0}'],
        ['{"a":1,"b":"x","c": -0}'],
        ['{"a":1,"b":"x","c":1.5} {"a":1,"b":"x","c":1.5}'],
        ['{"a":1.0,"b":"x","c":1.5}'],
        ['{"a":true,"b":"x","c":1.5}'],
        ['{"a":1,"b":"\\ud83d","c":1.5}'],
    ],
)
@pytest.mark.parametrize("texts", [[], ["b"]])
def test_what_is_not_as_the_sample_says_goes_the_strict_way(
    odd: list[str], texts: list[str]
) -> None:
    for k in (30, 60):
        text = "\n".join([*PLAIN[:k], *odd, *PLAIN[k:]])
        assert not against_strict_json(text.encode(), texts)


@pytest.mark.parametrize(
    "odd",
    [
        '{"a":1,"b":null,"c":1.5}',
        '{"c":1.5,"a":1}',
        '{ "c" : 1.5,"b":"a: -x","a":-1 }',
        '{"a":0,"b":"-0: [","c":-0.0}',
        '{"a":1,"b":"\\u0041 \\" \\\\","c":2}',
        '{"a":1,"b":"é","c":9007199254740993}',
        "{}",
    ],
)
@pytest.mark.parametrize("texts", [[], ["b"]])
def test_plain_lines_go_the_quick_way(odd: str, texts: list[str]) -> None:
    assert against_strict_json("\n".join([*PLAIN, odd, *PLAIN]).encode(), texts)


def test_times_are_times_when_all_are() -> None:
    rows = [f'{{"a":"2020-01-{1 + k % 28:02d}","b":{k}}}' for k in range(60)]
    assert against_strict_json("\n".join(rows).encode(), [])
    assert against_strict_json("\n".join(rows).encode(), ["a"])
    rows[30] = '{"a":"soon","b":1}'
    assert not against_strict_json("\n".join(rows).encode(), [])


@settings(max_examples=200, deadline=None)
@given(st.lists(DAY | st.none() | ODD, min_size=1))
def test_days_are_those_of_the_strict_reader(values: list[str | None]) -> None:
    found = quick_csv.read_days(pl.Series("d", values, dtype=pl.String))
    try:
        right = pa.array(values, pa.string()).cast(pa.date32())
    except pa.ArrowException:
        assert found is None
        return
    if found is not None:
        frame = as_table_frame(pa.table({"d": right}))
        assert found.equals(frame["d"], null_equal=True)
