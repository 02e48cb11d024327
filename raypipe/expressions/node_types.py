"""The types of an expression's nodes, asked of polars node by node.

A node's type follows from those of its arguments. So each node is asked once, with columns of the
arguments' types in their place, and never with all that stands below it: the time is that of the
number of nodes, however deep they stand in each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions.decode import build, children
from raypipe.expressions.ops import OPS
from raypipe.expressions.values import list_literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.expressions.values import Node


class Types:
    """What polars says of the nodes of one expression.

    Args:
        columns: the polars type of each column that it reads.
    """

    def __init__(self, columns: Mapping[str, pl.DataType]) -> None:
        self._columns = columns
        # With the node itself, which so stays what its id stands for.
        self._types: dict[int, tuple[Node, pl.DataType]] = {}
        self._reads: dict[int, tuple[Node, bool]] = {}

    def reads(self, node: Node) -> bool:
        """Whether a node reads a column; all others are constants."""
        known = self._reads.get(id(node))
        if known is None:
            found = "col" in node or any(map(self.reads, children(node)))
            known = self._reads[id(node)] = (node, found)
        return known[1]

    def of(self, node: Node) -> pl.DataType:
        """The type of a node.

        Raises:
            PolarsError: polars refuses the types of its arguments.
        """
        known = self._types.get(id(node))
        if known is None:
            known = self._types[id(node)] = (node, self._asked(node))
        return known[1]

    def _asked(self, node: Node) -> pl.DataType:
        if "col" in node:
            return self._columns[node["col"]]
        if not self.reads(node):
            return _type(build(node), {})
        args = node["args"]
        if all(map(self.reads, args)):
            options = tuple(sorted(node["options"].items()))
            return _of_columns(node["op"], options, tuple(map(self.of, args)))
        types = {f"#{at}": self.of(arg) for at, arg in enumerate(args) if self.reads(arg)}
        parts = [
            pl.col(f"#{at}") if self.reads(arg) else _constant(arg) for at, arg in enumerate(args)
        ]
        return _type(OPS[node["op"]].build(*parts, **node["options"]), types)


def _constant(node: Node) -> pl.Expr:
    return list_literal(node) if "list" in node else build(node)


@lru_cache(maxsize=1_000)
def _of_columns(
    name: str, options: tuple[tuple[str, Any], ...], types: tuple[pl.DataType, ...]
) -> pl.DataType:
    columns = [f"#{at}" for at in range(len(types))]
    made = OPS[name].build(*map(pl.col, columns), **dict(options))
    return _type(made, dict(zip(columns, types, strict=True)))


def _type(expr: pl.Expr, types: Mapping[str, pl.DataType]) -> pl.DataType:
    return pl.LazyFrame(schema=dict(types)).select(expr.alias("#")).collect_schema()["#"]
