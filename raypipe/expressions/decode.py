"""From the JSON form to a polars expression. Checks everything and evaluates nothing foreign."""

from __future__ import annotations

from typing import Any

import polars as pl

from raypipe.expressions.ops import MAX_DEPTH, MAX_NODES, OPS, VERSION, is_text
from raypipe.expressions.values import Node, bad, list_literal, literal


def decode(data: Any) -> pl.Expr:
    """The expression that ``encode`` wrote.

    The JSON may come from a stranger: only the operations of this package are built, every option
    and value is checked, and depth (100), nodes (10,000) and lengths are bounded.

    Args:
        data: what ``encode`` returned, perhaps after a trip through text.

    Returns:
        An expression whose ``encode`` is ``data`` again.

    Raises:
        RecipeError: anything in it is unknown, of a wrong type or out of bounds.
    """
    return build(root_node(data))


def root_columns(data: Any) -> tuple[str, ...]:
    """The columns that a stored expression reads, each once, in the order of first mention.

    Raises:
        RecipeError: the expression is not valid.
    """
    found: dict[str, None] = {}
    _collect(root_node(data), found)
    return tuple(found)


def node_count(data: Any) -> int:
    """How many columns, values and operations a stored expression has.

    Raises:
        RecipeError: the expression is not valid.
    """
    budget = [MAX_NODES]
    _check(root_node(data), MAX_DEPTH, budget)
    return MAX_NODES - budget[0]


def root_node(data: Any) -> Node:
    """The checked tree inside a stored expression.

    Raises:
        RecipeError: anything in it is unknown, of a wrong type or out of bounds.
    """
    if not isinstance(data, dict) or set(data) != {"version", "expr"}:
        raise bad("it needs exactly the keys version and expr")
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise bad(f"its version is not {VERSION}", data["version"])
    _check(data["expr"], MAX_DEPTH, [MAX_NODES])
    node: Node = data["expr"]
    return node


def build(node: Node) -> pl.Expr:
    """The polars expression of a checked node."""
    if "col" in node:
        return pl.col(node["col"])
    if "lit" in node:
        return literal(node)
    if "list" in node:
        return list_literal(node)
    return OPS[node["op"]].build(*map(build, node["args"]), **node["options"])


def children(node: Node) -> list[Node]:
    """The nodes below a checked node."""
    found: list[Node] = node.get("args", [])
    return found


def _collect(node: Node, found: dict[str, None]) -> None:
    if "col" in node:
        found[node["col"]] = None
    for child in children(node):
        _collect(child, found)


def _check(node: Any, depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if depth <= 0 or budget[0] < 0:
        raise bad(f"it is deeper than {MAX_DEPTH} or larger than {MAX_NODES} nodes")
    if not isinstance(node, dict):
        raise bad("a node is not an object", node)
    if "col" in node:
        check_column(node)
    elif "lit" in node:
        literal(node)
    elif "op" in node:
        _check_op(node, depth, budget)
    else:
        raise bad("a node is neither a column, a value nor an operation", sorted(map(str, node)))


def check_column(node: Node) -> None:
    """Refuses a column node that polars would read as a pattern or that has no name.

    Raises:
        RecipeError: the name is not a plain text.
    """
    name = node["col"]
    if set(node) != {"col"} or not is_text(name) or not name:
        raise bad("a column has no plain name", name)
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        raise bad("a column's name is a pattern", name)


def _check_op(node: Node, depth: int, budget: list[int]) -> None:
    if set(node) != {"op", "args", "options"}:
        raise bad("an operation has other keys than op, args, options", sorted(map(str, node)))
    name, args, options = node["op"], node["args"], node["options"]
    if not isinstance(name, str) or name not in OPS:
        raise bad("an operation is unknown", name)
    op = OPS[name]
    if not isinstance(args, list) or not op.least <= len(args) <= op.most:
        raise bad(f"{name} has a wrong number of arguments")
    if not isinstance(options, dict) or set(options) != set(op.options):
        raise bad(f"{name} needs the options {sorted(op.options)}")
    for option, allowed in op.options.items():
        if not allowed(options[option]):
            raise bad(f"the option {option} of {name} is out of bounds", options[option])
    if name == "clip" and len(args) != 1 + options["low"] + options["high"]:
        raise bad("clip has a wrong number of bounds")
    if name == "is_in":
        _check(args[0], depth - 1, budget)
        if not isinstance(args[1], dict) or "list" not in args[1]:
            raise bad("is_in needs a list of plain values")
        list_literal(args[1])
        return
    for arg in args:
        _check(arg, depth - 1, budget)
