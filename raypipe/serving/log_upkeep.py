"""Keeps the prediction log in shape while it is written, away from the requests.

Each commit of the log is one small file. Every so many commits the replica that made the last one
asks for a clean-up and goes on; a worker of the cluster does it, in a process of its own, beside
the writers. No row is lost, doubled or moved: readers see the same predictions in the same order.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import RaypipeError
from raypipe.serving.log_table import table_name

if TYPE_CHECKING:
    from raypipe.lake import Lake

COMPACT_EVERY = 100
"""Commits of the log between two compactions."""

VACUUM_EVERY = 2000
"""Commits between two clean-ups of files that no version of the last days needs."""

_logger = logging.getLogger("ray.serve")


def tasks(version: int) -> tuple[bool, bool]:
    """Whether a commit is followed by a compaction, and whether by a vacuum as well.

    Of all replicas just one made a version, so just one asks.
    """
    return version > 0 and version % COMPACT_EVERY == 0, version > 0 and version % VACUUM_EVERY == 0


def tend(lake: Lake, model: str, *, vacuum: bool) -> None:
    """Compacts the log, and removes what nobody needs any more; a failure is logged only."""
    table = lake.table(table_name(model))
    try:
        table.tidy()
        if vacuum:
            table.vacuum(log=True)
    except (RaypipeError, OSError) as error:
        _logger.warning("the prediction log of %s was not tended: %s", model, error)


class LogUpkeep:
    """Asks for the upkeep of one model's log; never waits for it."""

    def __init__(self, lake: Lake, model: str) -> None:
        self._lake = lake
        self._model = model
        self._task: Any = None
        self._thread: threading.Thread | None = None

    def after_commit(self, version: int) -> None:
        """Starts the upkeep that is due after a version, if none is under way."""
        compact, vacuum = tasks(version)
        if not compact or self._busy():
            return
        try:
            import ray

            if ray.is_initialized():
                # In another process: this one's interpreter belongs to the requests.
                remote = ray.remote(num_cpus=0, max_retries=0)(tend)
                self._task = remote.remote(self._lake, self._model, vacuum=vacuum)
                return
        except Exception as error:  # noqa: BLE001 - a row that was logged must not fail by this
            _logger.warning("the upkeep of %s was not started: %s", self._model, error)
            return
        self._thread = threading.Thread(
            target=tend,
            args=(self._lake, self._model),
            kwargs={"vacuum": vacuum},
            name="prediction-log-upkeep",
            daemon=True,
        )
        self._thread.start()

    def _busy(self) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return True
        if self._task is None:
            return False
        import ray

        done, _ = ray.wait([self._task], timeout=0)
        return not done
