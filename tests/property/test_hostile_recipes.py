"""A stored recipe that was changed is refused, or means the same in batch and row; never more.

Documents are changed at any place, and expressions put together of any operations over columns of
any type. What comes of it is a RecipeError or a recipe that works: no other error, no panic, no
other bits for a row than for the batch.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import RecipeError
from raypipe.expressions import encode
from raypipe.expressions.ops import OPS, TYPES
from raypipe.features import FittedRecipe, Recipe
from tests.unit.features.test_transform_conformance import CASES, FRAME

Draw = Callable[..., Any]
STORED = {name: Recipe(case).fit(FRAME, "y").to_json(training=True) for name, case in CASES.items()}
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]
WILD = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2, 1.5, -0.0, 1e308, -1e308, 5e-324, math.inf, math.nan),
        *(2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400, 10**12),
        *("", "x", "n", "s", "t", "y", "b", "\x00", "\ud800", "a" * 20_000, "*", "^.*$"),
        *("../../etc/passwd", "{0.__class__}", "__import__('os').system('true')", "#0"),
        *([], {}, [[]], [0] * 1000, [1.5, 2.5], ["a", "b"], {"a": 1}, DEEP),
        *("2020-01-01", "1h", "0s", "-1d", "9999999999y", "(a{1000}){1000}", "(a+)+$", "(?P<"),
        *OPS,
        *TYPES,
    ]
)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys: Any = value if isinstance(value, dict) else range(min(len(value), 12))
    found = [(*at, key) for key in keys]
    inner = [place for place in found if isinstance(value[place[-1]], dict | list)]
    return [*found, *(deep for place in inner for deep in _places(value[place[-1]], place))]


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


@st.composite
def changed(draw: Draw) -> dict[str, Any]:
    """A stored recipe, changed at one to three places."""
    stored: dict[str, Any] = json.loads(STORED[draw(st.sampled_from(sorted(STORED)))])
    for _ in range(draw(st.integers(1, 3))):
        places = _places(stored)
        *parent, key = draw(st.sampled_from(places))
        inside, way = _at(stored, tuple(parent)), draw(st.integers(0, 5))
        if way == 0:
            del inside[key]
        elif way == 1:
            inside[key] = copy.deepcopy(_at(stored, draw(st.sampled_from(places))))
        elif way == 2 and isinstance(inside, list):
            inside.insert(key, copy.deepcopy(draw(WILD)))
        elif way == 3 and isinstance(inside, dict):
            name = draw(st.sampled_from([*inside, "extra"]))
            inside[name] = copy.deepcopy(draw(WILD))
        else:
            wild = draw(WILD | st.integers(-(2**70), 2**70) | st.floats())
            inside[key] = copy.deepcopy(wild)  # a later change must not reach the list above
        if not stored:
            break
    return stored


LITERALS: dict[str, list[Any]] = {
    "string": ["a", "", "1h", "-1d", "0s", "1mo", "99999999999y", "[", "b", "1d2h"],
    "bool": [True],
    "date": ["2020-01-01"],
    "datetime": ["2020-01-01", "0001-01-01", "9999-12-31T23:59:59"],
    "float": [0.0, 1.5, -0.0, 1e308],
    "float32": [0.5, 1e300],
    "float64": [0.0, 0.5, 5e-324],
    "null": [None],
    "datetime[America/New_York]": ["2020-01-01", "0001-01-01"],
    "datetime[localtime]": ["2020-01-01"],
    "decimal[38,2]": ["1.00"],
    "decimal[3,3]": ["0.123"],
    **{kind: [0, 1, 7, 127] for kind in TYPES if "int" in kind},
    **{kind: [0, -1, 2**31, 2**63 - 1] for kind in ("int", "int64", "duration")},
}
LISTS: dict[str, list[Any]] = {
    "int64": [1, 2**63 - 1], "float64": [1.5, None], "string": ["a", ""], "bool": [True],
    "date": ["2020-01-01"], "null": [None], "decimal[5,2]": ["1.00"], "datetime": [],
    "datetime[Europe/Paris]": ["2020-01-01"],
}  # fmt: skip
OPTIONS: dict[str, list[Any]] = {
    "to": list(TYPES), "closed": ["both", "left", "none"], "name": ["q", "x", "*", "^a$"],
    "decimals": [0, 2, 15], "mode": ["half_to_even", "half_away_from_zero"], "separator": ["", "-"],
}  # fmt: skip


@st.composite
def trees(draw: Draw, depth: int = 3) -> dict[str, Any]:
    """Any operations over columns of any type: most of them make no sense."""
    if depth == 0 or draw(st.integers(0, 6)) == 0:
        if draw(st.booleans()):
            return {"col": draw(st.sampled_from("xnsbty"))}
        kind = draw(st.sampled_from(sorted(LITERALS)))
        return {"lit": draw(st.sampled_from(LITERALS[kind])), "type": kind}
    name = draw(st.sampled_from(sorted(OPS)))
    op = OPS[name]
    options = {key: draw(st.sampled_from(OPTIONS.get(key, [True, False]))) for key in op.options}
    count = draw(st.integers(op.least, min(op.most, op.least + 2)))
    count = 1 + options["low"] + options["high"] if name == "clip" else count
    args = [draw(trees(depth=depth - 1)) for _ in range(count)]
    if name == "is_in":
        kind = draw(st.sampled_from(sorted(LISTS)))
        args[1] = {"list": LISTS[kind], "type": kind}
    return {"op": name, "args": args, "options": options}


def _columns(node: dict[str, Any]) -> set[str]:
    if "col" in node:
        return {node["col"]}
    return set().union(*map(_columns, node.get("args", [])))


def _bits(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()


def _hold(data: Any) -> None:
    """It is refused as a recipe, or works."""
    try:
        fitted = FittedRecipe.from_json(data)
    except RecipeError:
        return
    assert FittedRecipe.from_json(fitted.to_json()).to_json() == fitted.to_json()
    assert repr(fitted)
    assert fitted._repr_html_()
    assert fitted.profile._repr_html_()
    batch = rows = None
    if not set(fitted.inputs) <= set(FRAME.columns):
        return
    try:
        batch = fitted.transform(FRAME)
    except RecipeError:
        batch = None
    try:
        rows = [fitted.row(row) for row in FRAME.select(list(fitted.inputs)).to_dicts()]
    except RecipeError:
        rows = None
    if batch is not None and rows is not None:
        assert _bits(rows) == _bits(batch.to_numpy())


def _derived(tree: dict[str, Any]) -> dict[str, Any]:
    raw = {"x": "float64", "n": "int64", "s": "string", "b": "bool", "t": "datetime", "y": "int64"}
    step = {"kind": "derive", "name": "z", "expression": {"version": 1, "expr": tree}}
    return {
        "kind": "raypipe.fitted_recipe",
        "version": 1,
        "recipe": {"kind": "raypipe.recipe", "version": 1, "transforms": [step]},
        "label": None,
        "types": {name: raw[name] for name in sorted(_columns(tree))},
        "nullable": [],
        "states": [None],
        "profile": {"version": 2, "columns": []},
        "rows": 5,
    }


def test_the_bases_are_what_is_taken() -> None:
    for text in STORED.values():
        FittedRecipe.from_json(text)
    stored = _derived(encode(pl.col("x") / 3 + pl.col("n"))["expr"])
    fitted = FittedRecipe.from_json(stored)
    assert fitted.row({"x": 1.5, "n": 3})[0] == 3.5


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(stored=changed(), as_text=st.booleans())
def test_a_changed_recipe_is_refused_or_works(stored: dict[str, Any], as_text: bool) -> None:
    _hold(json.dumps(stored) if as_text else stored)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(tree=trees())
def test_any_expression_is_refused_or_works(tree: dict[str, Any]) -> None:
    _hold(_derived(tree))


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, deadline=None, suppress_health_check=SLOW)
@given(stored=changed(), as_text=st.booleans())
def test_10000_changed_recipes_are_refused_or_work(stored: dict[str, Any], as_text: bool) -> None:
    _hold(json.dumps(stored) if as_text else stored)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, deadline=None, suppress_health_check=SLOW)
@given(tree=trees())
def test_any_of_10000_expressions_is_refused_or_works(tree: dict[str, Any]) -> None:
    _hold(_derived(tree))


def test_a_root_of_a_duration_is_the_same_for_a_row() -> None:
    """Polars takes it for a duration while it plans, and gives a number."""
    root = {"op": "sqrt", "args": [{"lit": -255, "type": "duration"}], "options": {}}
    _hold(_derived({"op": "eq", "args": [{"col": "n"}, root], "options": {}}))
