"""Which files hold nothing but rows of a filter, from the log's statistics alone.

The counterpart of ``prune``, and wrong in the other way at most: a file all of whose rows pass may
be left out. Statistics need only be bounds here, never the exact ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from raypipe.lake.log.prune import OURS, plain_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.log.prune import Node

_TURNED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
_DENIED = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq",
           "is_null": "is_not_null", "is_not_null": "is_null",
           "and": "or", "or": "and"}  # fmt: skip
_LONG_LIST = 200
_ROUNDED = timedelta(milliseconds=1)


def all_match(where: Node, files: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """A boolean expression over the log's table of files; never null.

    Args:
        where: an encoded row-wise expression.
        files: the log's files with flattened statistics.
        schema: the table's columns.
    """
    return _Certain(frozenset(files.columns), schema).all(where["expr"], denied=False)


@dataclass(frozen=True, slots=True)
class _Certain:
    known: frozenset[str]
    schema: Mapping[str, pl.DataType]

    def all(self, node: Node, *, denied: bool) -> pl.Expr:
        op, args = node.get("op"), node.get("args", [])
        if "col" in node:
            return self._true(str(node["col"]), wanted=not denied)
        if op == "not":
            return self.all(args[0], denied=not denied)
        if op is None or (denied and op not in _DENIED):
            return pl.lit(False)
        name = _DENIED[op] if denied else op
        if name in ("and", "or"):
            sides = [self.all(arg, denied=denied) for arg in args]
            return pl.all_horizontal(sides) if name == "and" else pl.any_horizontal(sides)
        if name in ("is_null", "is_not_null"):
            return self._nulls(args[0].get("col"), wanted=name == "is_null")
        if name == "is_between":
            closed = node["options"]["closed"]
            low = "ge" if closed in ("both", "left") else "gt"
            high = "le" if closed in ("both", "right") else "lt"
            return self._compare(low, args[0], args[1]) & self._compare(high, args[0], args[2])
        if name == "is_in":
            return self._is_in(args)
        return self._compare(name, *args) if name in _TURNED else pl.lit(False)

    def _compare(self, op: str, left: Node, right: Node) -> pl.Expr:
        if "col" in right and "lit" in left:
            return self._compare(_TURNED[op], right, left)
        column = left.get("col")
        if column not in self.schema or right.get("lit") is None:
            return pl.lit(False)
        ends, value = self._ends(str(column)), plain_value(right, self.schema[str(column)])
        if ends is None or value is None:
            return pl.lit(False)
        low, high = ends
        holds = {
            "lt": high < value,
            "le": high <= value,
            "gt": low > value,
            "ge": low >= value,
            "eq": (low == value) & (high == value),
            "ne": (low > value) | (high < value),
        }[op]
        full = self._nulls(column, wanted=False)
        if self.schema[str(column)].is_float():  # NaN is in no statistics of other engines
            full = full & pl.col("path").str.contains(OURS)
        return holds.fill_null(False) & full

    def _is_in(self, args: list[Node]) -> pl.Expr:
        values = args[1].get("list")
        if values is None or len(values) > _LONG_LIST:
            return pl.lit(False)
        single = {"type": args[1]["type"]}
        each = [self._compare("eq", args[0], {"lit": v, **single}) for v in values if v is not None]
        return pl.any_horizontal(pl.lit(False), *each)

    def _true(self, column: str, *, wanted: bool) -> pl.Expr:
        """Whether a boolean column is true, or false, in every row."""
        ends = self._ends(column) if column in self.schema else None
        if ends is None or not isinstance(self.schema[column], pl.Boolean):
            return pl.lit(False)
        one = ends[0] if wanted else ~ends[1]
        return one.fill_null(False) & self._nulls(column, wanted=False)

    def _nulls(self, column: object, *, wanted: bool) -> pl.Expr:
        if f"partition.{column}" in self.known:
            value = pl.col(f"partition.{column}")
            return value.is_null() if wanted else value.is_not_null()
        if f"null_count.{column}" not in self.known:
            return pl.lit(False)
        count = pl.col(f"null_count.{column}")
        return (count == (pl.col("num_records") if wanted else 0)).fill_null(False)

    def _ends(self, column: str) -> tuple[pl.Expr, pl.Expr] | None:
        if f"partition.{column}" in self.known:
            value = pl.col(f"partition.{column}")
            return value, value
        if f"min.{column}" not in self.known or f"max.{column}" not in self.known:
            return None
        top = pl.col(f"max.{column}")
        if isinstance(self.schema[column], pl.Datetime):
            top = top + _ROUNDED  # other engines cut a time's statistics to milliseconds
        return pl.col(f"min.{column}"), top
