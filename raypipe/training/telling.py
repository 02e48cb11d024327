"""What is told of a run in the lake's tables of runs; it must not end the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import RaypipeError
from raypipe.core.faults import fault_point
from raypipe.training.checkpoints import Checkpoints
from raypipe.training.runs import Runs
from raypipe.training.stored import folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.engine.place import Choice
    from raypipe.lake import Lake
    from raypipe.training.asked import Asked
    from raypipe.training.run import Run

_logger = logging.getLogger(__name__)


def told_started(
    runs: Runs, run_id: str, config: dict[str, Any], asked: Asked, choice: Choice
) -> None:
    """An attempt begins."""
    learner = {"early_stopping": config.get("early_stopping"), "seed": config["seed"]}
    quietly(
        lambda: runs.started(
            run_id,
            params={"learner": config["learner"], "label": config["label"], **learner},
            data={name: config[name] for name in ("train", "valid") if config[name]},
            tags=config["tags"],
            packages=config["packages"],
            resources={
                "num_workers": config["num_workers"],
                "cpus_per_worker": asked.cpus_per_worker,
                "ran_on": choice.place,
            },
        )
    )


def close(lake: Lake, run: Run) -> None:
    """Tells of a run whose model is kept, and then removes its checkpoints.

    So a finished run that has checkpoints was, as far as is known, not told of.
    """
    if _told_finished(Runs(lake), run):
        fault_point("training:told")
        quietly(Checkpoints(lake, run.id).clear)


def close_if_left(lake: Lake, run: Run) -> None:
    """The same for a run whose driver was killed after it had kept the model."""

    def look() -> None:
        if run.facts and Checkpoints(lake, run.id).names():
            close(lake, run)

    quietly(look)


def _told_finished(runs: Runs, run: Run) -> bool:
    return quietly(
        lambda: runs.finished(
            run.id,
            metrics=run.metrics,
            history=run.history,
            rounds=run.facts["rounds"],
            rows=run.bundle.manifest["rows"],
            seconds=run.facts["seconds"],
            resumed_at=run.facts["resumed_at"],
            artifacts=folder(run.id),
            logs=_kept_by_ray(run),
        )
    )


def _kept_by_ray(run: Run) -> str | None:
    """The folder in the lake with Ray Train's files; only that of a loop outlives the run."""
    looped = run.bundle.manifest["learner"]["name"] == "loop"
    return f"runs/{run.id}/train-{run.id}" if looped else None


def quietly(tell: Callable[[], Any]) -> bool:
    """Whether it worked: what is told about a run must not end it."""
    try:
        tell()
    except (RaypipeError, OSError) as error:
        _logger.warning("the run's row could not be written: %s", error)
        return False
    return True
