"""What a search for leaks found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raypipe.core.errors import RecipeError
from raypipe.core.markup import html_table

Kind = Literal["later", "not known", "copy", "too good", "ahead"]


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that a model should not see, or not before somebody has looked at it.

    Attributes:
        column: the column.
        kind: ``"later"``: its time is after the row's; ``"not known"``: its value is not the one
            that was known at the row's time; ``"copy"``: it is the label, or its opposite;
            ``"too good"``: alone it predicts the label better than features do; ``"ahead"``: it
            goes with the label of its key's next row more than with that of its own.
        certain: whether the column surely leaks; otherwise somebody should look at it.
        rows: rows in which it does, or on which it was judged.
        of: rows that were looked at.
        value: the figure that was judged, if there is one.
        bound: what the figure surely is at least.
        told: what was found, in a sentence.
    """

    column: str
    kind: Kind
    certain: bool
    rows: int
    of: int
    value: float | None
    bound: float | None
    told: str


@dataclass(frozen=True, slots=True)
class LeakReport:
    """The leaks of some rows, the certain ones first, and what was looked at.

    Attributes:
        leaks: what was found.
        columns: the columns that were judged.
        rows: the rows that were judged.
        false_alarm: the chance, at most, that ``"too good"`` names any column that is not.
        notes: what could not be judged, and why.
    """

    leaks: tuple[Leak, ...]
    columns: tuple[str, ...]
    rows: int
    false_alarm: float
    notes: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """The columns with a leak, each once."""
        return tuple(dict.fromkeys(one.column for one in self.leaks))

    def check(self, *, suspects: bool = True) -> None:
        """Refuses what leaks.

        Args:
            suspects: whether a column that only looks like a leak is refused, too.

        Raises:
            RecipeError: there is such a column; ``field`` names the first.
        """
        found = [one for one in self.leaks if suspects or one.certain]
        if found:
            raise RecipeError(
                f"{len({one.column for one in found})} columns leak",
                "; ".join(one.told for one in found[:5]),
                "Leave them out, or join them with point_in_time.",
                found[0].column,
            )

    def __repr__(self) -> str:
        head = f"LeakReport({len(self.leaks)} in {len(self.columns)} columns, {self.rows:,} rows)"
        lines = [f"  {'leak' if one.certain else 'suspect'}: {one.told}" for one in self.leaks]
        return "\n".join([head, *lines, *(f"  note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = [
            (one.column, one.kind, "certain" if one.certain else "to be looked at", one.told)
            for one in self.leaks
        ]
        notes = [("", "", "note", note) for note in self.notes]
        none = [("none found", "", "", "")] if not rows else []
        return html_table(("column", "leak", "", "what was found"), [*none, *rows, *notes])
