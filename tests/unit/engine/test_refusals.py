"""What a worker refuses ends the run at once; all else is Ray Train's own policy."""

from __future__ import annotations

import pickle

import pytest
from ray.train import FailureConfig
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2.api.exceptions import WorkerGroupError

from raypipe.core.errors import ConfigError, LakeAccessError, RecipeError, TrainingError
from raypipe.engine.refusals import Refusals, refusal

BAD = RecipeError("the feature 'x' is infinite in a row", "inf", "Clip it.", "x")


def failed(*errors: Exception) -> WorkerGroupError:
    told = {
        rank: UserExceptionWithTraceback(error, f"Traceback: {error}")
        for rank, error in enumerate(errors)
    }
    made: WorkerGroupError = pickle.loads(pickle.dumps(WorkerGroupError("", told)))
    return made


@pytest.mark.parametrize("others", [(), (TrainingError("another rank has failed"),)])
@pytest.mark.parametrize("bad", [BAD, ConfigError("no such thing", 1)])
def test_a_refusal_is_not_tried_again(bad: Exception, others: tuple[Exception, ...]) -> None:
    for errors in ((bad, *others), (*others, bad)):
        error = failed(*errors)
        assert Refusals(FailureConfig(max_failures=9)).make_decision(error) == FailureDecision.RAISE
        found = refusal(error)
        assert type(found) is type(bad)
        assert str(found) == str(bad)


@pytest.mark.parametrize(
    "error",
    [TrainingError("lost"), LakeAccessError("denied"), RuntimeError("of a loop"), OSError()],
)
def test_other_errors_are_tried_as_often_as_was_asked(error: Exception) -> None:
    policy, told = Refusals(FailureConfig(max_failures=1)), failed(error)
    assert refusal(told) is None
    assert policy.make_decision(told) == FailureDecision.RETRY
    assert policy.make_decision(told) == FailureDecision.RAISE
