"""What a loop reports, told by Ray Train's controller: figures by report, kept in the lake."""

from __future__ import annotations

import json
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from ray.train.v2._internal.execution.callback import ReportCallback, WorkerGroupCallback

from raypipe.core.errors import RaypipeError
from raypipe.training.checkpoints import patient
from raypipe.training.loops.shard import ShardProvider
from raypipe.training.rounds import checkpoints_of

if TYPE_CHECKING:
    from raypipe.lake import Lake
    from raypipe.training.rounds import Job
    from raypipe.training.state import History

_EVERY_S = 1.0
_logger = logging.getLogger(__name__)
_SETS = ("train", "valid")


class Reports:
    """The reports of one run, in the order in which they came.

    Args:
        lake: where the run is.
        run_id: the run.
    """

    def __init__(self, lake: Lake, run_id: str) -> None:
        self._files = lake.files
        self._path = f"runs/{run_id}/reports.json"

    def read(self) -> list[dict[str, Any]]:
        """All of them: ``metrics``, and ``checkpoint``, whether one came with it."""
        try:
            found: list[dict[str, Any]] = json.loads(patient(self._files.get, self._path))
        except FileNotFoundError:
            return []
        return found

    def write(self, reports: list[dict[str, Any]]) -> None:
        """Puts them in the place of those that are there."""
        patient(self._files.put, self._path, json.dumps(reports).encode())


def up_to_checkpoint(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that count when a loop is called again: it goes on from the last checkpoint."""
    last = max((n for n, one in enumerate(reports) if one["checkpoint"]), default=-1)
    return reports[: last + 1]


def history_of(reports: list[dict[str, Any]]) -> History:
    """Figures by set, metric and report; NaN where a report has none.

    A name that begins with ``valid`` or ``train`` and ``_``, ``-`` or ``/`` is a figure of that
    set, without the beginning unless another is called so; others count to ``train``.
    """
    names = list(dict.fromkeys(name for one in reports for name in one["metrics"]))
    history: History = {}
    for name in names:
        kind, plain = "train", name
        for one in _SETS:
            if name.startswith(one) and name[len(one) : len(one) + 1] in ("_", "-", "/"):
                kind, plain = one, name[len(one) + 1 :] or name
        figures = history.setdefault(kind, {})
        if plain in figures or (kind == "train" and plain in names):  # each figure has its own name
            plain = name
        figures[plain] = [float(one["metrics"].get(name, math.nan)) for one in reports]
    return history


def figure_of(value: Any) -> float | None:
    """A number as a float; None for what is none, such as a text or an array of several."""
    if isinstance(value, bool | int | float) or hasattr(value, "__float__"):
        try:
            return float(value)
        except Exception:  # noqa: BLE001 - whatever another library raises: it is no figure
            return None
    return None


class LoopCallback(WorkerGroupCallback, ReportCallback):  # type: ignore[misc]
    """In Ray Train's controller: hands out the shards, and writes the reports down.

    Args:
        job: the run.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._reports: list[dict[str, Any]] = []
        self._written = 0.0

    def before_init_train_context(self, workers: list[Any]) -> dict[str, list[Any]]:
        """The workers begin, or begin again, from the last checkpoint."""
        self._reports = up_to_checkpoint(Reports(self._job.lake, self._job.run_id).read())
        checkpoints_of(self._job).note_begin(len(self._reports))
        provider = ShardProvider(self._job, len(workers))
        return {"dataset_shard_provider": [provider] * len(workers)}

    def after_report(self, training_report: Any, metrics: list[dict[str, Any]]) -> None:
        """All workers have reported; the first one's figures count, as in Ray Train."""
        told = {str(name): figure_of(value) for name, value in (metrics or [{}])[0].items()}
        kept = {name: value for name, value in told.items() if value is not None}
        there = training_report.checkpoint is not None
        self._reports.append({"metrics": kept, "checkpoint": there})
        if there or time.monotonic() - self._written >= _EVERY_S:
            self._write()

    def before_worker_group_shutdown(self, worker_group: Any) -> None:
        """The workers are done, or one is lost."""
        if self._reports:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        try:
            Reports(self._job.lake, self._job.run_id).write(self._reports)
        except (RaypipeError, OSError) as error:  # figures must not end a run
            _logger.warning("the figures of a run could not be written: %s", error)
