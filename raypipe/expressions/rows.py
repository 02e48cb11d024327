"""From the JSON form to a plain function of one row, with polars' meaning of nulls and its bits.

Only what is known to agree with polars to the bit is compiled. The types of all nodes are asked of
polars itself, once. For anything else ``compile_row`` gives None and the caller asks polars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from raypipe.expressions import row_logic, row_math, row_text
from raypipe.expressions.decode import build, children, root_node
from raypipe.expressions.scalar import BITS
from raypipe.expressions.values import Node, list_values

RowFunction = Callable[[Any], Any]
_MAKERS = {**row_logic.MAKERS, **row_math.MAKERS, **row_text.MAKERS}

EXACT = {*BITS, pl.Float64(), pl.String(), pl.Boolean(), pl.Date(), pl.Datetime("us")}
EXACT |= {pl.Duration("us"), pl.Null()}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A node: its function of a row, its polars type, and its value if that needs no row.

    ``loose`` marks a literal number, which takes the type of what it meets.
    """

    call: RowFunction
    dtype: pl.DataType
    constant: bool = False
    value: Any = None
    loose: bool = False


class NotExactError(Exception):
    """Stays inside the room: a node that cannot be compiled to the same bits."""


def compile_row(
    data: Any, types: Mapping[str, pl.DataType], keys: Mapping[str, Any] | None = None
) -> RowFunction | None:
    """A function of one row that gives what polars gives, to the bit; None is null.

    Args:
        data: a stored expression.
        types: the polars type of each column that it reads.
        keys: where in a row each column stands, for rows that are not mappings by name.

    Returns:
        A function of a row (``row[key]`` gives a value of the column's type, or None), or None
        where no function is known to agree with polars.

    Raises:
        RecipeError: the expression is not valid.
    """
    schema = pl.LazyFrame(schema=dict(types))
    try:
        return _compile(root_node(data), schema, dict(types), keys or {}).call
    except (NotExactError, pl.exceptions.PolarsError):
        return None


def _compile(
    node: Node, schema: pl.LazyFrame, types: dict[str, pl.DataType], keys: Mapping[str, Any]
) -> Compiled:
    if "col" in node:
        return _column(node["col"], types, keys)
    if not _reads(node):
        return _constant(node)
    dtype = schema.select(build(node).alias("#")).collect_schema()["#"]
    if dtype not in EXACT:
        raise NotExactError
    if node["op"] == "is_in":
        args = [_compile(node["args"][0], schema, types, keys)]
        options = {**node["options"], "values": list_values(node["args"][1])}
        options["kind"] = node["args"][1]["type"]
    else:
        args = [_compile(child, schema, types, keys) for child in node["args"]]
        options = node["options"]
    make = _MAKERS.get(node["op"])
    call = None if make is None else make(args, dtype, options)
    if call is None:
        raise NotExactError
    return Compiled(call, dtype)


def _reads(node: Node) -> bool:
    return "col" in node or any(_reads(child) for child in children(node))


def _column(name: str, types: dict[str, pl.DataType], keys: Mapping[str, Any]) -> Compiled:
    if types[name] not in EXACT:
        raise NotExactError
    key = keys.get(name, name)
    return Compiled(lambda row: row[key], types[name])


def _constant(node: Node) -> Compiled:
    series = pl.select(build(node).alias("#"))["#"]
    if series.dtype not in EXACT:
        raise NotExactError
    value = series[0]
    loose = node.get("type") in ("int", "float", "null")
    return Compiled(lambda row: value, series.dtype, True, value, loose)
