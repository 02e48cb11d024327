"""Ray Tune's median rule, to which a trial that begins again after its process died counts once."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import MedianStoppingRule

from raypipe.training.tuning.report import FIGURE, ROUNDS


class Median(MedianStoppingRule):  # type: ignore[misc]
    """Looks at each round of a trial once, and at figures alone."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on; it does at a round that it reported before."""
        told = self._results.get(trial, ())
        if told and result.get(ROUNDS, 0) <= told[-1][ROUNDS]:
            return str(self.CONTINUE)
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Takes the last report; that of a trial that failed has no figure, and is none."""
        if FIGURE in result:
            super().on_trial_complete(tune_controller, trial, result)
