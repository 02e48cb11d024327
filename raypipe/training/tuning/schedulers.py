"""Ray Tune's schedulers, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.training.tuning.report import FIGURE, ROUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.training.tuning.trials import Ended

SCHEDULERS = ("asha", "median", "pbt", "none")
_ASHA_FACTOR = 3


def scheduler(
    name: Any, *, mode: str, rounds: int, grace: int, domains: Mapping[str, Any], seed: int
) -> Any:
    """A scheduler of Ray Tune.

    Args:
        name: ``"asha"`` (Li et al., A system for massively parallel hyperparameter tuning, 2020),
            ``"median"`` (Golovin et al., Google Vizier, 2017), ``"pbt"`` (Jaderberg et al.,
            Population based training of neural networks, 2017), ``"none"``, or a scheduler of
            ``ray.tune.schedulers``, which is taken as it is; its ``time_attr`` is ``"rounds"``.
        mode: whether small or large figures are good.
        rounds: of a whole trial.
        grace: rounds that each trial may do.
        domains: what varies; population based training perturbs it.
        seed: of population based training.

    Raises:
        ConfigError: the name is unknown.
    """
    from ray.tune import schedulers

    if isinstance(name, schedulers.TrialScheduler):
        return name
    if name == "asha":
        return schedulers.ASHAScheduler(
            time_attr=ROUNDS,
            metric=FIGURE,
            mode=mode,
            max_t=rounds,
            grace_period=min(grace, rounds),
            reduction_factor=_ASHA_FACTOR,
            stop_last_trials=False,
        )
    if name == "median":
        from raypipe.training.tuning.median import Median

        return Median(
            time_attr=ROUNDS,
            metric=FIGURE,
            mode=mode,
            grace_period=grace,
            min_samples_required=3,
            min_time_slice=math.inf,  # a trial that runs does not make room for another
        )
    if name == "pbt":
        return schedulers.PopulationBasedTraining(
            time_attr=ROUNDS,
            metric=FIGURE,
            mode=mode,
            perturbation_interval=grace,
            hyperparam_mutations={  # of a list it takes a neighbour; of a domain it multiplies
                name: list(getattr(domain, "categories", ())) or domain
                for name, domain in domains.items()
            },
            custom_explore_fn=partial(_within, ends(domains)),
        )
    if name == "none":
        return schedulers.FIFOScheduler()
    raise ConfigError("unknown scheduler", name, f"Use one of {SCHEDULERS}.", "scheduler")


def told_scheduler(made: Any) -> Any:
    """A scheduler as JSON: its name, or the kind and the settings of one that was not used yet."""
    if made is None or isinstance(made, str | bool | int):
        return made
    if isinstance(made, float):
        return repr(made)
    if isinstance(made, list | tuple):
        return [told_scheduler(one) for one in made]
    if isinstance(made, dict):
        return {str(name): told_scheduler(value) for name, value in made.items()}
    named = made if hasattr(made, "__qualname__") else type(made)
    kind = f"{named.__module__}.{named.__qualname__}"
    if not kind.startswith("ray.tune."):
        return kind
    return {"kind": kind, "settings": told_scheduler(getattr(made, "__dict__", {}))}


def ends(domains: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of each domain of numbers."""
    found = {}
    for name, domain in domains.items():
        low, high = getattr(domain, "lower", None), getattr(domain, "upper", None)
        if low is not None and high is not None:
            found[name] = (low, high - 1 if isinstance(high, int) else high)
    return found


def _within(ends: Mapping[str, tuple[float, float]], config: dict[str, Any]) -> dict[str, Any]:
    """Settings that were perturbed, brought back into their domains."""
    for name, (low, high) in ends.items():
        value = min(max(config[name], low), high)
        config[name] = round(value) if isinstance(low, int) else value
    return config


@dataclass(frozen=True, slots=True)
class _Shadow:
    """What ASHA and the median rule look at of a trial of Ray Tune."""

    trial_id: str


class _NoController:
    """What they look at of its controller."""

    @staticmethod
    def get_live_trials() -> Sequence[Any]:
        return ()


class Decider:
    """Asks a scheduler of Ray Tune which trials to stop, without Ray Tune around it.

    For schedulers that look at figures alone: ASHA, the median rule, none.

    Args:
        made: the scheduler.
    """

    def __init__(self, made: Any) -> None:
        self._scheduler = made
        self._told: dict[int, int] = {}

    def begin(self, number: int) -> None:
        """A trial begins, or begins again."""
        if number in self._told:
            return
        self._told[number] = 0
        self._scheduler.on_trial_add(_NoController, _Shadow(str(number)))

    def stops(self, number: int, rounds: int, figure: float) -> bool:
        """Whether the trial is to be stopped after a report that is not its last.

        An attempt after one that failed gives the same figures; they count once.
        """
        if math.isnan(figure) or rounds <= self._told.get(number, 0):
            return False
        self._told[number] = rounds
        told = {ROUNDS: rounds, FIGURE: figure}
        said = self._scheduler.on_trial_result(_NoController, _Shadow(str(number)), told)
        return bool(said == "STOP")

    def end(self, number: int, rounds: int, figure: float) -> None:
        """A trial has ended, stopped or whole."""
        if not math.isnan(figure):
            told = {ROUNDS: rounds, FIGURE: figure}
            self._scheduler.on_trial_complete(_NoController, _Shadow(str(number)), told)

    def replay(self, ended: Sequence[Ended]) -> None:
        """Tells of trials that ended in a process before, so that it decides as that one would."""
        for one in ended:
            self.begin(one.number)
            early = one.stopped or one.failed
            for rounds, figure in one.history if early else one.history[:-1]:
                self.stops(one.number, rounds, figure)
            if one.history and not one.failed:
                self.end(one.number, *one.history[-1])
