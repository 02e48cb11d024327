"""XGBoost's errors in raypipe's words: without a trace of C++, and with the feature's name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import xgboost

from raypipe.core.errors import RecipeError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raypipe.training.feeding import Batch


def infinite_feature(batches: Sequence[Batch], features: Sequence[str]) -> RecipeError | None:
    """What to raise where a feature is infinite; None where none is.

    The batches are looked at after the fact, so that rows without an infinity cost nothing.
    """
    for number in range(len(batches)):
        values = batches[number].features
        at = np.flatnonzero(np.isinf(values).any(axis=0))
        if len(at):
            column = values[:, at[0]]
            return RecipeError(
                f"the feature {features[at[0]]!r} is infinite in a row",
                repr(float(column[np.isinf(column)][0])),
                "XGBoost takes no infinity, nor a number beyond 3.4e38. Clip it in the recipe, "
                "or filter such rows out.",
                features[at[0]],
            )
    return None


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
    """XGBoost's reason without the trace of C++ around it."""
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Stack trace", "[bt]"))]
    return (told or ["no reason given"])[0].rpartition("] ")[2][:300] or told[0][:300]
