"""Durations as Delta's table properties spell them: ``interval 7 days``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError, LakeError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_FILES = "delta.deletedFileRetentionDuration"
KEPT_LOG = "delta.logRetentionDuration"
_DEFAULTS = {KEPT_FILES: timedelta(days=7), KEPT_LOG: timedelta(days=30)}
_FORM = re.compile(r"\s*(?:interval\s+)?(\d+)\s+([a-z]+?)s?\s*", re.IGNORECASE)
_UNITS = {
    "microsecond": timedelta(microseconds=1),
    "millisecond": timedelta(milliseconds=1),
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}


def parse_interval(text: str) -> timedelta | None:
    """The duration that a property names; None where it is not understood."""
    found = _FORM.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    return None if found is None or unit is None else int(found[1]) * unit


def retention(given: timedelta | None, properties: Mapping[str, str], key: str) -> timedelta:
    """What a caller gives, else what the table's property says, else Delta's default.

    Raises:
        ConfigError: what is given is no duration, or less than none.
        LakeError: the property is not understood.
    """
    if given is not None:
        if not isinstance(given, timedelta) or given < timedelta(0):
            raise ConfigError("a retention is a timedelta of at least 0", given, None, "retention")
        return given
    text = properties.get(key)
    if text is None:
        return _DEFAULTS[key]
    found = parse_interval(text)
    if found is None:
        raise LakeError(
            "a property of the table cannot be understood", text, "Give retention=.", key
        )
    return found
