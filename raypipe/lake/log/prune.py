"""Which files can hold a row of a filter, from the log's statistics alone.

The answer may only be wrong in one way: a file that holds no such row may be kept. So whatever is
not understood here, and every statistic that is not there, keeps the file.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from raypipe.expressions import decode

Node = Mapping[str, Any]

DELETED = "deleted"
"""In the table of files: rows that a deletion vector takes out of a file."""

OURS = r"(?:^|/)part-[0-9a-f]{32}-[0-9a-f-]+(?:\.c[0-9a-f]{32})?\.parquet$"
"""Files written by raypipe: of a float column with NaN they keep no least and greatest value,
while other engines leave NaN out of them, though polars orders it above every number."""

_TURNED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq"}
_DENIED = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "is_null": "is_not_null",
           "is_not_null": "is_null", "and": "or", "or": "and"}  # fmt: skip
_CHECKS: dict[str, Callable[[Any, Any], pl.Expr]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq,
}  # fmt: skip
_LONG_LIST = 200
_ROUNDED = timedelta(milliseconds=1)  # other engines cut a time's statistics to milliseconds


def may_match(
    where: Node, files: pl.DataFrame, schema: Mapping[str, pl.DataType], *, exact: bool = False
) -> pl.Expr:
    """A boolean expression over the log's table of files; never null.

    Args:
        where: an encoded row-wise expression.
        files: the log's files with flattened statistics.
        schema: the table's columns.
        exact: whether ends of decimals are exact, as those of a Parquet footer are.
    """
    pruner = _Pruner(frozenset(files.columns), schema, exact)
    return pruner.keep(where["expr"], denied=False)


@dataclass(frozen=True, slots=True)
class _Pruner:
    known: frozenset[str]
    schema: Mapping[str, pl.DataType]
    exact: bool = False

    def keep(self, node: Node, *, denied: bool) -> pl.Expr:
        op, args = node.get("op"), node.get("args", [])
        if "col" in node:
            return self._true(str(node["col"]), wanted=not denied)
        if op == "not":
            return self.keep(args[0], denied=not denied)
        if denied and op not in _DENIED:
            return pl.lit(True)
        name = _DENIED[op] if denied and op is not None else op
        if name in ("and", "or"):
            sides = [self.keep(arg, denied=denied) for arg in args]
            return pl.all_horizontal(sides) if name == "and" else pl.any_horizontal(sides)
        if name in ("is_null", "is_not_null"):
            return self._nulls(args[0], wanted=name == "is_null")
        if name == "is_between":
            closed = node["options"]["closed"]
            low = "ge" if closed in ("both", "left") else "gt"
            high = "le" if closed in ("both", "right") else "lt"
            return self._compare(low, args[0], args[1]) & self._compare(high, args[0], args[2])
        if name == "is_in":
            return self._is_in(args, node["options"])
        return self._compare(name, *args) if name in _TURNED else pl.lit(True)

    def _compare(self, op: str | None, left: Node, right: Node) -> pl.Expr:
        if "col" in right and "lit" in left:
            return self._compare(_TURNED[str(op)], right, left)
        column = left.get("col")
        if column not in self.schema or "lit" not in right:
            return pl.lit(True)
        if right["lit"] is None:
            return pl.lit(False)  # a comparison with null is never true
        ends = self._ends(str(column))
        value = plain_value(right, self.schema[str(column)], exact=self.exact)
        if ends is None or value is None:
            return pl.lit(True)
        low, high = ends
        if f"partition.{column}" in self.known:
            return _CHECKS[str(op)](low, value).fill_null(False)  # no comparison holds for null
        if op in ("lt", "le"):
            return _or_unknown(low < value if op == "lt" else low <= value)
        above = high > value if op == "gt" else high >= value
        if self.schema[str(column)].is_float():
            above = above | ~pl.col("path").str.contains(OURS) if op != "eq" else above
        if op == "eq":
            return _or_unknown(low <= value) & _or_unknown(above)
        return _or_unknown(above)

    def _is_in(self, args: list[Node], options: Node) -> pl.Expr:
        values = args[1].get("list")
        if (
            values is None
            or len(values) > _LONG_LIST
            or (None in values and options["nulls_equal"])
        ):
            return pl.lit(True)
        single = {"type": args[1]["type"]}
        each = [self._compare("eq", args[0], {"lit": v, **single}) for v in values if v is not None]
        return pl.any_horizontal(pl.lit(False), *each)

    def _true(self, column: str, *, wanted: bool) -> pl.Expr:
        """Whether a boolean column may be true, or false, in a row."""
        ends = self._ends(column) if column in self.schema else None
        if ends is None or not isinstance(self.schema[column], pl.Boolean):
            return pl.lit(True)
        one = ends[1] if wanted else ~ends[0]
        return one.fill_null(f"partition.{column}" not in self.known)

    def _nulls(self, node: Node, *, wanted: bool) -> pl.Expr:
        column = f"partition.{node.get('col')}"
        if column in self.known:
            return pl.col(column).is_null() if wanted else pl.col(column).is_not_null()
        column = f"null_count.{node.get('col')}"
        if column not in self.known:
            return pl.lit(True)
        count = pl.col(column)
        return _or_unknown(count > 0 if wanted else count < pl.col("num_records"))

    def _ends(self, column: str) -> tuple[pl.Expr, pl.Expr] | None:
        if f"partition.{column}" in self.known:
            value = pl.col(f"partition.{column}").cast(self.schema[column])
            return value, value
        low, high = f"min.{column}", f"max.{column}"
        if low not in self.known or high not in self.known:
            return None
        top = pl.col(high)
        if isinstance(self.schema[column], pl.Datetime):
            top = top + _ROUNDED
        return pl.col(low), top


def plain_value(node: Node, dtype: pl.DataType, *, exact: bool = False) -> pl.Expr | None:
    """A literal as it compares with a column's statistics; None where that is not certain.

    An instant is put into the column's zone, since instants of two zones do not compare. Other
    engines write decimals' statistics as floats, so nothing is told by them if they are not exact.
    """
    value, kind = decode({"version": 1, "expr": node}), str(node["type"])
    if kind.startswith("decimal[") and not exact:
        return None
    if kind.startswith("datetime["):
        zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
        return None if zone is None else value.dt.convert_time_zone(zone)
    return value


def _or_unknown(expr: pl.Expr) -> pl.Expr:
    return expr.fill_null(True)
