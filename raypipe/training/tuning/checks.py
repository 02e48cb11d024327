"""What a search is asked for, checked before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from raypipe.core.errors import ConfigError
from raypipe.training.objectives import LOWER, nearest, plain
from raypipe.training.tuning.schedulers import SCHEDULERS
from raypipe.training.tuning.search import SEARCHES, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_SAMPLES = 1_000_000


def check_counts(counts: Mapping[str, int | None], *, least: int = 1) -> None:
    """Refuses what is no whole number of at least so much; None is left to be chosen.

    Raises:
        ConfigError: a value is refused.
    """
    for name, value in counts.items():
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not (whole or value is None):
            raise ConfigError(f"{name} must be a whole number >= {least}", value, field=name)


def check_samples(count: Any) -> None:
    """Refuses a number of trials that is none, or that no search can come to the end of.

    Raises:
        ConfigError: the value is refused.
    """
    if count is None:
        raise ConfigError("num_samples must be a whole number >= 1", count, field="num_samples")
    check_counts({"num_samples": count})
    if count > _MOST_SAMPLES:
        raise ConfigError(
            f"num_samples is at most {_MOST_SAMPLES:,}",
            count,
            "Begin with fewer: a search that is called again with more goes on.",
            "num_samples",
        )


def check_names(search: Any, scheduler: Any) -> None:
    """Refuses a search that is unknown, or a scheduler that is neither a name nor one of Ray Tune.

    Raises:
        ConfigError: a value is refused.
    """
    if search not in SEARCHES:
        raise ConfigError("unknown search", search, nearest(str(search), SEARCHES), "search")
    if isinstance(scheduler, str) and scheduler not in SCHEDULERS:
        act = nearest(scheduler, SCHEDULERS)
        raise ConfigError("unknown scheduler", scheduler, act, "scheduler")


def objective(metric: str | None, mode: Mode | None, metrics: Sequence[str]) -> tuple[str, Mode]:
    """The figure to search by and whether small or large ones are good.

    Args:
        metric: as asked for; by default the learner's first.
        mode: as asked for; by default what the metric asks for.
        metrics: what the learner evaluates.

    Raises:
        ConfigError: the metric is not evaluated, or the mode does not suit it.
    """
    chosen = metrics[0] if metric is None else metric
    if chosen not in metrics:
        raise ConfigError(
            "the metric is not evaluated by the learner",
            chosen,
            f"{nearest(str(chosen), metrics)} Name it in the learner's eval_metric or metrics.",
            "metric",
        )
    if mode is not None and mode not in get_args(Mode):
        raise ConfigError("unknown mode", mode, "Use 'min' or 'max'.", "mode")
    good: Mode = "min" if plain(chosen) in LOWER else "max"
    if mode not in (None, good):
        which = "less" if good == "min" else "more"
        raise ConfigError(f"{which} {chosen} is better", mode, f"Use mode={good!r}.", "mode")
    return chosen, good


def most_rounds(distribution: Any, learner: int) -> int:
    """The most rounds of a trial: the learner's, or what a space of ``rounds`` may ask for."""
    if distribution is None:
        return learner
    choices = getattr(distribution, "choices", None)
    return max(learner, *map(int, choices or (distribution.high,)))
