"""Whether the arguments of a ``Trainer`` are of the types that it takes."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError
from raypipe.core.settings import check_mapping, check_text, check_texts
from raypipe.features import Recipe
from raypipe.training.stopping import EarlyStopping
from raypipe.training.trees import XGBoost

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_given(
    *,
    recipe: object,
    label: object,
    learner: object,
    columns: Mapping[str, object],
    margins: object,
    early_stopping: object,
) -> None:
    """Refuses what is of another type.

    Args:
        recipe: the features.
        label: a name.
        learner: its settings, or None.
        columns: names by argument, or None.
        margins: names, or None.
        early_stopping: a rule, or None.

    Raises:
        ConfigError: the first of them, with what to pass.
    """
    check_texts("base_margin", _or(margins, ()))
    check_text("label", label)
    for name, column in columns.items():
        check_text(name, column, optional=True)
    for name, given, kind in (
        ("recipe", recipe, Recipe),
        ("early_stopping", _or(early_stopping, EarlyStopping()), EarlyStopping),
    ):
        if not isinstance(given, kind):
            what = f"{name}= is one of rp.{kind.__name__}"
            raise ConfigError(what, repr(given)[:80], f"Pass rp.{kind.__name__}(…).", name)
    if isinstance(learner, type) or not hasattr(_or(learner, XGBoost), "takes"):
        act = "Pass rp.XGBoost(…), rp.LightGBM(…), rp.Sklearn(…) or rp.TrainLoop(…)."
        raise ConfigError("learner= is the settings of one", repr(learner)[:80], act, "learner")


def check_tags(tags: object) -> None:
    """Refuses tags that are no mapping of plain JSON.

    Raises:
        ConfigError: they are not.
    """
    if tags is None:
        return
    check_mapping("tags", tags)
    try:
        json.dumps(tags, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:  # among them half of a pair of UTF-16
        raise ConfigError("tags must be plain JSON", str(error)[:200], field="tags") from None


def _or(given: object, default: object) -> object:
    return default if given is None else given


def learners_own(name: str) -> str | None:
    """What to do about an argument that is the learner's."""
    known = {*(one.name for one in fields(XGBoost)), "objective", "n_estimators"}
    return f"Give it the learner: learner=rp.XGBoost({name}=…)." if name in known else None
