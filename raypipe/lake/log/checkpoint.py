"""Checkpoints of the log: a short way into it, never a condition of a commit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from raypipe.lake.log.damage import foreign

if TYPE_CHECKING:
    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.schema.spec import TableSpec

_DEFAULT = 10  # versions, as the protocol's reference implementation has it

logger = logging.getLogger(__name__)


def due(version: int, spec: TableSpec) -> bool:
    """Whether a checkpoint belongs to a version."""
    text = spec.properties.get("delta.checkpointInterval", "")
    every = int(text) if text.isdigit() and int(text) > 0 else _DEFAULT
    return version > 0 and version % every == 0


def checkpoint(log: TableLog, table: Any) -> bool:
    """Writes a checkpoint of the newest version; False, and a warning, when it cannot be.

    Args:
        log: the table's log.
        table: the open ``DeltaTable``, which follows the log to that version.
    """
    try:
        log.follow(table)
        table.create_checkpoint()
    except BaseException as error:
        if not foreign(error):
            raise
        reason = str(error).split("\n", 1)[0]
        logger.warning("table %r has no new checkpoint: %s", log.name, reason)
        return False
    return True
