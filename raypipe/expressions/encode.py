"""From a polars expression to the JSON form, by walking polars' own serialised tree."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.decode import root_node
from raypipe.expressions.ops import MAX_DEPTH, TYPE_NAMES, VERSION, supported
from raypipe.expressions.values import Node, plain, type_name

_BINARY = {
    "Eq": "eq", "NotEq": "ne", "Gt": "gt", "GtEq": "ge", "Lt": "lt", "LtEq": "le",
    "EqValidity": "eq_missing", "NotEqValidity": "ne_missing",
    "Plus": "add", "Minus": "sub", "Multiply": "mul", "TrueDivide": "div",
    "FloorDivide": "floordiv", "Modulus": "mod",
    "And": "and", "LogicalAnd": "and", "Or": "or", "LogicalOr": "or", "Xor": "xor",
}  # fmt: skip

# Functions without options: polars' path of names, joined by a slash.
_PLAIN = {
    "Negate": "neg", "Boolean/Not": "not", "Boolean/IsNull": "is_null",
    "Boolean/IsNotNull": "is_not_null", "Boolean/IsNan": "is_nan",
    "Boolean/IsNotNan": "is_not_nan", "Boolean/IsFinite": "is_finite",
    "Boolean/IsInfinite": "is_infinite", "Boolean/AllHorizontal": "all_horizontal",
    "Boolean/AnyHorizontal": "any_horizontal", "FillNull": "fill_null", "Coalesce": "coalesce",
    "MinHorizontal": "min_horizontal", "MaxHorizontal": "max_horizontal", "Abs": "abs",
    "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Exp": "exp", "Log": "log", "Log1p": "log1p",
    "Pow/Sqrt": "sqrt", "Pow/Cbrt": "cbrt", "Pow/Generic": "pow", "Trigonometry/Sin": "sin",
    "Trigonometry/Cos": "cos", "Trigonometry/Tan": "tan", "Trigonometry/Tanh": "tanh",
    "TemporalExpr/Year": "year", "TemporalExpr/Quarter": "quarter", "TemporalExpr/Month": "month",
    "TemporalExpr/Week": "week", "TemporalExpr/WeekDay": "weekday", "TemporalExpr/Day": "day",
    "TemporalExpr/OrdinalDay": "ordinal_day", "TemporalExpr/Hour": "hour",
    "TemporalExpr/Minute": "minute", "TemporalExpr/Second": "second",
    "TemporalExpr/Date": "dt_date", "TemporalExpr/Truncate": "truncate",
    "TemporalExpr/OffsetBy": "offset_by", "StringExpr/StartsWith": "starts_with",
    "StringExpr/EndsWith": "ends_with", "StringExpr/LenChars": "len_chars",
    "StringExpr/LenBytes": "len_bytes", "StringExpr/Lowercase": "to_lowercase",
    "StringExpr/Uppercase": "to_uppercase", "StringExpr/StripChars": "strip_chars",
}  # fmt: skip
_CLOSED = {"Both": "both", "Left": "left", "Right": "right", "None": "none"}
_ROUND = {"HalfToEven": "half_to_even", "HalfAwayFromZero": "half_away_from_zero"}


def encode(expr: pl.Expr) -> dict[str, Any]:
    """A polars expression as JSON that is safe to store: no pickle, no code, versioned.

    Args:
        expr: a row-wise expression (each row's value comes from that row alone).

    Returns:
        ``{"version": 1, "expr": tree}``; ``decode`` gives the expression back.

    Raises:
        RecipeError: it holds a Python function, an aggregation, a selector, a value that is not
            finite, or another part that cannot be data; the message names the part and lists what
            can stand in an expression.
    """
    if not isinstance(expr, pl.Expr):
        raise RecipeError("this is not a polars expression", expr, "Pass pl.col(…) and the like.")
    try:
        tree = json.loads(expr.meta.serialize(format="json"))
    except (pl.exceptions.PolarsError, ValueError) as failure:
        # polars refuses, or asks for cloudpickle, when a Python function stands in the tree.
        raise _refuse("a Python function or object") from failure
    data = {"version": VERSION, "expr": _walk(tree, MAX_DEPTH)}
    root_node(data)
    return data


def _refuse(part: str) -> RecipeError:
    return RecipeError(
        "an expression holds what cannot be stored as data",
        part[:200],
        f"It may hold: {supported()}.",
        "expression",
    )


def _op(name: str, args: list[Node], /, **options: Any) -> Node:
    return {"op": name, "args": args, "options": options}


def _walk(tree: Any, depth: int) -> Node:
    if depth <= 0:
        raise _refuse(f"an expression deeper than {MAX_DEPTH}")
    if not isinstance(tree, dict) or len(tree) != 1:
        raise _refuse(str(tree))
    ((kind, body),) = tree.items()
    if kind == "Column":
        return {"col": body}
    if kind == "Literal":
        return _literal(body)
    if kind == "Alias":
        return _op("alias", [_walk(body[0], depth - 1)], name=body[1])
    if kind == "Cast":
        return _cast(body, depth)
    if kind == "Ternary":
        parts = [_walk(body[name], depth - 1) for name in ("predicate", "truthy", "falsy")]
        return _op("when", parts)
    if kind == "BinaryExpr" and body["op"] in _BINARY:
        sides = [_walk(body[name], depth - 1) for name in ("left", "right")]
        return _op(_BINARY[body["op"]], sides)
    if kind == "Function":
        return _function(body, depth)
    if kind == "AnonymousFunction":
        raise _refuse("a Python function")
    raise _refuse(_shown(kind, body))


def _shown(kind: str, body: Any) -> str:
    if kind == "Agg":
        return f"the aggregation {next(iter(body))}" if isinstance(body, dict) else "an aggregation"
    if kind == "Selector":
        return "a selector; name each column"
    if kind == "BinaryExpr":
        return f"the operator {body['op']}"
    return kind


def _literal(body: Any) -> Node:
    ((kind, inner),) = body.items()
    if kind == "Dyn":
        ((name, value),) = inner.items()
        if value is None:
            raise _refuse("a number that is not finite")
        if name in ("Int", "Float"):
            return {"lit": value, "type": name.lower()}
        raise _refuse(f"a value of kind {name}")
    if kind == "Series":
        return _list({"Literal": body})
    if kind != "Scalar":
        raise _refuse(f"a value of kind {kind}")
    ((name, value),) = inner.items()
    if name == "List":
        return _list({"Literal": body})
    if name == "Null":
        return {"lit": None, "type": "null"}
    value_type = {"String": "string", "Boolean": "bool"}.get(name, name.lower())
    if name in ("String", "Boolean", "Float32", "Float64") or "Int" in name:
        if value is None:
            raise _refuse("a number that is not finite")
        return {"lit": value, "type": value_type}
    if name in ("Date", "Datetime", "Duration", "Decimal"):
        return _scalar({"Literal": body}, value_type)
    raise _refuse(f"a value of type {name}")


def _own_value(tree: Any) -> Any:
    # The tree is a literal that polars itself has just written in this process.
    expr = pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
    return pl.select(expr).to_series()


def _scalar(tree: Any, kind: str) -> Node:
    series = _own_value(tree)
    found = type_name(series.dtype)
    if found.split("[")[0] != kind:
        raise _refuse(f"a {kind} of type {series.dtype}; use microseconds")
    return {"lit": plain(series.item()), "type": found}


def _list(tree: Any) -> Node:
    series = _own_value(tree)
    values = series.item() if series.dtype == pl.List else series
    if not isinstance(values, pl.Series):
        raise _refuse("a list that is null")
    kind = "null" if values.dtype == pl.Null else type_name(values.dtype)
    if kind.startswith(("int", "uint")):
        kind = "int64"
    if kind == "float64" and not values.drop_nulls().is_finite().all():
        raise _refuse("a number that is not finite")
    return {"list": [plain(value) for value in values.to_list()], "type": kind}


def _cast(body: Any, depth: int) -> Node:
    wanted = body["dtype"].get("Literal") if isinstance(body["dtype"], dict) else None
    strict = {"Strict": True, "NonStrict": False}.get(body["options"])
    names = {"Boolean": "bool"}
    if isinstance(wanted, str):
        to = names.get(wanted, wanted.lower())
    elif wanted == {"Datetime": ["Microseconds", None]}:
        to = "datetime"
    elif wanted == {"Duration": "Microseconds"}:
        to = "duration"
    else:
        to = ""
    if strict is None or to not in TYPE_NAMES.values():
        raise _refuse(f"a cast to {wanted}")
    return _op("cast", [_walk(body["expr"], depth - 1)], to=to, strict=strict)


def _function(body: Any, depth: int) -> Node:
    path, options = _path(body["function"])
    args = [_walk(part, depth - 1) for part in body["input"]]
    if path in _PLAIN:
        return _op(_PLAIN[path], args)
    if path == "Boolean/IsIn":
        return _op("is_in", args, nulls_equal=options["nulls_equal"])
    if path == "Boolean/IsBetween":
        return _op("is_between", args, closed=_CLOSED[options["closed"]])
    if path == "Clip":
        return _op("clip", args, low=options["has_min"], high=options["has_max"])
    if path == "Round" and options["mode"] in _ROUND:
        return _op("round", args, decimals=options["decimals"], mode=_ROUND[options["mode"]])
    if path.startswith("TemporalExpr/Total") and not options["fractional"]:
        return _op("total_" + path.removeprefix("TemporalExpr/Total").lower(), args)
    if path == "StringExpr/Contains":
        return _op("contains", args, literal=options["literal"], strict=options["strict"])
    if path == "StringExpr/ConcatHorizontal":
        texts = {"separator": options["delimiter"], "ignore_nulls": options["ignore_nulls"]}
        return _op("concat_str", args, **texts)
    raise _refuse(f"the function {path}")


def _path(function: Any) -> tuple[str, dict[str, Any]]:
    """Polars' nested names of a function (``{"Boolean": {"IsIn": {…}}}``) and its options."""
    names: list[str] = []
    while isinstance(function, dict) and len(function) == 1:
        ((name, inner),) = function.items()
        if not name[:1].isupper():
            break
        names.append(name)
        function = inner
    if isinstance(function, str):
        return "/".join([*names, function]), {}
    return "/".join(names), function if isinstance(function, dict) else {}
