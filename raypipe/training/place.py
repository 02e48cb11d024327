"""Where a run trains best: in this process, or on the cluster. Plain values in and out.

What Ray Train costs beside the work was measured on 2026-11-27 with Ray 2.60 on a quiet machine of
2 cores, in one process. A fit of one round on 2,000 rows took 0.4 s in the process itself. With Ray
Train and one worker, on a Ray that was there already, the first such fit took 9.4 s and a further
one 5.6. Two workers, measured a day before when all took longer, add 2 to 9 s to the first and 1 to
4 to a further one. The start of Ray itself, 2.3 to 4.6 s, is not in it: a cluster beyond this
machine is there.
"""

from __future__ import annotations

from raypipe.core.errors import ConfigError
from raypipe.engine.place import Choice, RunOn, check_run_on

_CELLS_PER_CORE_S = 6e6
"""Features that one core reads, transforms and bins in a second."""

_ROUNDS_PER_CORE_S = 320e6
"""Features times rounds that one core grows in a second."""

_FIRST_S, _NEXT_S = 9.4, 5.6
"""What Ray Train's actors cost a process's first fit and each further one."""

_CELL_BYTES = 3
_SHARE = 0.5


def choose(
    run_on: RunOn,
    *,
    rows: int,
    features: int,
    rounds: int,
    workers: int,
    cpus: int,
    cores: int,
    memory: int,
    cluster_cpus: float | None,
    elastic: bool = False,
    warm: bool = False,
) -> Choice:
    """Where to train.

    Args:
        run_on: what the caller asked for.
        rows: rows to learn from, at most.
        features: columns, about.
        rounds: to grow.
        workers: ranks.
        cpus: of each rank.
        cores: of this process.
        memory: bytes of this machine.
        cluster_cpus: CPUs of a cluster that reaches beyond this machine; None without one. A Ray
            on this machine alone has no core and no byte that this process lacks.
        elastic: whether the number of workers may change on the way.
        warm: whether this process has trained on the cluster before.

    Raises:
        ConfigError: ``run_on`` is none of the three, or an elastic run is to be local.
    """
    check_run_on(run_on)
    if elastic:
        if run_on == "local":
            raise ConfigError(
                "an elastic run needs a cluster", run_on, "Give one number of workers.", "run_on"
            )
        return Choice("ray", "the number of workers may change")
    if run_on != "auto":
        return Choice(run_on, "as asked")
    if cluster_cpus is None:
        return Choice("local", "no cluster beyond this machine")
    cells = float(rows * features)
    if cells * _CELL_BYTES > memory * _SHARE:
        return Choice("ray", "the rows do not fit into this machine's memory")
    work = cells / _CELLS_PER_CORE_S + cells * rounds / _ROUNDS_PER_CORE_S
    here = work / min(workers * cpus, cores)
    there = (_NEXT_S if warm else _FIRST_S) + work / min(workers * cpus, cluster_cpus)
    told = f"about {here:.0f} s here, {there:.0f} s on the cluster"
    return Choice("local" if here <= there else "ray", told)
