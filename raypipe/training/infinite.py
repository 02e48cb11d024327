"""One rule for all learners: a feature is a finite number, or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raypipe.core.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def refuse_infinite(features: npt.NDArray[np.float32], names: Sequence[str]) -> None:
    """Refuses rows that no learner can be trusted with.

    XGBoost and most of scikit-learn refuse an infinity. LightGBM and histogram boosting take it
    for a large number, but only as long as it is not in a sum.

    Args:
        features: rows by features.
        names: of the features.

    Raises:
        RecipeError: a feature is infinite in a row; the first such feature is named.
    """
    found = np.isinf(features)
    if not found.any():
        return
    column = int(found.any(axis=0).argmax())
    value = features[found[:, column], column][0]
    raise RecipeError(
        f"the feature {names[column]!r} is infinite in a row",
        repr(float(value)),
        "Learners take no infinity, nor a number beyond 3.4e38. Clip it in the recipe, or filter "
        "such rows out.",
        names[column],
    )
