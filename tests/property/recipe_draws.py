"""Drawn recipes over the columns that there are.

``GENERATORS`` holds one function for each kind of transform. It gets ``draw`` and the columns that
there are, and gives transforms with the columns that they add, or None where none of the columns
fits. A kind without one fails a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
from hypothesis import strategies as st

from raypipe.features import transforms as T  # noqa: N812
from raypipe.features.columns import RAW_TYPES
from raypipe.features.transforms.clock import PARTS
from raypipe.features.transforms.conversions import conversions
from raypipe.features.transforms.time_between import UNITS
from tests.property.expression_draws import number, truth
from tests.property.value_draws import VALUES, Columns, Draw

ZONES = [None, "UTC", "America/New_York", "Europe/Dublin", "Australia/Lord_Howe"]

# Transforms: each gives (what stands in the recipe, columns that later ones may read), or None.

Made = tuple[Any, Columns] | None
Generator = Callable[[Draw, Columns, str], Made]


def _pick(draw: Draw, columns: Columns, *kinds: str) -> str | None:
    fits = [name for name, kind in columns.items() if kind in kinds]
    return draw(st.sampled_from(fits)) if fits else None


def _derive(draw: Draw, columns: Columns, fresh: str) -> Made:
    if _pick(draw, columns, "float64", "int64") is None:  # each is cast to something else
        return None
    if draw(st.booleans()):
        return T.derive(**{fresh: truth(draw, columns, 2)}), {fresh: "bool"}
    # As float, so that transforms which follow know what they read.
    expr = number(draw, columns, 3).cast(pl.Float64)
    return T.derive(**{fresh: expr}), {fresh: "float64"}


def _narrow(draw: Draw, columns: Columns, fresh: str) -> Made:
    if _pick(draw, columns, "float64", "int64") is None:  # each is cast to something else
        return None
    # Of whatever type polars gives it, and read by nothing that follows.
    return T.derive(**{fresh: number(draw, columns, 3)}), {}


def _select(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    return None if name is None else (T.select(name), {})


def _drop(draw: Draw, columns: Columns, fresh: str) -> Made:
    # Of what a transform has given: a raw column is no feature anyway.
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    means = (*T.scale(name, how="max_abs"), *T.bins(name, edges=[0.0, 1.5]))
    return (*means, *T.drop(f"{name}_bin")), {name: "float64"}


_CASTS = {
    "float64": ["float64", "int64"],
    "int64": ["int64", "float64", "string", "bool"],
    "bool": ["int64", "float64", "string", "bool"],
    "string": ["int64", "float64", "bool", "date", "datetime", "string"],
    "date": ["int64", "string", "datetime"],
    "datetime": ["int64", "date"],
}


def _cast(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = draw(st.sampled_from(list(columns)))
    to = draw(st.sampled_from(_CASTS[columns[name]]))
    safe = conversions(RAW_TYPES[columns[name]])[to].safe
    made: list[Any] = [*T.cast({name: to}, strict=safe and draw(st.booleans()))]
    if to == "string":  # which is no feature, so that something has to read it
        made += T.hash_encode(name, width=2**31)
    elif to in ("date", "datetime"):
        made.append(T.date_parts(name, ["year", "yearday"]))
    return tuple(made), {name: to}


def _between(draw: Draw, columns: Columns, fresh: str) -> Made:
    start = _pick(draw, columns, "date", "datetime")
    if start is None:
        return None
    end, unit = _pick(draw, columns, "date", "datetime"), draw(st.sampled_from(list(UNITS)))
    return T.time_between(start, end or start, unit=unit, name=fresh), {fresh: "float64"}


def _cyclical(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    period = draw(st.sampled_from([7, 360.0, 0.1, 1e-100, 1e100]))
    return T.cyclical(name, period=period), {f"{name}_sin": "float64", f"{name}_cos": "float64"}


def _scale(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    how = draw(st.sampled_from(["standard", "min_max", "robust", "max_abs"]))
    return None if name is None else (T.scale(name, how=how), {name: "float64"})


def _clip(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    if draw(st.booleans()):
        return T.clip(name, quantiles=(0.25, 0.75)), {name: "float64"}
    low, high = draw(st.sampled_from([(-1, 2.5), (0.0, None), (None, -0.0), (0, 0), (-1e300, 1)]))
    return T.clip(name, low=low, high=high), {name: "float64"}


def _curve(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    way = draw(st.sampled_from(["log1p", "signed_log", "power"]))
    if way != "power":
        return (T.log1p if way == "log1p" else T.signed_log)(name), {name: "float64"}
    exponent = draw(st.sampled_from([2, 3, -1, -2, 8, 0.5, -0.5, 0.3, -1.7]))
    return T.power(name, exponent=exponent), {name: "float64"}


def _bins(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool")
    if name is None:
        return None
    how = draw(st.sampled_from(["quantile", "uniform", "given"]))
    edges = [-1.0, 0.0, 0.1, 2.0**53] if how == "given" else None
    made = T.bins(name, edges=edges) if edges else T.bins(name, count=3, how=how)
    return made, {f"{name}_bin": "int64"}


def _ratio(draw: Draw, columns: Columns, fresh: str) -> Made:
    over = _pick(draw, columns, "float64", "int64", "bool")
    under = _pick(draw, columns, "float64", "int64", "bool")
    if over is None or under is None:
        return None
    zero = draw(st.sampled_from([None, 0.0, -1.5]))
    return T.ratio(over, under, zero=zero, name=fresh), {fresh: "float64"}


def _interactions(draw: Draw, columns: Columns, fresh: str) -> Made:
    fits = [name for name, kind in columns.items() if kind in ("float64", "int64", "bool")]
    if not fits:
        return None
    some = draw(st.lists(st.sampled_from(fits), min_size=1, max_size=3, unique=True))
    made = T.interactions(*some, squares=len(some) == 1 or draw(st.booleans()))
    return made, dict.fromkeys(made.outputs(dict.fromkeys(some, pl.Float64())), "float64")


def _distance(draw: Draw, columns: Columns, fresh: str) -> Made:
    fits = [name for name, kind in columns.items() if kind in ("float64", "int64", "bool")]
    if not fits:
        return None
    a, b, c, d = (draw(st.sampled_from(fits)) for _ in range(4))
    unit = draw(st.sampled_from(["km", "m", "mi", "nmi"]))
    return T.geo_distance((a, b), (c, d), unit=unit, name=fresh), {fresh: "float64"}


def _count(draw: Draw, columns: Columns, fresh: str) -> Made:
    name, share = _pick(draw, columns, "string", "int64", "bool"), draw(st.booleans())
    if name is None:
        return None
    ends = {f"{name}_share": "float64"} if share else {f"{name}_count": "int64"}
    return T.count_encode(name, share=share), ends


def _rare(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64")
    if name is None:
        return None
    others: list[Any] = ["other", "a"] if columns[name] == "string" else [-1, 2**63 - 1]
    most, other = draw(st.integers(1, 3)), draw(st.sampled_from(others))
    return T.group_rare(name, max_categories=most, other=other), {name: columns[name]}


def _hashed(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    width = draw(st.sampled_from([2, 1000, 2**31]))
    return None if name is None else (T.hash_encode(name, width=width), {f"{name}_hash": "int64"})


def _ordinal(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    order, least = draw(st.sampled_from(["frequency", "sorted"])), draw(st.integers(1, 2))
    return T.ordinal(name, order=order, min_count=least), {f"{name}_code": "int64"}


def _ngrams(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string")
    if name is None:
        return None
    unit, n, width = draw(st.sampled_from(["char", "word"])), draw(st.integers(1, 3)), 3
    made = T.ngrams(name, unit=unit, n=n, width=width)
    return made, {f"{name}_{unit}{n}_{place}": "int64" for place in range(width)}


def _text(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string")
    if name is None:
        return None
    known = st.sampled_from(["length", "bytes", "tokens", "digits"])
    parts = draw(st.lists(known, min_size=1, unique=True))
    return T.text_parts(name, parts), {f"{name}_{part}": "int64" for part in parts}


def _lag(draw: Draw, columns: Columns, fresh: str) -> Made:
    # It reads a column that was filled under its own name.
    name = _pick(draw, columns, "float64", "int64", "bool")
    return None if name is None else (T.lag("v", by="k", time="t", name=name), {name: "float64"})


def _window(draw: Draw, columns: Columns, fresh: str) -> Made:
    fits = [name for name, kind in columns.items() if kind in ("float64", "int64", "bool")]
    if not fits:
        return None
    names = tuple(draw(st.lists(st.sampled_from(fits), min_size=1, max_size=3, unique=True)))
    made = T.window("v", ["sum", "mean", "std"][: len(names)], by="k", time="t", last=3)
    return replace(made, names=names), dict.fromkeys(names, "float64")


def _impute(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "float64", "int64", "bool", "string")
    if name is None:
        return None
    if columns[name] == "string":
        value = draw(st.sampled_from([None, "a"]))
        way = "mode" if value is None else "constant"
        filled = T.impute(name, strategy=way, value=value, indicator=draw(st.booleans()))
        return (*filled, *T.hash_encode(name, width=2**31)), {name: "string"}
    strategy = draw(st.sampled_from(["mean", "median", "mode", "constant"]))
    value = draw(st.sampled_from([-1.25, 0.0, -0.0, 1e300])) if strategy == "constant" else None
    made = T.impute(name, strategy=strategy, value=value, indicator=draw(st.booleans()))
    return made, {name: "float64"}


def _one_hot(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    least, most = draw(st.integers(1, 2)), draw(st.sampled_from([None, 1, 2]))
    return T.one_hot(name, min_count=least, max_categories=most), {}


def _target(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool")
    if name is None:
        return None
    smoothing, folds = draw(st.sampled_from([0.5, 3.5, 20])), draw(st.sampled_from([0, 2, 5]))
    made = T.target_encode(name, smoothing=smoothing, folds=folds)
    return made, {f"{name}_target": "float64"}


def _parts(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "datetime", "date")
    if name is None:
        return None
    timed, turns = columns[name] == "datetime", draw(st.booleans())
    known = [
        part
        for part, of in PARTS.items()
        if (timed or not of.timed) and (not turns or of.period is not None)
    ]
    parts = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    zone = draw(st.sampled_from(ZONES)) if timed else None
    made = T.date_parts(name, parts, tz=zone, cyclical=turns)
    kind = "float64" if turns else "int64"
    return made, dict.fromkeys(made.outputs({name: RAW_TYPES[columns[name]]}), kind)


def _lookup(draw: Draw, columns: Columns, fresh: str) -> Made:
    name = _pick(draw, columns, "string", "int64", "bool", "date")
    if name is None:
        return None
    keys = draw(st.lists(VALUES[columns[name]], min_size=1, max_size=4, unique=True))
    kinds = {"size": "float64", "n": "int64", "kind": "string", "when": "date", "ok": "bool"}
    data: dict[str, pl.Series] = {name: pl.Series(name, keys, RAW_TYPES[columns[name]])}
    for title, kind in kinds.items():
        value = VALUES[kind].filter(lambda v: not (isinstance(v, float) and math.isinf(v)))
        column = draw(st.lists(st.none() | value, min_size=len(keys), max_size=len(keys)))
        data[fresh + title] = pl.Series(column, dtype=RAW_TYPES[kind])
    found = {fresh + title: kind for title, kind in kinds.items()}
    return T.lookup(pl.DataFrame(data), on=name, columns=list(found)), found


GENERATORS: dict[str, Generator] = {
    "derive": _derive,
    "select": _select,
    "drop": _drop,
    "cast": _cast,
    "date_parts": _parts,
    "time_between": _between,
    "cyclical": _cyclical,
    "impute": _impute,
    "scale": _scale,
    "clip": _clip,
    "curve": _curve,
    "bins": _bins,
    "ratio": _ratio,
    "interactions": _interactions,
    "geo_distance": _distance,
    "one_hot": _one_hot,
    "target_encode": _target,
    "lookup": _lookup,
    "count_encode": _count,
    "group_rare": _rare,
    "hash_encode": _hashed,
    "ordinal": _ordinal,
    "ngrams": _ngrams,
    "text_parts": _text,
    "lag": _lag,
    "window": _window,
}


@st.composite
def recipes(draw: Draw, columns: Columns) -> list[Any]:
    """One to seven transforms; what one gives, a later one may read."""
    there, made = dict(columns), []
    ways = [*GENERATORS.values(), _narrow]
    for place in range(draw(st.integers(1, 7))):
        found = draw(st.sampled_from(ways))(draw, dict(there), f"new{place}")
        if found is None:
            continue
        given, added = found
        made.append(given)
        there.update(added)
    return made
