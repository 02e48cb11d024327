"""The clock, in one place: UTC, microseconds, without a zone, as the lake's tables keep it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time in UTC as a naive datetime, the form every table of raypipe stores."""
    return datetime.now(UTC).replace(tzinfo=None)
