"""The figures of a finished model on its validation rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from raypipe.models import labelled_scores, metrics, weighted_scores

if TYPE_CHECKING:
    from raypipe.lake import Snapshot
    from raypipe.models import ModelBundle
    from raypipe.training.learner import Learner
    from raypipe.training.state import State
    from raypipe.training.survey import Roles

_OTHERWISE = frozenset(
    {"binary:logitraw", "binary:hinge", "multi:softmax", "reg:quantileerror", "survival:cox"}
)


def gives_scores(learner: Learner) -> bool:
    """Whether what the model gives is what the usual metrics take: a probability, or the number."""
    if learner.takes.loop and learner.to_dict().get("predict") is None:
        return False
    name = getattr(getattr(learner, "objective", None), "name", "")
    return learner.task != "ranking" and name not in _OTHERWISE


def gives_margins(learner: Learner) -> bool:
    """Whether what the model gives for two classes is a margin, from which order can be told."""
    return getattr(getattr(learner, "objective", None), "name", "") == "binary:logitraw"


def final_figures(
    bundle: ModelBundle, valid: Snapshot, learner: Learner, roles: Roles, state: State
) -> dict[str, float | None]:
    """The usual metrics of the kind of problem, computed exactly from the bundle's scores, with the
    rows' weights where there are some.

    Where the scores alone do not tell them (a ranking, margins, outputs that are no probabilities)
    they are the learner's own figures of the round that the model ends with.
    """
    if gives_scores(learner) and not roles.margin:  # what has groups is a ranking
        if roles.weight is None:
            return metrics.evaluate(*labelled_scores(bundle, valid), kind=learner.task)
        labels, scores, weights = weighted_scores(bundle, valid, roles.weight)
        return metrics.evaluate(labels, scores, kind=learner.task, weights=weights)
    last = state.best.round if state.best.round >= 0 and state.done else -1
    given = {metric: values[last] for metric, values in state.history.get("valid", {}).items()}
    return {metric: None if math.isnan(value) else value for metric, value in given.items()}
