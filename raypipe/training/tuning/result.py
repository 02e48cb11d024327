"""What a search found: trials as a frame, the best of them, and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import TrainingError
from raypipe.training.runs.views import to_frame
from raypipe.training.schedule import Schedule
from raypipe.training.tuning.pictures import bars, parallel, progress
from raypipe.training.tuning.space import distributions, require_optuna, with_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from raypipe.lake import Snapshot
    from raypipe.training.run import Run
    from raypipe.training.trainer import Trainer
    from raypipe.training.tuning.search import Mode
    from raypipe.training.tuning.trials import Ended

_LEAST_FOR_IMPORTANCE = 8


def check_any(trials: Sequence[Ended]) -> None:
    """Refuses a search of which nothing came.

    Raises:
        TrainingError: every trial failed.
    """
    if trials and all(one.failed for one in trials):
        raise TrainingError(
            f"all {len(trials)} trials failed",
            trials[0].error,
            "The table tuning_trials has each one's error. Mend the cause and call "
            "fit(…, retry_failed=True), or search another space.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneResult:
    """The trials of a search.

    Attributes:
        id: names the search by what went into it; the same search goes on from its trials.
        metric: what was optimised, on the validation rows.
        mode: whether small or large figures are good.
        trials: by number.
        trainer: what the trials varied.
        domains: what varied.
        result: the plain ``ray.tune.ResultGrid`` of the trials that ran in this call; None when
            all were known.
    """

    id: str
    metric: str
    mode: Mode
    trials: Sequence[Ended]
    trainer: Trainer
    domains: Mapping[str, Any]
    result: Any = None

    @property
    def best(self) -> Ended:
        """The trial with the best figure among those that were not stopped early.

        Raises:
            TrainingError: none finished.
        """
        done = [t for t in self.trials if not t.failed and not math.isnan(t.value)]
        whole = [t for t in done if not t.stopped] or done
        if not whole:
            errors = [t.error for t in self.trials if t.error]
            raise TrainingError(
                f"no trial of {len(self.trials)} gave a figure",
                errors[0] if errors else None,
                "Look at frame['error'], mend the space, and tune again.",
            )
        return min(whole, key=lambda t: (t.value if self.mode == "min" else -t.value, t.number))

    @property
    def best_params(self) -> dict[str, Any]:
        """The settings of the best trial."""
        return dict(self.best.params)

    @property
    def frame(self) -> pl.DataFrame:
        """A row for each trial: number, status, the figure, best_round, rounds, seconds,
        attempts, error, and ``param.…``.
        """
        rows = [
            {
                "number": one.number,
                "status": one.status,
                self.metric: None if math.isnan(one.value) else one.value,
                "best_round": one.best_round,
                "rounds": one.rounds,
                "seconds": one.seconds,
                "attempts": one.attempts,
                "error": one.error,
                **{f"param.{name}": value for name, value in one.params.items()},
            }
            for one in self.trials
        ]
        return to_frame(rows, first=("number", "status", self.metric))

    def to_frame(self) -> pl.DataFrame:
        """``frame``, by the name that Optuna and Ray use for it."""
        return self.frame

    def best_trainer(self) -> Trainer:
        """The trainer with the settings of the best trial, and as many rounds as were best.

        It does not stop early: its number of rounds is known. Where the learning rate follows a
        schedule, which depends on the number of rounds, the rounds are all those of the trial. A
        learner that is fitted at once has none.
        """
        best, learner = self.best, self.trainer.learner
        scheduled = isinstance(getattr(learner, "learning_rate", 0.0), Schedule)
        by_rounds = learner.takes.rounds and not scheduled
        rounds = {"rounds": best.best_round} if by_rounds else {}
        made = self.trainer.with_learner(with_settings(learner, {**best.params, **rounds}))
        made.early_stopping = None
        return made

    def refit(self, train: Snapshot, valid: Snapshot | None = None) -> Run:
        """Trains the best settings on rows of your choice, usually all of them.

        The run is one like any other: it resumes, is listed, and can be registered.

        Args:
            train: the rows to learn from.
            valid: rows to evaluate on.

        Raises:
            TrainingError: no trial finished; or as ``Trainer.fit``.
        """
        return self.best_trainer().fit(train, valid)

    def importance(self) -> dict[str, float]:
        """How much each setting matters for being among the better trials; shares that sum to 1.

        Watanabe et al., PED-ANOVA, 2023. Empty with fewer than 8 trials that finished.
        """
        optuna = require_optuna()
        space = distributions(self.domains)
        study = optuna.create_study(direction="minimize" if self.mode == "min" else "maximize")
        for one in self.trials:
            if not (one.failed or math.isnan(one.value)):
                study.add_trial(
                    optuna.trial.create_trial(
                        params={name: one.params[name] for name in space},
                        distributions=space,
                        value=one.value,
                    )
                )
        values = {trial.value for trial in study.trials}
        if len(study.trials) < _LEAST_FOR_IMPORTANCE or len(values) < 2:
            return {}
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
        return {name: float(share) for name, share in found.items()}

    def plot_history(self) -> str:
        """The figure of each trial and the best so far, as SVG."""
        return progress(self.metric, self.mode, self.trials)

    def plot_importance(self) -> str:
        """``importance()`` as SVG."""
        return bars("importance of settings", self.importance())

    def plot_parallel(self) -> str:
        """Each trial as a line through its settings to its figure, as SVG; good ones are dark."""
        return parallel(self.metric, self.mode, self.trials, list(self.domains))

    def __repr__(self) -> str:
        count = dict.fromkeys(("finished", "stopped", "failed"), 0)
        for one in self.trials:
            count[one.status] += 1
        said = ", ".join(f"{number} {name}" for name, number in count.items() if number)
        try:
            best = f"best {self.metric}={self.best.value:.6g} by trial {self.best.number}"
        except TrainingError:
            best = "none gave a figure"
        return f"TuneResult({self.id}, {said or 'no trials'}, {best})"

    def _repr_html_(self) -> str:
        from html import escape

        pictures = [self.plot_history(), self.plot_importance(), self.plot_parallel()]
        return f"<p>{escape(repr(self))}</p>" + "".join(f"<div>{one}</div>" for one in pictures)
