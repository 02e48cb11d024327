"""What a write or a check came to, as plain values."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Commit:
    """One write: ``rows_in == rows + quarantined + dropped``.

    Attributes:
        table: the table's name.
        version: the table's version that holds the rows.
        rows: rows written to the table.
        quarantined: rows written to its quarantine table.
        dropped: rows left out by an expectation with ``on_fail="drop"``.
        rows_in: rows read.
        applied_before: the batch id had been committed before, nothing was written now, and the
            other figures are those of that first time (0 where its log entry was cleaned away).
        warned: rows that broke an expectation with ``on_fail="warn"`` and were written.
    """

    table: str
    version: int
    rows: int
    quarantined: int
    dropped: int
    rows_in: int
    applied_before: bool
    warned: int = 0

    def _repr_html_(self) -> str:
        names = ("table", "version", "rows_in", "rows", "quarantined", "dropped", "applied_before")
        return html_table(("", ""), [(name, getattr(self, name)) for name in names])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many rows broke one expectation."""

    name: str
    on_fail: str
    failed: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a write of this data would come to.

    Attributes:
        rows_in: rows read.
        rows: rows that would be written.
        quarantined: rows that would go to the quarantine table.
        dropped: rows that would be left out.
        outcomes: one for each expectation, in their order.
    """

    rows_in: int
    rows: int
    quarantined: int
    dropped: int
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether the write would be committed."""
        return not any(o.failed and o.on_fail == "fail" for o in self.outcomes)

    def _repr_html_(self) -> str:
        rows = [(o.name, o.on_fail, o.failed) for o in self.outcomes]
        return html_table(("expectation", "on_fail", f"of {self.rows_in} rows broken"), rows)


def html_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A plain HTML table; every cell is escaped."""

    def line(cells: Sequence[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
