"""While a model is trained, the versions that it reads are pinned: no vacuum takes their files."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from raypipe.core.errors import RaypipeError
from raypipe.core.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raypipe.lake import Lake, Snapshot
    from raypipe.lake.upkeep.pins import Lease

LEASE = timedelta(hours=1)
"""How long the pins outlive a driver that was killed."""

AFTERWARDS = timedelta(days=1)
"""How long they last after the training, for a register or another fit."""

_logger = logging.getLogger(__name__)


@contextmanager
def held(snapshots: Sequence[Snapshot | None], run_id: str) -> Iterator[None]:
    """Pins the snapshots' versions, each in its lake, and renews the pins until the block ends.

    Raises:
        VersionNotFoundError: a vacuum has taken files of one.
    """
    wanted: dict[Lake, list[Snapshot]] = {}
    for snapshot in snapshots:
        if snapshot is not None:
            wanted.setdefault(snapshot.lake, []).append(snapshot)
    until = utc_now() + LEASE
    leases = [lake.pin(some, f"training {run_id}", until) for lake, some in wanted.items()]
    stop = threading.Event()
    thread = threading.Thread(
        target=_renew, args=(leases, stop), name="training-lease", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _extend(leases, AFTERWARDS)


def _renew(leases: Sequence[Lease], stop: threading.Event) -> None:
    while not stop.wait(LEASE.total_seconds() / 4):
        _extend(leases, LEASE)


def _extend(leases: Sequence[Lease], duration: timedelta) -> None:
    for lease in leases:
        try:
            lease.renew(utc_now() + duration)
        except (RaypipeError, OSError) as error:  # the training itself needs no pin to go on
            _logger.warning("the pins of a training could not be renewed: %s", error)
