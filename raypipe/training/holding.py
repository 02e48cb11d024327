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
def held(lake: Lake, snapshots: Sequence[Snapshot | None], run_id: str) -> Iterator[None]:
    """Pins the snapshots' versions and renews the pins until the block ends.

    Raises:
        VersionNotFoundError: a vacuum has taken files of one.
    """
    wanted = [snapshot for snapshot in snapshots if snapshot is not None]
    lease = lake.pin(wanted, f"training {run_id}", utc_now() + LEASE)
    stop = threading.Event()
    thread = threading.Thread(target=_renew, args=(lease, stop), name="training-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _extend(lease, AFTERWARDS)


def _renew(lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(LEASE.total_seconds() / 4):
        _extend(lease, LEASE)


def _extend(lease: Lease, duration: timedelta) -> None:
    try:
        lease.renew(utc_now() + duration)
    except (RaypipeError, OSError) as error:  # the training itself needs no pin to go on
        _logger.warning("the pins of a training could not be renewed: %s", error)
