"""The ``pins`` table: what a vacuum must leave alone, and for whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import (
    CommitConflictError,
    ConfigError,
    LakeError,
    TableNotFoundError,
    VersionNotFoundError,
)
from raypipe.core.times import utc_now
from raypipe.lake.upkeep.pin_state import (
    PINNED,
    RELEASED,
    Pin,
    PinEvent,
    PinState,
    fold,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from raypipe.lake.table import Table

PINS = "pins"
_ATTEMPTS = 50
_SCHEMA: dict[str, Any] = {
    "seq": pl.Int64,
    "at": pl.Datetime("us"),
    "kind": pl.String,
    "table": pl.String,
    "version": pl.Int64,
    "holder": pl.String,
    "until": pl.Datetime("us"),
    "gone": pl.String,
}


class PinBook:
    """Reads and writes the pins of a lake. Safe in any number of processes."""

    def __init__(self, table: Table) -> None:
        """Made by ``Lake``."""
        self._table = table

    def __reduce__(self) -> tuple[Any, ...]:
        return (PinBook, (self._table,))

    def read(self) -> tuple[PinState, int]:
        """The state, and the version of the table that it was read from (-1: there is none).

        Raises:
            LakeError: the table of this name holds other things.
        """
        try:
            revision = self._table.version()
        except TableNotFoundError:
            return PinState(), -1
        frame = self._table.at(revision).frame()
        if frame.columns != list(_SCHEMA):
            raise LakeError(
                f"the table {PINS!r} of this lake does not hold pins",
                f"columns {frame.columns}",
                "That name is raypipe's own; keep other rows in another table.",
            )
        rows = frame.sort("seq", maintain_order=True).iter_rows(named=True)
        return fold(PinEvent.from_row(row) for row in rows), revision

    def record(self, decide: Callable[[PinState], Sequence[PinEvent]]) -> None:
        """Commits what ``decide`` makes of the present state; decides again after a conflict.

        Raises:
            CommitConflictError: others came first many times.
        """
        for _ in range(_ATTEMPTS):
            state, revision = self.read()
            events = decide(state)
            if not events or self.append(events, revision):
                return
        raise CommitConflictError(
            f"the table {PINS!r} changed under every attempt", f"{_ATTEMPTS} attempts", "Try again."
        )

    def append(self, events: Sequence[PinEvent], revision: int) -> bool:
        """Commits events if the table is still at a version; whether it was."""
        now = utc_now()
        rows = [{"seq": revision + 1, "at": now, **event.to_row()} for event in events]
        frame = pl.DataFrame(rows, schema=_SCHEMA)
        try:
            self._table.append(frame, if_version=revision, run_on="local")
        except CommitConflictError:
            return False
        return True

    def pin(self, pins: Sequence[Pin]) -> None:
        """Writes pins down; one that stands there already costs nothing.

        Raises:
            VersionNotFoundError: a vacuum has taken files of a version that nobody had pinned.
        """

        def decide(state: PinState) -> list[PinEvent]:
            now = utc_now()
            held = {(p.table, p.version) for p in state.alive(now)}
            for pin in pins:
                if state.is_gone(pin.table, pin.version) and (pin.table, pin.version) not in held:
                    raise vacuumed(pin.table, pin.version)
            return [
                PinEvent(PINNED, p.table, p.version, p.holder, p.until)
                for p in pins
                if (known := state.pins.get((p.table, p.version, p.holder))) is None
                or known.until != p.until
            ]

        self.record(decide)

    def release(self, chosen: Callable[[Pin], bool]) -> int:
        """Ends pins; how many there were."""
        count = 0

        def decide(state: PinState) -> list[PinEvent]:
            nonlocal count
            found = [pin for pin in state.pins.values() if chosen(pin)]
            count = len(found)
            return [PinEvent(RELEASED, p.table, p.version, p.holder) for p in found]

        self.record(decide)
        return count


class Lease:
    """Versions pinned for one holder; as a context manager it releases them at its end.

    A process that is killed releases nothing: then the pins end at their time.

    Attributes:
        pins: the pins, as they were written down last.
    """

    def __init__(self, book: PinBook, pins: Iterable[Pin]) -> None:
        """Made by ``Lake.pin``."""
        self._book = book
        self.pins = tuple(pins)

    def renew(self, until: datetime | None) -> None:
        """Makes the pins last until another time; None: until they are released.

        Raises:
            VersionNotFoundError: they had ended, and a vacuum took files of a version.
        """
        pins = tuple(Pin(p.table, p.version, p.holder, _naive(until)) for p in self.pins)
        self._book.pin(pins)
        self.pins = pins

    def release(self) -> None:
        """Ends the pins; a second time it does nothing."""
        keys = {(p.table, p.version, p.holder) for p in self.pins}
        self._book.release(lambda p: (p.table, p.version, p.holder) in keys)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"Lease({list(self.pins)})"


def checked_pins(what: Sequence[tuple[str, int]], holder: object, until: object) -> tuple[Pin, ...]:
    """The pins that a caller asks for.

    Raises:
        ConfigError: the holder is no name, ``until`` no time, or nothing is pinned.
    """
    if not isinstance(holder, str) or not 0 < len(holder) <= 500:
        raise ConfigError("a holder is a string of 1 to 500 characters", holder, None, "holder")
    if until is not None and not isinstance(until, datetime):
        raise ConfigError("until is a datetime or None", until, "Naive ones are UTC.", "until")
    if not what:
        raise ConfigError("nothing is pinned", what, "Give a snapshot, or name and version.")
    return tuple(Pin(table, version, holder, _naive(until)) for table, version in what)


def vacuumed(table: str, version: int) -> VersionNotFoundError:
    """The error for a version whose files a vacuum took."""
    return VersionNotFoundError(
        f"files of version {version} of table {table!r} were vacuumed away",
        version,
        "Read a newer version; pin those that must stay (Lake.pin).",
        "version",
    )


def _naive(when: datetime | None) -> datetime | None:
    if when is None or when.tzinfo is None:
        return when
    return when.astimezone(UTC).replace(tzinfo=None)
