"""Ray Tune's schedulers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEDULERS = ("asha", "median", "pbt", "none")
ROUNDS, FIGURE = "rounds", "figure"
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
        return schedulers.MedianStoppingRule(
            time_attr=ROUNDS, metric=FIGURE, mode=mode, grace_period=grace, min_samples_required=3
        )
    if name == "pbt":
        return schedulers.PopulationBasedTraining(
            time_attr=ROUNDS,
            metric=FIGURE,
            mode=mode,
            perturbation_interval=grace,
            hyperparam_mutations=dict(domains),
        )
    if name == "none":
        return schedulers.FIFOScheduler()
    raise ConfigError("unknown scheduler", name, f"Use one of {SCHEDULERS}.", "scheduler")
