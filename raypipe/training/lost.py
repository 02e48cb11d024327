"""Errors of a rank that only tell that another rank has failed or was lost: the other knows why."""

from __future__ import annotations

import re

LOST = "another rank has failed, or was lost"
COLLECTIVE = "/src/collective/"
"""In XGBoost's errors of what ranks do together."""

_GONE = re.compile(r"^- \[(?:socket|loop|poll)\w*\.", re.MULTILINE)


def told_of_another(text: str) -> bool:
    """Whether an error, by its whole text, is XGBoost's of a rank that is gone, or ours of it."""
    return LOST in text or (COLLECTIVE in text and _GONE.search(text) is not None)
