"""What every form of a model can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from raypipe.core.errors import MissingPartError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Scorer(Protocol):
    """A loaded model."""

    @property
    def native(self) -> Any:
        """The model as its own library has it."""

    def score(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """A score for each row, or one for each row and class.

        A row has the same bits alone and among others.

        Args:
            rows: features in the model's order, C-contiguous, at least one row.
        """

    def one_thread(self) -> None:
        """From now on a prediction takes one thread, as is best where requests share cores."""


def parts_missing(library: str, extra: str, error: ImportError) -> MissingPartError:
    """The error for a library that is not installed, with the line that installs it."""
    return MissingPartError(
        f"{library} is not installed", str(error), f"Run: pip install 'raypipe[{extra}]'", extra
    )
