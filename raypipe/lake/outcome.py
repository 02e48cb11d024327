"""What a write or a check came to, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.markup import Markup, html_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one expectation came to.

    Attributes:
        name: the expectation.
        on_fail: what happens when it is broken.
        failed: rows that broke it; of one about the batch as a whole 1 when it was broken, else 0.
        rows: rows that were judged by it.
        value: what a figure came to; None for other kinds, and for a figure that there is not.
        low: the least value allowed; None is open.
        high: the greatest.
        note: why a figure is out of its bounds.
        whole: whether it is about the batch as a whole.
    """

    name: str
    on_fail: str
    failed: int
    rows: int = 0
    value: Any = None
    low: Any = None
    high: Any = None
    note: str = ""
    whole: bool = False

    def __repr__(self) -> str:
        told = _told(self) + (f": {self.note}" if self.note else "")
        return f"Outcome({self.name!r}, {self.on_fail}, {_state(self)}, {told})"

    @property
    def share(self) -> float:
        """Rows that broke it, of those judged: 0 to 1."""
        if self.whole:
            return float(self.failed)
        return self.failed / self.rows if self.rows else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, as a commit keeps it; ``of_json`` gives the outcome back."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | {name: _plain(getattr(self, name)) for name in ("value", "low", "high")}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Outcome:
        """The outcome that a commit keeps; times and dates come back as text."""
        return cls(**{name: data[name] for name in (*_PLAIN, "value", "low", "high")})


_PLAIN = ("name", "on_fail", "failed", "rows", "note", "whole")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@dataclass(frozen=True, slots=True)
class Report:
    """What a write came to, or what a write of this data would come to.

    Attributes:
        rows_in: rows read.
        rows: rows that are written.
        quarantined: rows that go to the quarantine table.
        dropped: rows that are left out.
        outcomes: one for each expectation, in their order.
    """

    rows_in: int
    rows: int
    quarantined: int
    dropped: int
    outcomes: tuple[Outcome, ...]

    def __repr__(self) -> str:
        facts = f"{self.rows_in} rows in, {self.rows} kept, {self.quarantined} quarantined, "
        return f"Report({facts}{self.dropped} dropped{_broken(self.outcomes)})"

    @property
    def ok(self) -> bool:
        """Whether the write would be committed."""
        return not any(o.failed and o.on_fail == "fail" for o in self.outcomes)

    def outcome(self, name: str) -> Outcome:
        """The outcome of one expectation.

        Raises:
            ConfigError: there is no expectation of this name.
        """
        for one in self.outcomes:
            if one.name == name:
                return one
        names = [one.name for one in self.outcomes]
        raise ConfigError("the report has no such expectation", name, f"It has {names}.", "name")

    def _repr_html_(self) -> str:
        facts = f"{self.rows_in} rows in, {self.rows} kept, {self.quarantined} quarantined, "
        rows = [(o.name, o.on_fail, _state(o), _told(o), _bar(o)) for o in self.outcomes]
        head = ("expectation", "on_fail", "", "rows broken, or figure", "share")
        return f"{html_table(head, rows)}<p>{facts}{self.dropped} dropped</p>"


def _state(one: Outcome) -> str:
    return "broken" if one.failed else "holds"


def _broken(outcomes: Sequence[Outcome]) -> str:
    """The expectations that do not hold, each on a line; one line for those that do."""
    broken = [one for one in outcomes if one.failed]
    hold = len(outcomes) - len(broken)
    lines = [f"\n  {one.name}, {one.on_fail}: {_told(one)}" for one in broken]
    return (
        "".join(lines)
        + (f"\n  {hold} other expectations hold" if hold and broken else "")
        + (f", {hold} expectations hold" if hold and not broken else "")
    )


def _told(one: Outcome) -> str:
    if not one.whole:
        return f"{one.failed} of {one.rows}"
    value = f"{one.value:g}" if isinstance(one.value, float) else one.value
    ends = ", ".join("…" if end is None else str(end) for end in (one.low, one.high))
    return f"{'none' if value is None else value} in [{ends}]"


def _bar(one: Outcome) -> Markup:
    """A share as a bar that any notebook draws, with its number for who does not see it."""
    share = one.share
    colour = "#c0392b" if one.on_fail == "fail" else "#e0a030"
    shown = f"{share:.2%}" if not one.whole else ("broken" if one.failed else "holds")
    # A share that is not nothing can be seen.
    width = 0.0 if not share else max(2.0, 100 * share)
    return Markup(
        '<div style="width:100px;background:#ddd;height:0.8em" role="img" '
        f'aria-label="{shown}" title="{shown}">'
        f'<div style="width:{width:.1f}px;background:{colour};height:100%"></div></div>'
    )


@dataclass(frozen=True, slots=True)
class Commit:
    """One write.

    Of an append or an overwrite ``rows_in == rows + quarantined + dropped``. Of a merge ``rows``
    are those inserted and updated; tombstones and rows that are too old are in ``rows_in`` alone.

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
        outcomes: what each expectation came to, in their order.
        ran_on: where the parts ran, ``"local"`` or ``"ray"``; None where that was not noted.
        inserted: of a merge: rows that the table did not have.
        updated: of a merge or an update: rows of the table that changed.
        deleted: of a merge, a delete or an overwrite of some rows: rows that went.
        how: how a merge was carried out, ``"rewrite"`` or ``"deltalake"``; otherwise empty.
    """

    table: str
    version: int
    rows: int
    quarantined: int
    dropped: int
    rows_in: int
    applied_before: bool
    warned: int = 0
    outcomes: tuple[Outcome, ...] = ()
    ran_on: str | None = None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    how: str = ""

    def __repr__(self) -> str:
        if self.applied_before:
            facts = [f"applied before: {self.rows} rows"]
        else:
            facts = [f"{self.rows} of {self.rows_in} rows" if self.rows_in else f"{self.rows} rows"]
        names = ("inserted", "updated", "deleted", "quarantined", "dropped", "warned")
        facts += [f"{getattr(self, name)} {name}" for name in names if getattr(self, name)]
        return f"Commit({self.table!r}, version {self.version}, {', '.join(facts)})"

    @property
    def report(self) -> Report:
        """The same figures as a report on the expectations."""
        return Report(self.rows_in, self.rows, self.quarantined, self.dropped, self.outcomes)

    def _repr_html_(self) -> str:
        names = ["table", "version", "rows_in", "rows", "quarantined", "dropped", "applied_before"]
        names += [name for name in ("inserted", "updated", "deleted", "how") if getattr(self, name)]
        shown = [(name, getattr(self, name)) for name in (*names, "ran_on")]
        facts = html_table(("", ""), shown)
        return facts + (self.report._repr_html_() if self.outcomes else "")
