"""Whether labels and names of features are what an objective can learn from; of every learner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, RecipeError
from raypipe.core.settings import check_mapping, check_texts
from raypipe.training.objectives import nearest, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from raypipe.training.objectives import Objective
    from raypipe.training.survey import Labels

_MOST_CLASSES = 1000
_STEEPEST = 31


def check_labels(wanted: Objective, labels: Labels, classes: int | None = None) -> None:
    """Refuses labels that an objective cannot learn.

    Args:
        wanted: the objective.
        labels: what is known of them.
        classes: how many classes there are, where the settings say so.

    Raises:
        RecipeError: one is out of range, is not a whole number where it must be, or a class
            has no row.
    """
    bad = None
    if wanted.refuses(labels.low, labels.high, labels.whole):
        bad = labels.odd if wanted.whole and not labels.whole else labels.low
        if wanted.high is not None and labels.high > wanted.high and labels.whole:
            bad = labels.high
    if bad is not None or not (math.isfinite(labels.low) and math.isfinite(labels.high)):
        raise RecipeError(
            f"for {wanted.name} the label {labels.name!r} must be {wanted.labels}",
            repr(bad if bad is not None else labels.high),
            "Derive such a label, or choose another objective.",
            labels.name,
        )
    if wanted.task == "multiclass":
        _check_classes(labels, classes)


def check_metric_labels(metrics: Sequence[str], labels: Labels, steep: bool) -> None:
    """Refuses labels that a metric of XGBoost cannot judge.

    Args:
        metrics: by XGBoost's names.
        labels: what is known of them.
        steep: whether a gain of ndcg is 2^label - 1, as it is by default, and not the label.

    Raises:
        RecipeError: a label is out of a metric's range.
    """
    for metric in metrics:
        name = plain(metric)
        if name in {"map", "pre"} and (labels.low < 0.0 or labels.high > 1.0):
            what, got, act = "0 or 1", labels.high, "Choose ndcg or another metric."
        elif name == "ndcg" and steep and labels.high > _STEEPEST:
            what, got = f"at most {_STEEPEST}", labels.high
            act = 'Derive such a label, or give params={"ndcg_exp_gain": False}.'
        elif name == "rmsle" and labels.low <= -1.0:
            what, got, act = "above -1", labels.low, "Choose rmse or another metric."
        else:
            continue
        what = f"for the metric {metric} the label {labels.name!r} must be {what}"
        raise RecipeError(what, repr(got), act, labels.name)


def _check_classes(labels: Labels, given: int | None) -> None:
    classes = int(labels.high) + 1
    if classes > (given or _MOST_CLASSES):
        raise RecipeError(
            f"the label {labels.name!r} has classes beyond those expected",
            f"class {classes - 1} of {given or _MOST_CLASSES}",
            "Number the classes from 0 without gaps.",
            labels.name,
        )
    absent = [n for n in range(classes) if n not in labels.values] if given is None else []
    if absent or classes < 2:
        raise RecipeError(
            f"the label {labels.name!r} has no row of a class",
            f"class {absent[0] if absent else 1}",
            "Number the classes from 0 without gaps, or give num_class in params.",
            labels.name,
        )


def check_shapes(learner: Any) -> None:
    """Refuses settings of trees that are of another type than they have to be.

    Args:
        learner: has ``params``, ``monotone``, ``interactions`` and ``categorical``.

    Raises:
        ConfigError: the first of them.
    """
    check_mapping("params", learner.params)
    check_mapping("monotone", learner.monotone)
    for feature, sign in learner.monotone.items():
        if not isinstance(sign, int) or sign not in (-1, 0, 1):
            raise ConfigError("a monotone effect is 1, 0 or -1", repr(sign), None, feature)
    groups = learner.interactions
    if isinstance(groups, str) or not isinstance(groups, Sequence):
        what = "interactions is a list of lists of texts"
        raise ConfigError(what, repr(groups), field="interactions")
    for group in groups:
        check_texts("each of interactions", group)
    check_texts("categorical", learner.categorical)


def check_names(
    features: Sequence[str],
    *,
    monotone: Iterable[str],
    interactions: Iterable[Iterable[str]],
    categorical: Iterable[str],
) -> None:
    """Refuses names of features that the recipe does not give.

    Args:
        features: those that there are.
        monotone: those that a tree's answer may only rise or fall with.
        interactions: groups of those that may stand in one path of a tree.
        categorical: those that are codes.

    Raises:
        ConfigError: one is not there; the nearest is named.
    """
    named = {
        "monotone": monotone,
        "interactions": [name for group in interactions for name in group],
        "categorical": categorical,
    }
    for place, names in named.items():
        for name in names:
            if name not in features:
                raise ConfigError(
                    f"{place} names a feature that the recipe does not give",
                    name,
                    nearest(name, features),
                    place,
                )
