"""Compaction by the writers themselves, where ``delta.autoOptimize.autoCompact`` asks for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from raypipe.core.errors import RaypipeError
from raypipe.lake.upkeep.compact import CompactAsk, compact
from raypipe.lake.upkeep.plan import AUTO_FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.read.snapshot import Snapshot

AUTO_COMPACT = "delta.autoOptimize.autoCompact"
AUTO_EVERY = 10
"""Versions between two looks of the writers at the table's files."""

THRIFTY = CompactAsk(least_files=AUTO_FILES, thrifty=True, run_on="local")

logger = logging.getLogger(__name__)


def auto_due(version: int) -> bool:
    """Whether the writer of a version looks for small files: each tenth does.

    So one writer of many looks, and a look at all files costs little for each write.
    """
    return version > 0 and version % AUTO_EVERY == 0


def after_write(log: TableLog, look: Callable[[], Snapshot], version: int) -> None:
    """Compacts when small files have piled up; never raises, for the write is done.

    At least ``AUTO_FILES`` files that follow each other become one, and none is rewritten with
    files that are smaller in all: a row is rewritten a few times in its life, not with each write.
    """
    if not auto_due(version):
        return
    try:
        with log.newest() as table:
            if not log.spec(table).flag(AUTO_COMPACT):
                return
        done = compact(log, look, THRIFTY)
    except (RaypipeError, OSError) as error:
        logger.warning("table %r was written, but not compacted: %s", log.name, error)
        return
    if done.files_removed:
        logger.info("%d files of %r became %d", done.files_removed, log.name, done.files_added)
