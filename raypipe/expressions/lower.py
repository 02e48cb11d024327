"""Rewrites what polars does not compute the same for every row of a column (polars 2.1).

A quotient by a constant is a product with its inverse where a piece of a column has several rows,
and a true quotient where it has one; polars cuts a short column into a piece for each thread. With
a constant divisor, ``//`` and ``%`` of floats differ in the last bit between rows that fall into a
vector register and the rest; so do quotients of durations, and the sign of zero where a constant
zero is added or taken from. A constant with a column to stand in for its nulls, of which it has
none, is a constant to polars too. Where a row must have the same bits wherever it stands, they are
computed from operations that are free of this: ``a * (1 / b)``, ``floor(a / b)``,
``a - b * floor(a / b)``, a quotient of whole microseconds, no addition of zero at all, and the
constant itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions.decode import build, children, root_node
from raypipe.expressions.node_types import Types
from raypipe.expressions.ops import TYPE_NAMES, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.expressions.values import Node


def lower(data: Any, types: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """A stored expression in operations whose bits do not depend on a row's place.

    Args:
        data: a stored expression.
        types: the polars type of each column that it reads.

    Raises:
        RecipeError: the expression is not valid, or is too large when it is written so: ``%`` of
            floats stands for its left side twice.
        PolarsError: polars cannot compute it of these types.
    """
    lowered = {"version": VERSION, "expr": _lower(root_node(data), Types(types))}
    root_node(lowered)
    return lowered


def _op(name: str, *args: Node) -> Node:
    return {"op": name, "args": list(args), "options": {}}


def _lower(node: Node, types: Types) -> Node:
    if not children(node) or not types.reads(node):
        return node
    args = [_lower(child, types) for child in node["args"]]
    lowered = {**node, "args": args}
    if node["op"] in ("fill_null", "coalesce"):
        first = next((arg for arg in args if types.reads(arg) or _known(arg)), args[0])
        return lowered if types.reads(first) else _cast(first, types.of(node))
    if node["op"] not in ("add", "sub", "div", "floordiv", "mod"):
        return lowered
    if not types.of(node).is_float():
        return lowered
    a, b = args
    if node["op"] == "div":
        return _quotient(a, b, types)
    if node["op"] in ("add", "sub"):
        return _sum(lowered, types)
    whole = _op("floor", _quotient(a, b, types))
    if node["op"] == "floordiv":
        return whole
    return _sum(_op("sub", a, _op("mul", whole, b)), types)


def _quotient(a: Node, b: Node, types: Types) -> Node:
    if types.of(a) == pl.Duration and types.of(b) == pl.Duration:
        a, b = _op("total_microseconds", a), _op("total_microseconds", b)
    quotient = _op("div", a, b)
    dtype = types.of(quotient)
    if types.reads(b) or dtype not in (pl.Float64, pl.Float32) or not _known(b):
        return quotient
    one = {"lit": 1.0, "type": TYPE_NAMES[dtype]}
    return _op("mul", a, _op("div", one, b))


def _sum(node: Node, types: Types) -> Node:
    a, b = node["args"]
    if _zero(b, types):
        return _float(a, types)
    if _zero(a, types):
        return _float(b, types) if node["op"] == "add" else _op("neg", _float(b, types))
    return node


def _float(node: Node, types: Types) -> Node:
    if types.of(node).is_float():
        return node
    return {"op": "cast", "args": [node], "options": {"to": "float64", "strict": True}}


def _known(node: Node) -> bool:
    return pl.select(build(node)).item() is not None


def _cast(node: Node, dtype: pl.DataType) -> Node:
    if pl.select(build(node).alias("#")).schema["#"] == dtype or dtype not in TYPE_NAMES:
        return node
    return {"op": "cast", "args": [node], "options": {"to": TYPE_NAMES[dtype], "strict": True}}


def _zero(node: Node, types: Types) -> bool:
    return not types.reads(node) and pl.select(build(node).cast(pl.Float64)).item() == 0.0
