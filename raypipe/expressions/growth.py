"""How long a text that an expression makes can be, by the texts that it reads.

Texts are all that an expression can make larger: a chain of ten that each join a text to itself a
hundred times would fill any memory. So a bound is known before a row is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import RecipeError
from raypipe.expressions.decode import children, root_node

if TYPE_CHECKING:
    from raypipe.expressions.values import Node

Growth = Mapping[Hashable, int]
"""How often each text may stand in one, by its name; under None, how many further characters."""

MAX_TIMES = 64
MAX_MORE = 100_000
_CASED = 3  # "ΐ" is one character, and three in upper case


def growth(data: Any, known: Mapping[str, Growth]) -> Growth:
    """What a stored expression makes of texts, at most.

    Args:
        data: a stored expression.
        known: of each column of texts that it reads.

    Raises:
        RecipeError: the expression is not valid; or a text in it could hold one that it reads more
            than 64 times, or 100,000 characters of its own.
    """
    return _growth(root_node(data), known)


def greatest(some: Iterable[Growth]) -> Growth:
    """Of each text the most of any."""
    found: dict[Hashable, int] = {}
    for one in some:
        for name, times in one.items():
            found[name] = max(times, found.get(name, 0))
    return found


def _growth(node: Node, known: Mapping[str, Growth]) -> Growth:
    if "col" in node:
        return known.get(node["col"], {})
    if "lit" in node:
        return {None: len(node["lit"])} if isinstance(node["lit"], str) else {}
    if "list" in node:
        return {}
    args = [_growth(child, known) for child in children(node)]
    if node["op"] == "concat_str":
        between = len(node["options"]["separator"]) * (len(args) - 1)
        return _bearable(_total([*args, {None: between}] if between else args))
    if node["op"] in ("to_lowercase", "to_uppercase"):
        return _bearable({name: _CASED * times for name, times in args[0].items()})
    return greatest(args)


def _total(some: Iterable[Growth]) -> Growth:
    found: dict[Hashable, int] = {}
    for one in some:
        for name, times in one.items():
            found[name] = times + found.get(name, 0)
    return found


def _bearable(found: Growth) -> Growth:
    for name, times in found.items():
        if times > (MAX_MORE if name is None else MAX_TIMES):
            raise RecipeError(
                "a text could grow out of bounds",
                f"one that it reads {times} times" if name is not None else f"{times} characters",
                f"Join one text at most {MAX_TIMES} times, and {MAX_MORE} characters of your own.",
                "expression",
            )
    return found
