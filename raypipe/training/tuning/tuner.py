"""Searching for the settings of a trainer, so that nothing that ended is done again."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.identity import content_hash
from raypipe.core.markup import html_facts
from raypipe.engine.cluster import cluster_cpus, cores, memory_bytes
from raypipe.engine.folders import OwnedFolder
from raypipe.engine.place import reading_place
from raypipe.engine.progress import Line
from raypipe.training.budget import check_foreseen
from raypipe.training.fitting import Fit, gpus_of
from raypipe.training.holding import held
from raypipe.training.interrupted import search_note, told_kept
from raypipe.training.stopping import check_stopping
from raypipe.training.survey import check_roles
from raypipe.training.trainer import Trainer
from raypipe.training.tuning.book import Book
from raypipe.training.tuning.checks import (
    check_counts,
    check_names,
    check_samples,
    most_rounds,
    objective,
)
from raypipe.training.tuning.place import choose
from raypipe.training.tuning.prepared import NodeFolder, in_memory, nbytes
from raypipe.training.tuning.result import TuneResult, check_any
from raypipe.training.tuning.schedulers import Decider, scheduler, told_scheduler
from raypipe.training.tuning.search import Mode, Proposals
from raypipe.training.tuning.space import (
    check_space,
    distributions,
    require_optuna,
    told_distribution,
    with_settings,
)
from raypipe.training.tuning.trial import Task
from raypipe.training.tuning.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.engine.place import Choice, RunOn
    from raypipe.features import FittedRecipe
    from raypipe.lake import Snapshot
    from raypipe.training.rounds import Job

_logger = logging.getLogger(__name__)
_REPORTS = 10
_SHOWN = 20
_AT_ONCE = 4  # pieces of files that are read at a time, at most
_HELD_SHARE = 0.25  # of this machine's memory
_STORE_SHARE = 0.4  # of an object store


class Tuner:
    """Searches for the settings of a trainer's learner that do best on validation rows.

    Rows are read, transformed and binned once for all trials. Each trial is written to the lake's
    table ``tuning_trials`` as it ends, under an id that follows from everything that was asked:
    the same search, called again after any kill, goes on with the trials that are missing. With
    ``workers=1`` and a scheduler by name but ``"pbt"`` a search is repeatable: it has the same
    trials wherever it runs and whenever it was killed.

    Args:
        trainer: what is tuned. With one worker a trial is a part of the search, and can be stopped
            early; with several each trial is a training of its own, one after the other, which
            needs ``scheduler="none"``.
        space: settings by name: fields of the learner (``max_depth``) or its ``params``
            (``subsample``), each a domain of ``ray.tune`` or a constant.
        metric: a figure that the learner evaluates after each round; by default its first.
        mode: ``"min"`` or ``"max"``; by default what the metric asks for.
        num_samples: trials. A search that is called again with more goes on.
        scheduler: which trials stop early: ``"asha"``, ``"median"``, ``"pbt"`` or ``"none"``, or a
            scheduler of ``ray.tune.schedulers`` that looks at ``rounds`` and ``figure``.
        search: ``"tpe"`` or ``"random"``.
        workers: trials at once; by default as many as there are CPUs for.
        report_every: rounds between reports; by default a tenth of a trial's.
        grace: rounds that each trial may do before it can be stopped, and between changes of "pbt";
            by default ``report_every``.
        seed: of the search; by default the trainer's.
        max_failures: how often a trial that failed, or whose process died, begins again before it
            is written down as failed, with its error. The search goes on with the others. Settings
            that are refused are not tried again.
        run_on: ``"local"`` in this process, ``"ray"`` with Ray Tune, ``"auto"`` by what is known of
            the rows, the cluster and the scheduler. Trials of several workers run there as
            ``Trainer`` would; with ``"auto"`` the trainer's own ``run_on`` says where.

    Raises:
        MissingPartError: Optuna is not installed (``pip install "raypipe[tune]"``).
        ConfigError: a value is out of its range or does not suit another, the space is empty or
            names what the learner refuses, or the metric is not evaluated.
    """

    def __init__(
        self,
        trainer: Trainer,
        space: Mapping[str, Any],
        *,
        metric: str | None = None,
        mode: Mode | None = None,
        num_samples: int = 20,
        scheduler: Any = "asha",
        search: str = "tpe",
        workers: int | None = None,
        report_every: int | None = None,
        grace: int | None = None,
        seed: int | None = None,
        max_failures: int = 1,
        run_on: RunOn = "auto",
    ) -> None:
        require_optuna()
        if not isinstance(trainer, Trainer):
            raise ConfigError(
                "a search varies a trainer", trainer, "Pass rp.Trainer(…).", "trainer"
            )
        check_samples(num_samples)
        check_counts({"workers": workers, "grace": grace, "report_every": report_every})
        check_counts({"seed": seed, "max_failures": max_failures}, least=0)
        check_names(search, scheduler)
        self.domains, constants = check_space(space, trainer.learner)
        self._space = distributions(self.domains)
        learner = with_settings(trainer.learner, constants)
        self.trainer = trainer.with_learner(learner)
        self.metric, self.mode = objective(metric, mode, list(learner.metrics))
        self.num_samples, self.search = num_samples, search
        self.scheduler, self.run_on = scheduler, run_on
        self._named = told_scheduler(scheduler)  # before it is used, which changes it
        self.seed = trainer.seed if seed is None else seed
        self.rounds = most_rounds(self._space.get("rounds"), learner.rounds)
        self.every = report_every or max(1, math.ceil(self.rounds / _REPORTS))
        self.grace = min(grace or self.every, self.rounds)
        self._workers, self.max_failures = workers, max_failures
        self._several = self.trainer.asked.most_workers > 1
        if self._several and scheduler != "none":
            raise ConfigError(
                "trials of several workers are trainings of their own, and not stopped early",
                scheduler,
                'Use scheduler="none", or a trainer with num_workers=1.',
                "scheduler",
            )
        if self.trainer.asked.elastic and run_on == "local":  # not once for each trial, as a row
            raise ConfigError(
                "elastic trials need a cluster", run_on, "Give one number of workers.", "run_on"
            )
        self._made_scheduler()  # refuses what is none
        self._choice(0, None)

    def fit(self, train: Snapshot, valid: Snapshot, *, retry_failed: bool = False) -> TuneResult:
        """Searches, or goes on, or gives back what was found before.

        Args:
            train: the rows that trials learn from.
            valid: the rows that they are judged on.
            retry_failed: whether trials that failed in a call before are tried again, with their
                settings; for when what made them fail is mended.

        Raises:
            RecipeError: the recipe does not fit the rows, or the labels are not what the learner
                takes.
            ConfigError: there are no rows, or early stopping looks at what is not evaluated.
            SchemaError: a column is missing.
            LakeAccessError: the lake's storage failed; calling again goes on.
            TrainingError: every trial failed, and the first one's error; or the search was stopped,
                and calling again goes on.
            KeyboardInterrupt: Ctrl-C; trials that ended are kept, and calling again goes on, as its
                note says.
        """
        if valid is None:
            raise ConfigError("a search needs validation rows", None, "Pass valid=.", "valid")
        check_stopping(self.trainer.early_stopping, list(self.trainer.learner.metrics))
        config = self.trainer.config(train, valid)
        tuning_id = self._id(config)
        trials = Trials(train.lake, tuning_id)
        known = [one for one in trials.known() if one.number < self.num_samples]
        again = [one for one in known if one.failed and retry_failed]
        known = [one for one in known if one not in again]
        result = None
        if len(known) < self.num_samples:
            for snapshot, name in ((train, "train"), (valid, "valid")):
                check_roles(snapshot, self.trainer.roles, name)
            made = self.trainer
            given = made.asked, made.learner, made.recipe, made.label, train, valid
            check_foreseen(*given, weighted=made.roles.weight is not None)
            with held((train, valid), tuning_id), contextlib.closing(Line()) as line:
                book = Book(
                    trials=trials,
                    known=known,
                    proposals=Proposals(self.domains, self.search, self.mode, self.seed),
                    count=self.num_samples,
                    metric=self.metric,
                    mode=self.mode,
                    say=line.say,
                    again=again,
                )
                with told_kept(lambda: search_note(tuning_id, book.kept, self.num_samples)):
                    result = self._run(train, valid, config, tuning_id, book)
                known = book.ended
        check_any(known)
        return TuneResult(
            id=tuning_id,
            metric=self.metric,
            mode=self.mode,
            trials=known,
            trainer=self.trainer,
            domains=self.domains,
            result=result,
        )

    def _run(
        self, train: Snapshot, valid: Snapshot, config: dict[str, Any], tuning_id: str, book: Book
    ) -> Any:
        if self._several:
            from raypipe.training.tuning.whole import run_whole

            more = {"metric": self.metric, "mode": self.mode, "every": self.every}
            names = {**more, "tuning_id": tuning_id, "max_failures": self.max_failures}
            trainer = self.trainer.with_learner(self.trainer.learner)
            if self.run_on != "auto":
                trainer.asked = replace(trainer.asked, run_on=self.run_on)
            run_whole(trainer, train, valid, book, **names)  # type: ignore[arg-type]
            return None
        recipe = self.trainer.recipe.fit(
            train,
            label=self.trainer.label,
            run_on=reading_place(self.run_on),
            memory_budget=self.trainer.asked.memory_budget,
        )
        self.trainer.learner.check_features(recipe.feature_names)
        rows = sum(part.rows for one in (train, valid) for part in one.parts())
        choice = self._choice(rows * len(recipe.feature_names), cluster_cpus())
        _logger.info("the search runs %s: %s", choice.place, choice.why)
        job = Fit(
            recipe=self.trainer.recipe,
            label=self.trainer.label,
            learner=self.trainer.learner,
            stopping=self.trainer.early_stopping,
            seed=self.trainer.seed,
            roles=self.trainer.roles,
            asked=self.trainer.asked,
            train=train,
            valid=valid,
            config=config,
            run_id=tuning_id,
            choice=choice,
        ).job(recipe)
        run = self._here if choice.place == "local" else self._on_ray
        return run(job, recipe, book)

    def _here(self, job: Job, recipe: FittedRecipe, book: Book) -> None:
        from raypipe.training.tuning.local import run_local

        threads = self.trainer.asked.cpus_per_worker
        workers = self._workers or max(1, cores() // (threads or 1))
        task = self._task(job, recipe, threads or max(1, cores() // workers))
        book.decide_by(Decider(self._made_scheduler()))
        folder = OwnedFolder.create()
        node = None
        try:
            if nbytes(job, recipe) > memory_bytes() * _HELD_SHARE:
                node = NodeFolder(f"{job.run_id}-{uuid.uuid4().hex[:8]}")
                sets = node.open(job, recipe)
            else:
                sets = in_memory(job, recipe, min(workers * task.threads, _AT_ONCE))
            run_local(task, sets, folder.path, book, workers)
        finally:
            if node is not None:
                node.close()
            folder.remove()

    def _on_ray(self, job: Job, recipe: FittedRecipe, book: Book) -> Any:
        from raypipe.training.engine import check_capacity
        from raypipe.training.tuning.actor import Rows
        from raypipe.training.tuning.engine import run_ray

        threads, gpus = self.trainer.asked.cpus_per_worker, gpus_of(self.trainer.learner)
        info = check_capacity(1, threads or 1, gpus)
        room = min(info.cpus, cores()) if info.local else info.cpus
        workers = self._workers or max(1, int(room // (threads or 1)))
        task = self._task(job, recipe, threads or max(1, int(room // workers)))
        name = f"{job.run_id}-{uuid.uuid4().hex[:8]}"  # no other search's, so it can be removed
        if nbytes(job, recipe) > _store_bytes() * _STORE_SHARE:
            rows = Rows(job=job, recipe=recipe, name=name)
        else:
            rows = Rows(sets=in_memory(job, recipe))
        made = self._made_scheduler()
        population = self.scheduler == "pbt"
        if isinstance(self.scheduler, str) and not population:
            Decider(made).replay(book.ended)
        root = job.lake.root
        shared = f"{root}/tuning/{name}" if "://" not in root else None
        return run_ray(
            task,
            rows,
            book,
            scheduler=made,
            domains=self.domains,
            population=population,
            workers=workers,
            cpus=max(1, info.cpus // workers) if info.local and population else task.threads,
            gpus=gpus,
            max_failures=self.max_failures,
            storage=None if info.local or not population else shared,
        )

    def _task(self, job: Job, recipe: FittedRecipe, threads: int) -> Task:
        return Task(
            learner=job.learner,
            metric=self.metric,
            mode=self.mode,
            stopping=job.stopping,
            every=self.every,
            seed=job.seed,
            threads=threads,
            features=tuple(recipe.feature_names),
            categorical=tuple(getattr(recipe, "categorical_features", ())),
            labels=job.train.labels,
            budget=job.budget,
            max_failures=self.max_failures,
        )

    def _made_scheduler(self) -> Any:
        return scheduler(
            self.scheduler,
            mode=self.mode,
            rounds=self.rounds,
            grace=self.grace,
            domains=self.domains,
            seed=self.seed,
        )

    def _choice(self, cells: int, cpus: float | None) -> Choice:
        return choose(
            self.run_on,
            cells=cells,
            rounds=self.rounds,
            trials=self.num_samples,
            population=self.scheduler == "pbt" or not isinstance(self.scheduler, str),
            cores=cores(),
            cluster_cpus=cpus,
        )

    def _id(self, config: dict[str, Any]) -> str:
        """Names the search by all that its trials depend on, but for how many there are."""
        optuna = require_optuna()
        space = {
            name: json.loads(optuna.distributions.distribution_to_json(one))
            for name, one in self._space.items()
        }
        asked = {
            "config": config,
            "space": space,
            "metric": self.metric,
            "mode": self.mode,
            "scheduler": self._named,
            "search": self.search,
            "every": self.every,
            "grace": self.grace,
            "seed": self.seed,
            "optuna": optuna.__version__,
        }
        return content_hash(asked)[:_SHOWN]

    def __repr__(self) -> str:
        return (
            f"Tuner({self.trainer!r}, {sorted(self.domains)}, {self.mode} {self.metric}, "
            f"num_samples={self.num_samples}, scheduler={self.scheduler!r}, search={self.search!r})"
        )

    def _repr_html_(self) -> str:
        asked = (
            f"{self.mode} {self.metric}, {self.num_samples} trials of up to {self.rounds} rounds"
        )
        how = f"{self.scheduler}, {self.search}, seed {self.seed}"
        told = {name: told_distribution(one) for name, one in self._space.items()}
        facts = {"trainer": repr(self.trainer), "search for": asked, "by": how, **told}
        return html_facts(facts, "Tuner")


def _store_bytes() -> float:
    """The smallest object store of a node."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node.get("Alive")]
    return min((float(node.get("object_store_memory", 0.0)) for node in nodes), default=0.0)
