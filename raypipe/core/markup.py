"""HTML as notebooks show it: one plain table, whose cells are escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Markup(str):
    """Markup of our own, which is not escaped."""

    __slots__ = ()


def html_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A plain HTML table with a line of headings; every cell is escaped."""
    body = "".join(_line(row, "td") for row in rows)
    return f"<table><thead>{_line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def html_facts(facts: Mapping[str, object], caption: str = "") -> str:
    """A plain HTML table with a heading and a value on each line; all of it is escaped."""
    body = "".join(
        f"<tr>{_cell(name, 'th')}{_cell(value, 'td')}</tr>" for name, value in facts.items()
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{body}</table>"


def _line(cells: Iterable[object], tag: str) -> str:
    return f"<tr>{''.join(_cell(cell, tag) for cell in cells)}</tr>"


def _cell(cell: object, tag: str) -> str:
    return f"<{tag}>{cell if isinstance(cell, Markup) else html.escape(str(cell))}</{tag}>"
