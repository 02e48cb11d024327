"""XGBoost's errors in raypipe's words: without a trace of C++."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import xgboost

from raypipe.core.errors import TrainingError
from raypipe.training.lost import COLLECTIVE, LOST, told_of_another

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PLACE = re.compile(r"^\S*/src/\S+?:\d+: (?:Check failed: .*? ?: )?")
_CAUSES = re.compile(r"^- \[[^\]]*\]: (.+)$", re.MULTILINE)  # the first is the outermost


@contextlib.contextmanager
def in_words(what: str) -> Iterator[None]:
    """Around calls of XGBoost: its errors become raypipe's.

    Raises:
        TrainingError: XGBoost failed.
    """
    try:
        yield
    except xgboost.core.XGBoostError as error:
        raise TrainingError(what, first_words(str(error))) from error


def first_words(text: str) -> str:
    """XGBoost's reason, without the place in its source and the trace of C++ around it."""
    if told_of_another(text):
        return LOST
    together = _CAUSES.findall(text) if COLLECTIVE in text else []
    if together:
        return str(together[-1])[:300]
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Stack trace", "[bt]"))]
    first = (told or ["no reason given"])[0]
    reason = first.rpartition("] ")[2]
    return (_PLACE.sub("", reason) or reason or first)[:300]
