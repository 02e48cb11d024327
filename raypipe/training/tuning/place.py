"""Where a search runs best: in this process, or on the cluster. Plain values in and out."""

from __future__ import annotations

from raypipe.core.errors import ConfigError
from raypipe.engine.place import Choice, RunOn, check_run_on

_ROUNDS_PER_CORE_S = 320e6
"""Features times rows times rounds that one core grows in a second."""

_TUNE_S = 8.0
"""What Ray Tune costs before the first trial reports, its actors' start with it."""


def choose(
    run_on: RunOn,
    *,
    cells: int,
    rounds: int,
    trials: int,
    population: bool,
    cores: int,
    cluster_cpus: float | None,
) -> Choice:
    """Where to search.

    Args:
        run_on: what the caller asked for.
        cells: rows times features.
        rounds: of a trial.
        trials: how many.
        population: whether the scheduler needs Ray Tune around it.
        cores: of this process.
        cluster_cpus: CPUs of a cluster that reaches beyond this machine; None without one. A Ray
            on this machine alone has no core that this process lacks.

    Raises:
        ConfigError: ``run_on`` is none of the three, or the scheduler cannot run here.
    """
    check_run_on(run_on)
    if population:
        if run_on == "local":
            raise ConfigError(
                "this scheduler needs Ray Tune", run_on, "Use run_on='ray' or 'auto'.", "run_on"
            )
        return Choice("ray", "the scheduler needs Ray Tune")
    if run_on != "auto":
        return Choice(run_on, "as asked")
    if cluster_cpus is None:
        return Choice("local", "no cluster beyond this machine")
    work = cells * rounds * trials / _ROUNDS_PER_CORE_S
    here, there = work / cores, _TUNE_S + work / cluster_cpus
    told = f"about {here:.0f} s here, {there:.0f} s on the cluster"
    return Choice("local" if here <= there else "ray", told)
