"""Writing one Python function from checked parts, so that nothing foreign can become source.

Source is put together from templates that stand in this library's own files. What fills their gaps
is ``Code``: a name that the writer made (``v3``, ``k7``), or a piece made in the same way. A value
from a recipe (a column's name, a number, a table of categories) never becomes text: it is bound as
an object under a made name. Before anything is compiled, the syntax tree is checked once more
against the few forms, names and attributes that templates use.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINES = 20_000
_NAME = re.compile(r"[avkf][0-9]{1,9}", re.ASCII)
_ATTRIBUTES = {"year", "month", "day", "hour", "minute", "second", "isoweekday", "date"}
_ATTRIBUTES |= {"tzinfo", "fold", "isascii"}
_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.If, ast.Try,
    ast.ExceptHandler, ast.Raise, ast.Expr, ast.Name, ast.Constant, ast.Load, ast.Store,
    ast.Attribute, ast.Subscript, ast.Call, ast.Starred, ast.Tuple, ast.IfExp, ast.NamedExpr,
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop,
    ast.cmpop,
)  # fmt: skip


class Code:
    """A piece of source that a ``Writer`` made; there is no other way to get one."""

    __slots__ = ("_depth", "_text")

    def __init__(self, writer: Writer, text: str, depth: int) -> None:
        if not isinstance(writer, Writer):
            raise TypeError("only a writer makes code")
        self._text = text
        self._depth = depth

    @property
    def depth(self) -> int:
        """How deep pieces stand inside each other; 0 for a name."""
        return self._depth

    def __repr__(self) -> str:
        return f"Code({self._text})"


class Writer:
    """A function in the making: its lines, and the objects that they name."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._bound: dict[str, Any] = {}
        self._names: dict[int, Code] = {}
        self._count = 0
        self._arguments: list[str] = []

    def _new(self, kind: str) -> Code:
        self._count += 1
        return Code(self, f"{kind}{self._count}", 0)

    def argument(self) -> Code:
        """A new argument of the function."""
        made = self._new("a")
        self._arguments.append(made._text)
        return made

    def name(self) -> Code:
        """A new local name."""
        return self._new("v")

    def bind(self, value: Any) -> Code:
        """A name for an object, whatever it is; the same name for the same object."""
        found = self._names.get(id(value))
        if found is None:
            found = self._names[id(value)] = self._new("k")
            self._bound[found._text] = value  # keeps it alive, so its id stays its own
        return found

    def piece(self, template: str, *parts: Code, **named: Code) -> Code:
        """An expression: a template of this library with pieces in its gaps."""
        text = _filled(template, parts, named)
        depth = max((part.depth for part in (*parts, *named.values())), default=0)
        return Code(self, text, depth + 1)

    def joined(self, parts: list[Code]) -> Code:
        """Pieces with commas between them."""
        return Code(self, ", ".join(part._text for part in parts), 1)

    def line(self, template: str, *parts: Code, **named: Code) -> None:
        """Appends a line of the function; four spaces ahead put it into a block."""
        self._lines.append(_filled(template, parts, named))

    def settled(self, template: str, *parts: Code, **named: Code) -> Code:
        """A new local name that holds an expression's value."""
        made = self.name()
        self.line("{} = {}", made, self.piece(template, *parts, **named))
        return made

    @property
    def mark(self) -> int:
        """How many lines there are; ``cut`` takes what was written since."""
        return len(self._lines)

    def cut(self, mark: int) -> None:
        """Takes back the lines written since ``mark``; nothing later may use their names."""
        del self._lines[mark:]

    @property
    def large(self) -> bool:
        """Whether it has more lines than should be compiled."""
        return len(self._lines) > MAX_LINES

    def function(self, *last: tuple[str, tuple[Code, ...]]) -> Callable[..., Any]:
        """The function, compiled from its lines and ``last`` (templates with their parts).

        Raises:
            ValueError: the source holds what no template holds; that is a fault of this library.
        """
        lines = [*self._lines, *(_filled(template, parts, {}) for template, parts in last)]
        body = "\n    ".join(lines)
        tree = ast.parse(f"def f0({', '.join(self._arguments)}):\n    {body}\n")
        _check(tree)
        space: dict[str, Any] = {**self._bound, "__builtins__": {}}
        exec(compile(tree, "<row function>", "exec"), space)  # noqa: S102 - checked source of ours
        made: Callable[..., Any] = space["f0"]
        return made


def _filled(template: str, parts: tuple[Code, ...], named: dict[str, Code]) -> str:
    for part in (*parts, *named.values()):
        if type(part) is not Code:
            raise TypeError(f"a gap takes code, not {type(part).__name__}")
    texts = {name: part._text for name, part in named.items()}
    return template.format(*(part._text for part in parts), **texts)


def _check(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            raise ValueError(f"the source of a row holds a {type(node).__name__}")
        names = [getattr(node, key, None) for key in ("id", "arg", "name")]
        if any(name is not None and not _NAME.fullmatch(name) for name in names):
            raise ValueError("the source of a row holds a name that was not made for it")
        if isinstance(node, ast.Attribute) and node.attr not in _ATTRIBUTES:
            raise ValueError("the source of a row holds another attribute")
        if isinstance(node, ast.Constant) and not _plain(node.value):
            raise ValueError("the source of a row holds a value")


def _plain(value: object) -> bool:
    return value is None or (type(value) in (bool, float) and value in (0, 1))
