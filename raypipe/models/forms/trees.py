"""XGBoost's own binary form, UBJ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xgboost

from raypipe.core.errors import IntegrityError

if TYPE_CHECKING:
    import numpy.typing as npt


class XGBoostScorer:
    """A booster.

    Raises:
        IntegrityError: the bytes are no booster.
    """

    def __init__(self, model: bytes) -> None:
        # the library ends the process over bytes that are cut short
        if not (model.startswith(b"{") and model.endswith(b"}")):
            raise IntegrityError("the model's bytes are no XGBoost model")
        self.native = xgboost.Booster()
        try:
            self.native.load_model(bytearray(model))
        except xgboost.core.XGBoostError as error:
            raise IntegrityError("the model's bytes are no XGBoost model") from error

    def score(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The booster's predictions."""
        return np.asarray(self.native.inplace_predict(rows), dtype=np.float64)

    def one_thread(self) -> None:
        """Sets the booster's threads."""
        self.native.set_param({"nthread": 1})
