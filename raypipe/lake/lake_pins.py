"""Which versions of its tables a lake must keep readable, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from raypipe.core.errors import ConfigError
from raypipe.core.times import utc_now
from raypipe.lake.options import TableOptions
from raypipe.lake.read.snapshot import Snapshot
from raypipe.lake.table import Table
from raypipe.lake.upkeep.pins import PINS, Lease, PinBook, checked_pins

if TYPE_CHECKING:
    from datetime import datetime

    from raypipe.lake.lake import Lake
    from raypipe.lake.upkeep.pin_state import Pin

Pinnable = Snapshot | tuple[str, int]
"""A snapshot, or the name of a table and a version."""


class LakePins:
    """The methods of a lake that keep versions readable."""

    def pin(
        self,
        what: Pinnable | Sequence[Pinnable],
        holder: str,
        until: datetime | None = None,
    ) -> Lease:
        """Keeps versions readable: no vacuum through raypipe takes a file that they need.

        The pins stand in the lake's table ``pins`` and outlive this process. All of them are
        written in one commit; to pin again what the same holder has pinned changes only ``until``.
        Vacuums of other engines know nothing of them.

        Args:
            what: a snapshot, a table's name with a version, or several of these.
            holder: who needs them; a vacuum's report names it.
            until: when the pins end by themselves (a naive time is UTC), which also ends those of a
                process that was killed; None: only when they are released.

        Returns:
            A handle that renews or releases the pins; as a context manager it releases them.

        Raises:
            ConfigError: an argument is not usable.
            TableNotFoundError: there is no such table.
            VersionNotFoundError: there is no such version, or a vacuum has taken files of it.
        """
        lake = cast("Lake", self)
        several = isinstance(what, Sequence) and not _is_pair(what)
        items: tuple[object, ...] = tuple(what) if several else (what,)  # type: ignore[arg-type]
        pins = checked_pins([_named(lake, one) for one in items], holder, until)
        self._pin_book.pin(pins)
        return Lease(self._pin_book, pins)

    def unpin(self, holder: str, what: Pinnable | None = None) -> int:
        """Ends a holder's pins: all of them, or those of one version of one table.

        Returns:
            How many pins ended.
        """
        named = None if what is None else _named(cast("Lake", self), what, exists=False)
        return self._pin_book.release(
            lambda pin: pin.holder == holder and named in (None, (pin.table, pin.version))
        )

    def pins(self) -> tuple[Pin, ...]:
        """The pins that count now, by table and version."""
        return self._pin_book.read()[0].alive(utc_now())

    @property
    def _pin_book(self) -> PinBook:
        options = TableOptions(properties={"delta.autoOptimize.autoCompact": "true"})
        return PinBook(Table(cast("Lake", self), PINS, options))


def _is_pair(what: object) -> bool:
    return (
        isinstance(what, tuple)
        and len(what) == 2
        and isinstance(what[0], str)
        and isinstance(what[1], int)
        and not isinstance(what[1], bool)
    )


def _named(lake: Lake, one: object, *, exists: bool = True) -> tuple[str, int]:
    if isinstance(one, Snapshot):
        if one.lake != lake:
            raise ConfigError(
                "a snapshot is pinned in its own lake, whose vacuums heed the pin",
                f"a snapshot of {one.lake.root}, and this is {lake.root}",
                "Call pin on snapshot.lake.",
                "what",
            )
        return one.table_name, one.version
    if isinstance(one, tuple) and _is_pair(one):
        name, version = one
        if exists:
            lake.table(name).at(version=version)
        return name, version
    raise ConfigError(
        "only a version of a table can be pinned",
        type(one).__name__,
        "Give a snapshot, or a table's name and a version.",
        "what",
    )
