"""A trial as Ray Tune runs it: a warm actor that takes one trial after the other."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Trainable

from raypipe.engine.folders import OwnedFolder
from raypipe.training.learner import Shared
from raypipe.training.stopping import Best
from raypipe.training.tuning.attempts import Attempts
from raypipe.training.tuning.prepared import NodeFolder
from raypipe.training.tuning.report import FIGURE, ROUNDS
from raypipe.training.tuning.trial import Standing, Task, Trial, told_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.features import FittedRecipe
    from raypipe.training.rounds import Job
    from raypipe.training.tuning.prepared import Sets

NUMBER = "number"
ERROR = "error_text"
_MODEL, _STANDING = "model", "standing.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Where an actor has its rows from: the object store, or files of its node.

    Attributes:
        sets: the rows, where they are few.
        job: what is read otherwise.
        recipe: makes the features then.
        name: of the files then.
    """

    sets: Sets | None = None
    job: Job | None = None
    recipe: FittedRecipe | None = None
    name: str = ""


class TrialActor(Trainable):  # type: ignore[misc]
    """Grows the rounds of one trial between two reports at each step."""

    def setup(self, config: dict[str, Any], task: Task, rows: Rows, faults: Any) -> None:
        """Takes the rows, once for all trials of this actor."""
        import os

        os.environ.update(faults)
        self._task, self._node = task, None
        self._folder = OwnedFolder.create()
        if rows.sets is not None:
            sets = rows.sets
        else:
            assert rows.job is not None
            assert rows.recipe is not None
            self._node = NodeFolder(rows.name)
            sets = self._node.open(rows.job, rows.recipe)
        self._sets, self._build = sets, task.build(Shared(), self._folder.path)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another trial on the same rows."""
        self._begin(new_config)
        return True

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._params = {name: value for name, value in config.items() if name != NUMBER}
        self._trial = Attempts(self._new, self._task.max_failures)

    def _new(self) -> Trial:
        return Trial(self._task, self._sets, self._build, self._params)

    def step(self) -> dict[str, Any]:
        """Grows to the next report; an error ends the trial and not the actor."""
        try:
            now = self._trial.advance()
        except Exception as error:  # noqa: BLE001 - a trial that fails is a row
            last = Standing(history=self._trial.history, failures=self._trial.failures)
            told = {ERROR: told_error(error), "standing": json.dumps(_plain(last))}
            return {ROUNDS: 0, **told, "done": True}
        report = {ROUNDS: now.rounds, "done": now.whole, "standing": json.dumps(_plain(now))}
        return report if math.isnan(now.best) else {**report, FIGURE: now.best}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keeps the model and where it stands, for a trial that pauses or is copied."""
        made = self._trial.trial
        Path(checkpoint_dir, _MODEL).write_bytes(made.save() if made.standing.rounds else b"")
        Path(checkpoint_dir, _STANDING).write_text(json.dumps(_plain(made.standing)))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Goes on from there."""
        standing = standing_of(Path(checkpoint, _STANDING).read_text())
        self._trial.load(Path(checkpoint, _MODEL).read_bytes(), standing)

    def cleanup(self) -> None:
        """Gives rows and folder up."""
        self._begin({})
        if self._node is not None:
            self._node.close()
        self._folder.remove()


def _plain(standing: Standing) -> dict[str, Any]:
    return {**asdict(standing), "early": standing.early.to_dict()}


def standing_of(text: str) -> Standing:
    """A trial's standing as an actor tells it."""
    data = json.loads(text)
    history = [(rounds, figure) for rounds, figure in data["history"]]
    return Standing(**{**data, "history": history, "early": Best.from_dict(data["early"])})
