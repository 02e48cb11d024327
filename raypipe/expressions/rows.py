"""From the JSON form to code of one row, with polars' meaning of nulls and its bits.

Only what is known to agree with polars to the bit is compiled. The types of all nodes are asked of
polars itself, once. For anything else there is no code, and the caller asks polars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from raypipe.expressions import row_logic, row_math, row_text
from raypipe.expressions.code import Writer
from raypipe.expressions.decode import build, root_columns, root_node
from raypipe.expressions.node_types import Types
from raypipe.expressions.ops import POLARS_ERRORS
from raypipe.expressions.row_base import FLOAT, Value, constant, inline
from raypipe.expressions.scalar import BITS, bounds
from raypipe.expressions.values import Node, list_values

RowFunction = Callable[[Any], Any]
_MAKERS = {**row_logic.MAKERS, **row_math.MAKERS, **row_text.MAKERS}

EXACT = {*BITS, pl.Float64(), pl.String(), pl.Boolean(), pl.Date(), pl.Datetime("us")}
EXACT |= {pl.Duration("us"), pl.Null()}


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
    write, columns = Writer(), {}
    row = write.argument()
    for name in root_columns(data):
        key = name if keys is None else keys.get(name, name)
        held = write.settled("{}[{}]", row, write.bind(key))
        columns[name] = Value(held, types[name], (held,), types[name] == FLOAT)
    value = write_row(data, write, columns)
    if value is None or write.large:
        return None
    return write.function(("return {}", (inline(write, value),)))


def write_row(data: Any, write: Writer, columns: Mapping[str, Value]) -> Value | None:
    """Writes a stored expression; gives its value, or None where no code agrees with polars.

    Args:
        data: a stored expression.
        write: takes the lines.
        columns: the value of each column that it reads.

    Raises:
        RecipeError: the expression is not valid.
    """
    types = Types({name: value.dtype for name, value in columns.items()})
    mark = write.mark
    try:
        return _written(root_node(data), types, write, columns)
    except (NotExactError, *POLARS_ERRORS):
        write.cut(mark)
        return None


def _written(node: Node, types: Types, write: Writer, columns: Mapping[str, Value]) -> Value:
    if "col" in node:
        found = columns[node["col"]]
        if found.dtype not in EXACT:
            raise NotExactError
        return found
    dtype = types.of(node)
    if dtype not in EXACT:
        raise NotExactError
    if not types.reads(node):
        return _constant(node, dtype, write)
    if dtype in BITS and not all(_fits(child, dtype, types) for child in node["args"]):
        raise NotExactError
    if node["op"] == "is_in":
        args = [_written(node["args"][0], types, write, columns)]
        options = {**node["options"], "values": list_values(node["args"][1])}
        options["kind"] = node["args"][1]["type"]
    else:
        args = [_written(child, types, write, columns) for child in node["args"]]
        options = node["options"]
    make = _MAKERS.get(node["op"])
    value = None if make is None else make(write, args, dtype, options)
    if value is None:
        raise NotExactError
    return value if value.dtype == dtype else replace(value, dtype=dtype)


def _fits(node: Node, dtype: pl.DataType, types: Types) -> bool:
    """Whether a number that is the same for all rows fits the integers that come of it.

    For one that does not polars computes with wider integers than it plans: 2**40 times a UInt32
    is planned as UInt32, and is UInt64.
    """
    if "col" in node or types.reads(node):
        return True
    value = _evaluated(node)[0]
    low, high = bounds(dtype)
    return not isinstance(value, int) or low <= value <= high


def _evaluated(node: Node) -> pl.Series:
    """The one value of an expression that reads no column."""
    return pl.select(build(node).alias("#"))["#"]


def _constant(node: Node, dtype: pl.DataType, write: Writer) -> Value:
    series = _evaluated(node)
    if series.dtype != dtype:  # as of the root of a duration: polars takes it for a duration
        raise NotExactError
    loose = node.get("type") in ("int", "float", "null")
    return constant(write, series[0], series.dtype, loose=loose)
