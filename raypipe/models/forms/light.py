"""LightGBM's text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raypipe.core.errors import IntegrityError
from raypipe.models.forms.base import parts_missing
from raypipe.models.forms.light_text import check_text

if TYPE_CHECKING:
    import numpy.typing as npt


class LightGBMScorer:
    """A booster.

    Raises:
        MissingPartError: LightGBM is not installed.
        IntegrityError: the bytes are no booster.
    """

    def __init__(self, model: bytes) -> None:
        try:
            import lightgbm
        except ImportError as error:
            raise parts_missing("LightGBM", "lightgbm", error) from error
        try:
            text = model.decode()
            check_text(text)  # the library ends the process over some that are damaged
            self.native = lightgbm.Booster(model_str=text)
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise IntegrityError("the model's bytes are no LightGBM model") from error
        self._threads = 0

    def score(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The booster's predictions."""
        made = self.native.predict(rows, num_threads=self._threads)
        return np.asarray(made, dtype=np.float64)

    def one_thread(self) -> None:
        """Asks for one thread with each prediction."""
        self._threads = 1
