"""One fit: from the rows and what was asked for to the finished run."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, SchemaError, TrainingError
from raypipe.core.faults import fault_point
from raypipe.engine.cluster import cores
from raypipe.engine.place import reading_place
from raypipe.engine.progress import Line
from raypipe.models import ModelBundle
from raypipe.training.budget import check_budget
from raypipe.training.checkpoints import patient
from raypipe.training.figures import final_figures
from raypipe.training.plan import plan_shards, to_json
from raypipe.training.progress import Watch, begins_logged, watched
from raypipe.training.run import Run
from raypipe.training.stored import keep_finished, read_finished
from raypipe.training.survey import Survey, survey
from raypipe.training.telling import close

if TYPE_CHECKING:
    from collections.abc import Callable

    from ray.train import Result

    from raypipe.engine.place import Choice
    from raypipe.features import FittedRecipe, Recipe
    from raypipe.lake import Snapshot
    from raypipe.training.asked import Asked
    from raypipe.training.checkpoints import Checkpoints
    from raypipe.training.learner import Learner
    from raypipe.training.rounds import Job
    from raypipe.training.state import State
    from raypipe.training.stopping import EarlyStopping
    from raypipe.training.survey import Roles


def gpus_of(learner: Learner) -> int:
    """GPUs that each rank needs."""
    return int(getattr(learner, "device", "cpu") == "cuda")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What a trainer was asked for, with the rows."""

    recipe: Recipe
    label: str
    learner: Learner
    stopping: EarlyStopping | None
    seed: int
    roles: Roles
    asked: Asked
    train: Snapshot
    valid: Snapshot | None
    config: dict[str, Any]
    run_id: str
    choice: Choice

    def run(self) -> Run:
        """Fits the recipe, grows the rounds, and keeps the bundle.

        Raises:
            TrainingError: it did not finish.
        """
        run_id, choice, valid = self.run_id, self.choice, self.valid
        began = time.monotonic()
        fitted = self.recipe.fit(
            self.train,
            label=self.label,
            run_on=reading_place(self.asked.run_on),
            memory_budget=self.asked.memory_budget,
        )
        self.learner.check_features(fitted.feature_names)
        job = self.job(fitted)
        state, result, begun = self._grown(job)
        if not state.done:
            beside = read_finished(self.train.lake, run_id, valid)
            if beside is not None:  # another driver of the same run was quicker
                return beside
            raise TrainingError(
                f"run {run_id} was stopped",
                f"{state.rounds} of {self.learner.rounds} rounds",
                "The same fit goes on from there.",
            )
        bundle = self._bundle(state, fitted, job)
        facts = {
            "ran_on": choice.place,
            "why": choice.why,
            "seconds": round(time.monotonic() - began, 3),
            "rounds": state.rounds,
            "resumed_at": begun[-1],
            "begun_at": begun,
            "stopped_early": state.best.stopped,
        }
        keep_finished(self.train.lake, run_id, bundle, state.history, facts)
        fault_point("training:kept")
        run = Run(
            id=run_id,
            bundle=bundle,
            history=state.history,
            valid=valid,
            result=result,
            facts=facts,
        )
        close(self.train.lake, run)
        return run

    def job(self, fitted: FittedRecipe) -> Job:
        """What each rank does, once labels and rows are known to be fit for it.

        Raises:
            RecipeError: the labels are not what the learner takes.
            ConfigError: there are fewer rows than workers, or the memory budget cannot hold what
                they need.
        """
        from raypipe.training.rounds import Job

        asked, train, valid, choice = self.asked, self.train, self.valid, self.choice
        place = reading_place(choice.place)
        look = survey(train, fitted, self.roles, run_on=place)
        self.learner.check_labels(look.labels)
        plan_shards(look.known, asked.fewest_workers, look.runs)  # refuses too few rows
        other = None
        if valid is not None:
            _check_valid(fitted, valid)
            other = survey(valid, fitted, self.roles, run_on=place, wanted="valid")
            self.learner.check_labels(look.labels.with_ends_of(other.labels))
        rows = look.labels.count + (other.labels.count if other is not None else 0)
        each, names = -(-rows // asked.fewest_workers), fitted.feature_names
        check_budget(
            self.learner,
            asked.memory_budget,
            each,
            len(names),
            weighted=self.roles.weight is not None,
            categories=bool(getattr(fitted, "categorical_features", ())),
        )
        local = max(1, cores() // asked.most_workers)
        placed = {"training": True} if hasattr(fitted, "training_features") else {}
        to_json: Callable[..., str] = fitted.to_json
        return Job(
            run_id=self.run_id,
            lake=train.lake,
            recipe=to_json(**placed),
            learner=self.learner,
            stopping=self.stopping,
            seed=self.seed,
            threads=asked.cpus_per_worker or (local if choice.place == "local" else 1),
            checkpoint_every=asked.checkpoint_every,
            roles=self.roles,
            train=look,
            valid=other,
            budget=asked.memory_budget,
        )

    def _grown(self, job: Job) -> tuple[State, Result | None, list[int]]:
        """The last state, Ray's result, and the rounds at which the run began, and began again."""
        from raypipe.training.rounds import checkpoints_of

        checkpoints = checkpoints_of(job)
        with begins_logged(job.run_id, checkpoints):
            grown = self._looped if self.learner.takes.loop else self._by_rounds
            state, result = grown(job, checkpoints)
        return state, result, patient(checkpoints.begins) or [0]

    def _by_rounds(self, job: Job, checkpoints: Checkpoints) -> tuple[State, Result | None]:
        watch = Watch(Line(), self.learner.rounds, self.learner.metrics[0])
        try:
            if self.choice.place == "local":
                from raypipe.training.local import run_local

                return run_local(job, self.asked.fewest_workers, watch), None
            from raypipe.training.engine import run_train

            with watched(watch, checkpoints):
                return run_train(
                    job,
                    num_workers=self.asked.num_workers,
                    cpus_per_worker=self.asked.cpus_per_worker or 1,
                    gpus=gpus_of(self.learner),
                    max_failures=self.asked.max_failures,
                )
        finally:
            watch.line.close()

    def _looped(self, job: Job, checkpoints: Checkpoints) -> tuple[State, Result | None]:
        from raypipe.training.loops.engine import run_loop
        from raypipe.training.loops.settings import TrainLoop

        assert isinstance(self.learner, TrainLoop)
        kept = checkpoints.latest()
        if kept.done:  # the driver died when the loop had ended
            checkpoints.note_begin(kept.rounds)
            return kept, None
        with contextlib.closing(Line()) as line:
            state, result = run_loop(
                job,
                self.learner,
                line,
                num_workers=self.asked.num_workers,
                cpus_per_worker=self.asked.cpus_per_worker or 1,
                gpus=gpus_of(self.learner),
                max_failures=self.asked.max_failures,
            )
        checkpoints.save(state)
        return state, result

    def _bundle(self, state: State, fitted: FittedRecipe, job: Job) -> ModelBundle:
        elastic, valid = self.asked.elastic, self.valid
        look: Survey = job.train
        shards = [] if elastic else plan_shards(look.known, self.asked.fewest_workers, look.runs)
        manifest = {
            **{key: value for key, value in self.config.items() if key != "rebuild"},
            "run_id": job.run_id,
            "rows": look.labels.count,
            "label_mean": look.labels.total / look.labels.count,
            "shards": to_json(tuple(shards)),
            "metrics": {},
            **({"reproducible": False} if elastic or self.learner.takes.loop else {}),
        }
        bundle = ModelBundle(state.model, fitted, manifest, self.learner.form)
        if valid is not None:
            manifest["metrics"] = final_figures(bundle, valid, self.learner, self.roles, state)
            bundle = ModelBundle(state.model, fitted, manifest, self.learner.form)
        return bundle


def _check_valid(fitted: FittedRecipe, valid: Snapshot) -> None:
    there = valid.schema
    missing = [name for name in fitted.source_columns if name not in there]
    if missing:
        raise SchemaError(
            "the validation rows lack a column", missing[0], "Use the same table.", missing[0]
        )
    if not any(part.rows for part in valid.parts()):
        raise ConfigError(
            "there are no validation rows", repr(valid), "Check the filter of valid=.", "valid"
        )
