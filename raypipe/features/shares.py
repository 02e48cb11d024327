"""What a fit looks at in one reading of the rows: all columns at once, or some after the others.

What is learned of a column or by a step does not depend on what is learned beside it, so the bits
are the same either way. Under a memory budget the columns of a reading are so few that their
pieces and states fit; each column is read once still, but for what several steps read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError
from raypipe.features.cuts import AT_ONCE, PIECE_BYTES, Cuttable
from raypipe.features.spread import MOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.features.cuts import Data
    from raypipe.features.plan import Step

_STATE_BYTES = 4 * MOST * 40  # cells of a column in all states of a tree of merges, 40 bytes each
_CELL_BYTES = 32  # a value as it is stored, read, cast and coded
_ROW_BYTES = 64  # the label, and what is made anew for each column


@dataclass(slots=True)
class Share:
    """What one reading is for.

    Attributes:
        inputs: the raw columns whose profile is made.
        ready: the steps to fit.
        checked: numbers of steps that are known, and are applied since they may refuse a value.
    """

    inputs: list[str] = field(default_factory=list)
    ready: list[Step] = field(default_factory=list)
    checked: list[int] = field(default_factory=list)


def shares(
    inputs: Mapping[str, set[str]],
    ready: Sequence[tuple[Step, set[str]]],
    checked: Mapping[int, set[str]],
    most: int | None,
) -> list[Share]:
    """Lays columns and steps out over readings, in their order: a pure decision.

    Args:
        inputs: by name the raw columns that a profile needs: its own.
        ready: the steps to fit, with the raw columns that each needs.
        checked: the same of known steps that may refuse a value.
        most: raw columns and steps of a reading, but for a step that needs more by itself; None
            for a single reading.
    """
    if most is None:
        return [Share(list(inputs), [step for step, _ in ready], list(checked))]
    found: list[Share] = []
    columns: set[str] = set()
    steps = 0

    def share(wanted: set[str], states: int) -> Share:
        nonlocal columns, steps
        if not found or len(columns | wanted) + steps + states > most:
            found.append(Share())
            columns, steps = set(), 0
        columns |= wanted
        steps += states
        return found[-1]

    for name, wanted in inputs.items():
        share(wanted, 0).inputs.append(name)
    for step, wanted in ready:
        share(wanted, 1).ready.append(step)
    for number, wanted in checked.items():
        share(wanted, 0).checked.append(number)
    return found or [Share()]


def most_columns(data: Data, budget: int | None) -> int | None:
    """How many columns a reading may have under a budget; None without one.

    Args:
        data: the rows.
        budget: bytes of memory.

    Raises:
        ConfigError: it cannot hold one column of one piece of the rows.
    """
    if budget is None or not isinstance(data, Cuttable):
        return None
    pieces = data.pieces(PIECE_BYTES)
    rows = max((min(one.rows, AT_ONCE) if _plain(one) else one.rows for one in pieces), default=0)
    shared, each = rows * _ROW_BYTES, rows * _CELL_BYTES + _STATE_BYTES
    if shared + each > budget:
        raise ConfigError(
            "the memory budget cannot hold a column of a piece of the table, to fit the recipe",
            f"{budget} bytes, {rows} rows in the largest piece",
            f"Give at least {shared + each} bytes, or write smaller files.",
            "memory_budget",
        )
    return max(1, (budget // 2 - shared) // each)


def _plain(piece: object) -> bool:
    return bool(getattr(piece, "plain", False))
