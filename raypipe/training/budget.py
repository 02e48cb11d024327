"""The least memory that a rank can do with: from counts alone, before it reads a row.

Where the lake's log and the recipe tell the counts, before any work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError, RecipeError, SchemaError
from raypipe.features import foreseen
from raypipe.training.feeding import batch_values
from raypipe.training.matrices import ROW_BYTES, sketch_bytes
from raypipe.training.trees import XGBoost

if TYPE_CHECKING:
    from raypipe.features import Recipe
    from raypipe.lake import Snapshot
    from raypipe.training.asked import Asked
    from raypipe.training.learner import Learner

# Measured on 2026-11-27 by benchmarks/train_budget.py, of features that are stored in 32 bits:
# 10 MB beside, 10.8 bytes a value of a batch (one of 64 bits has 4 more), and 48.9 bytes a row of
# a single feature, its bins among them. So these fits took 59 to 92 % of the least budget.
_BESIDE_BYTES = 32 * 1024**2  # the plan, the model, pages of bins on their way
_CELL_BYTES = 16  # a value of a batch: as it was read, a part of them on the way, laid out by row
_SKETCHED_BYTES = 12  # of a row while its features are sketched


def least_bytes(
    learner: Learner, rows: int, features: int, *, weighted: bool = False, categories: bool = False
) -> int:
    """About what a rank needs, however much it leaves on disk; 0 for a loop of the user's own.

    Args:
        learner: what is learned.
        rows: of the rank, those to learn from and those to evaluate on.
        features: columns.
        weighted: whether rows have weights.
        categories: whether the recipe marks features as codes of categories.
    """
    if learner.takes.loop:
        return 0
    batch = min(rows * features, batch_values(features)) * _CELL_BYTES
    if not isinstance(learner, XGBoost):  # others hold the features of all rows
        return _BESIDE_BYTES + batch + rows * (4 * features + ROW_BYTES)
    own = learner.own_bins(weighted=weighted, categories=categories)
    sketched = sketch_bytes(rows, features, learner.max_bin, own_bins=own) + rows * _SKETCHED_BYTES
    # The memory of the last batches may still be held when the first are sketched.
    return _BESIDE_BYTES + batch + max(sketched, rows * ROW_BYTES)


def check_budget(
    learner: Learner,
    budget: int | None,
    rows: int,
    features: int,
    *,
    weighted: bool = False,
    categories: bool = False,
) -> None:
    """Refuses a budget that a rank could not keep.

    Raises:
        ConfigError: it is too small; the least is named.
    """
    least = least_bytes(learner, rows, features, weighted=weighted, categories=categories)
    if budget is not None and budget < least:
        raise ConfigError(
            f"the memory budget cannot hold what {rows:,} rows by {features:,} features need "
            "beside what lies on disk",
            budget,
            f"Give at least {least} bytes, or more workers.",
            "memory_budget",
        )


def check_foreseen(
    asked: Asked,
    learner: Learner,
    recipe: Recipe,
    label: str,
    train: Snapshot,
    valid: Snapshot | None,
    *,
    weighted: bool,
) -> None:
    """Refuses a budget that the rows and features known for certain are too many for.

    Others are judged by ``check_budget``, once the recipe is fitted.

    Raises:
        ConfigError: it is too small; the least is named.
    """
    if asked.memory_budget is None:
        return
    try:
        known = foreseen(recipe, label, train.schema)
        given = [train, *([] if valid is None else [valid])]
        rows = 0 if known.label is None else sum(one.least_known(known.label) for one in given)
    except (RecipeError, SchemaError):  # the fit says so, in its order
        return
    each = -(-rows // asked.fewest_workers)
    given_kind = {"weighted": weighted, "categories": True}  # the fit may name some
    if asked.memory_budget < least_bytes(learner, each, known.features, **given_kind):
        check_budget(learner, asked.memory_budget, each, known.features, weighted=weighted)
