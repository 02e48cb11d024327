"""In which form a model is stored, and how bytes of it become scores; none is a pickle.

A form is named by its file: ``model.ubj`` (XGBoost), ``model.txt`` (LightGBM), ``model.skops``
(scikit-learn), ``model.zip`` (a folder that functions of the user's own read). Another is a module
with a ``Scorer`` and a line in ``FORMS``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from raypipe.core.errors import IntegrityError
from raypipe.models.forms.base import Scorer, parts_missing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT", "FORMS", "Scorer", "parts_missing", "scorer"]

DEFAULT = "model.ubj"
FORMS: dict[str, tuple[str, str]] = {
    DEFAULT: ("raypipe.models.forms.trees", "XGBoostScorer"),
    "model.txt": ("raypipe.models.forms.light", "LightGBMScorer"),
    "model.skops": ("raypipe.models.forms.estimators", "SklearnScorer"),
    "model.zip": ("raypipe.models.forms.folder", "FolderScorer"),
}
"""By file: the module and the class that reads it."""


def scorer(file: str, model: bytes) -> Scorer:
    """What scores rows by a stored model.

    Raises:
        MissingPartError: the library of this form is not installed.
        IntegrityError: the bytes are no model of this form.
    """
    if file not in FORMS:
        raise IntegrityError("no such form of a model", file, f"There are: {', '.join(FORMS)}.")
    module, name = FORMS[file]
    made: Callable[[bytes], Scorer] = getattr(import_module(module), name)
    return made(model)
