"""Where the parts of a job run best: in this process or on the cluster. Plain values in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from raypipe.core.errors import ConfigError

RunOn = Literal["auto", "local", "ray"]
Place = Literal["local", "ray"]

_EXECUTOR_S = 0.6
"""What Ray Data's executor costs before and after the parts, measured with Ray 2.60."""

_BYTES_PER_CORE_S = 150e6
"""What one core reads, checks and writes in a second: 100 to 250 MB of a file, by its format."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a job runs, and why.

    Attributes:
        place: ``"local"`` or ``"ray"``.
        why: one clause for the log.
    """

    place: Place
    why: str


def reading_place(run_on: RunOn) -> RunOn:
    """Where the rows are looked through for what is to run there.

    Work that was asked to run on a cluster may still be prepared here: ``"auto"`` reads few rows
    in this process, sooner than a cluster's workers start.
    """
    return "local" if run_on == "local" else "auto"


def check_run_on(run_on: object) -> None:
    """Looks at what a caller asked for.

    Raises:
        ConfigError: it is none of the three.
    """
    if run_on not in get_args(RunOn):
        raise ConfigError("no such place to run", run_on, "Use auto, local or ray.", "run_on")


def choose(
    run_on: RunOn, *, parts: int, nbytes: int, cores: int, cluster_cpus: float | None
) -> Choice:
    """Where to run.

    Args:
        run_on: what the caller asked for.
        parts: how many parts there are.
        nbytes: bytes to be read in all; 0 when not known.
        cores: cores of this process.
        cluster_cpus: CPUs of a cluster that reaches beyond this machine; None without one. A Ray
            on this machine alone has no core that this process lacks, so it is never worth it.

    Raises:
        ConfigError: ``run_on`` is none of the three.
    """
    check_run_on(run_on)
    if run_on != "auto":
        return Choice(run_on, "as asked")
    if parts < 2:
        return Choice("local", "one part")
    if cluster_cpus is None:
        return Choice("local", "no cluster beyond this machine")
    here = nbytes / (_BYTES_PER_CORE_S * min(cores, parts))
    there = _EXECUTOR_S + nbytes / (_BYTES_PER_CORE_S * min(cluster_cpus, parts))
    told = f"about {here:.1f} s here, {there:.1f} s on {cluster_cpus:g} CPUs of the cluster"
    return Choice("ray" if there < here else "local", told)
