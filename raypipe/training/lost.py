"""Errors of a rank that only tell that another rank has failed or was lost: the other knows why."""

from __future__ import annotations

LOST = "another rank has failed, or was lost"
_COLLECTIVE = "/src/collective/"


def told_of_another(text: str) -> bool:
    """Whether an error, by its text, is XGBoost's of ranks that do not answer, or ours of it."""
    return LOST in text or _COLLECTIVE in text
