"""Training a model on a snapshot, across machines, to bytes that depend only on what went in."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, ResourceError
from raypipe.core.markup import html_facts
from raypipe.core.settings import checked_arguments
from raypipe.engine.cluster import cluster_cpus, cores, memory_bytes
from raypipe.engine.place import Choice
from raypipe.features import Recipe
from raypipe.lake.lake import check_lake
from raypipe.training.asked import Asked
from raypipe.training.budget import check_foreseen
from raypipe.training.fitting import Fit, gpus_of
from raypipe.training.given import check_given, check_tags, learners_own
from raypipe.training.holding import held
from raypipe.training.interrupted import run_note, told_kept
from raypipe.training.learner import Learner, learner_from
from raypipe.training.place import choose
from raypipe.training.runs import Runs
from raypipe.training.stopping import EarlyStopping, check_stopping
from raypipe.training.stored import (
    keep_config,
    read_config,
    read_finished,
    run_id_of,
    whole_id,
)
from raypipe.training.survey import Roles, check_roles, check_snapshots
from raypipe.training.telling import close_if_left, quietly, told_started
from raypipe.training.trees import XGBoost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.engine.place import RunOn
    from raypipe.lake import Lake, Snapshot
    from raypipe.training.run import Run

_logger = logging.getLogger(__name__)
_GPU = Path("/dev/nvidiactl")
_ENGINE = "raypipe.training.engine"  # imported by the first fit on Ray


@checked_arguments(learners_own)
class Trainer:
    """Fits a recipe and a learner on a snapshot, in this process or with Ray Train.

    The finished model is a function of the recipe, the learner, the seed, the number of workers,
    the rows of the snapshot and the package versions. Where it was trained, when checkpoints were
    written, and which process was killed and started again change no byte of it. An elastic number
    of workers is the exception: such a model's manifest says ``"reproducible": false``.

    Args:
        recipe: the features.
        label: the column, raw or made by the recipe, to predict; null where unknown.
        learner: what is learned.
        num_workers: ranks; the model depends on it. ``(fewest, most)`` lets Ray Train change it on
            the way. A fixed number waits without end for a node in a lost one's place.
        cpus_per_worker: CPUs and threads of each rank; the model does not depend on it. By default
            all cores in this process, and one for each rank on a cluster.
        seed: seeds everything that is sampled.
        weight: the column that says how much a row counts.
        base_margin: the column, or one for each output, that the booster begins from.
        group: the column whose equal values are ranked among each other; such rows lie together.
        early_stopping: when to stop before all rounds are grown; needs validation rows.
        checkpoint_every: how often the state is written to the lake: a time, or a number of rounds.
        memory_budget: bytes of private memory (anonymous pages, on Linux ``RssAnon``) that the
            process that fits the recipe, and each rank, may take beyond what it has when it begins.
            Rows are then read some columns or some rows at a time, in one thread, and features and
            bins go to a local disk as far as they must; the model is the same. XGBoost needs about
            48 bytes a row and 4 MiB a feature whatever lies on disk, other learners all features
            as float32: a budget below that is refused. What it reckons with is numbers: pieces of a
            table (32 MiB of a file, or a row group that is larger) whose text takes many times as
            much in memory may go beyond it. Files that are mapped do not count, since the system
            takes their pages back, nor do the validation rows' figures at the end, and a loop of
            your own minds the budget itself. By default half of the machine's memory for the rows.
        run_on: ``"local"`` in this process, ``"ray"`` with Ray Train, ``"auto"`` by what is known
            of the rows and the cluster; ``Run.facts`` says which. The recipe is fitted where that
            is quicker, but for ``"local"``.
        max_failures: how often a lost worker is replaced before ``fit`` gives up.

    Raises:
        ConfigError: a value is out of its range, or does not suit another.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        label: str,
        learner: Learner | None = None,
        num_workers: int | tuple[int, int] = 1,
        cpus_per_worker: int | None = None,
        seed: int = 0,
        weight: str | None = None,
        base_margin: str | Sequence[str] | None = None,
        group: str | None = None,
        early_stopping: EarlyStopping | None = None,
        checkpoint_every: timedelta | int = timedelta(seconds=10),
        memory_budget: int | None = None,
        run_on: RunOn = "auto",
        max_failures: int = 3,
    ) -> None:
        margins = (base_margin,) if isinstance(base_margin, str) else base_margin
        check_given(
            recipe=recipe,
            label=label,
            learner=learner,
            columns={"weight": weight, "group": group},
            margins=margins,
            early_stopping=early_stopping,
        )
        self.recipe = recipe
        self.label = label
        self.learner: Learner = learner or XGBoost()
        self.asked = Asked(
            num_workers=num_workers,
            cpus_per_worker=cpus_per_worker,
            checkpoint_every=checkpoint_every,
            memory_budget=memory_budget,
            run_on=run_on,
            max_failures=max_failures,
        )
        self.roles = Roles(weight=weight, margin=tuple(margins or ()), group=group)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise ConfigError("seed must be a whole number from 0 to 2**63 - 1", seed, field="seed")
        self.seed = seed
        self.early_stopping = early_stopping
        if (self.learner.task == "ranking") != (group is not None):
            raise ConfigError(
                "ranking needs a group, and nothing else does",
                group,
                "Give group= with a rank: objective, and only then.",
                "group",
            )
        self.learner.takes.check(self.asked, self.roles, early_stopping)

    def fit(
        self,
        train: Snapshot,
        valid: Snapshot | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        rebuild: str | None = None,
    ) -> Run:
        """Trains, or goes on, or gives back what was trained before.

        A fit with the same configuration on the same rows has the same run id: finished, it is read
        back without training; interrupted, it goes on from its last checkpoint. Until a day after
        its end the versions that it reads are pinned, so that no vacuum takes their files.

        Args:
            train: the rows to learn from; those without a label are left out.
            valid: rows to evaluate on after each round and at the end.
            tags: JSON for the manifest, part of the run's identity.
            rebuild: a word that makes this another run although nothing else differs, for a rebuild
                that must not read back the original.

        Raises:
            RecipeError: the recipe does not fit the rows (a column is missing, the label has one
                class, ...), or the labels are not what the learner takes.
            ConfigError: there are fewer rows than workers, the learner's settings are refused,
                the memory budget is too small for the rows, or they are not a snapshot.
            SchemaError: a column for weights, margins or groups is missing, or the validation rows
                lack one.
            ResourceError: the cluster can never hold the workers.
            LakeAccessError: the lake's storage failed for minutes; calling again goes on.
            TrainingError: it did not finish; calling again goes on.
            KeyboardInterrupt: Ctrl-C; its note says what is kept, and the call that goes on.
        """
        if self.early_stopping is not None:
            if valid is None:
                raise ConfigError(
                    "early stopping needs validation rows", None, "Pass valid=.", "early_stopping"
                )
            check_stopping(self.early_stopping, self.learner.metrics)
        check_tags(tags)
        config = self.config(train, valid, tags, rebuild)
        run_id = run_id_of(config)
        finished = read_finished(train.lake, run_id, valid)
        if finished is not None:
            close_if_left(train.lake, finished)
            return finished
        self.learner.check()
        for snapshot, name in ((train, "train"), (valid, "valid")):
            if snapshot is not None:
                check_roles(snapshot, self.roles, name)
        given = self.asked, self.learner, self.recipe, self.label, train, valid
        check_foreseen(*given, weighted=self.roles.weight is not None)
        choice = self._choice(train)
        runs = Runs(train.lake)
        with held((train, valid), run_id):
            keep_config(train.lake, run_id, config, self.asked.to_dict())
            with told_kept(partial(run_note, train.lake, run_id, self.learner)):
                told_started(runs, run_id, config, self.asked, choice)
                try:
                    return Fit(
                        recipe=self.recipe,
                        label=self.label,
                        learner=self.learner,
                        stopping=self.early_stopping,
                        seed=self.seed,
                        roles=self.roles,
                        asked=self.asked,
                        train=train,
                        valid=valid,
                        config=config,
                        run_id=run_id,
                        choice=choice,
                    ).run()
                except BaseException as error:
                    quietly(partial(runs.failed, run_id, error))
                    raise

    @classmethod
    def resume(cls, lake: Lake, run_id: str) -> Run:
        """Goes on with a run whose driver died, with what it was asked for, to its end.

        Args:
            lake: where the run was started.
            run_id: as ``Runs`` lists it, or the beginning of it that no other run has.

        Raises:
            RunNotFoundError: no run of this lake begins so, or several do.
            ConfigError: the packages have changed since, so that it would be another run.
            IntegrityError: the stored configuration is not that of the run.
            TrainingError: as ``fit``.
        """
        check_lake(lake)
        run_id = whole_id(lake, run_id)
        config, how = read_config(lake, run_id)
        trainer = cls.from_config(config, Asked.from_dict(how))
        train, valid = lake.snapshot(config["train"]), config["valid"]
        other = lake.snapshot(valid) if valid else None
        now = trainer.config(train, other, config["tags"], config.get("rebuild"))
        if run_id_of(now) != run_id:
            then, here = config["packages"], now["packages"]
            changed = {n: (then.get(n), v) for n, v in here.items() if then.get(n) != v}
            raise ConfigError(
                f"run {run_id} was begun with other packages",
                changed,
                "Install those, or call fit to begin a new run.",
            )
        return trainer.fit(train, other, tags=config["tags"], rebuild=config.get("rebuild"))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], asked: Asked | None = None) -> Trainer:
        """The trainer that a manifest, or a run's stored configuration, names."""
        workers, roles = config["num_workers"], config.get("roles", {})
        stopping = config.get("early_stopping")
        how = asked.settings() if asked is not None else {}
        return cls(
            Recipe.from_json(json.dumps(config["recipe"])),
            label=config["label"],
            learner=learner_from(config["learner"]),
            seed=config["seed"],
            early_stopping=EarlyStopping(**stopping) if stopping else None,
            **{
                **how,
                "num_workers": tuple(workers) if isinstance(workers, list) else workers,
                "memory_budget": config.get("memory_budget"),
                "weight": roles.get("weight"),
                "base_margin": roles.get("margin"),
                "group": roles.get("group"),
            },
        )

    def with_learner(self, learner: Learner) -> Trainer:
        """The same trainer with another learner, or with other settings of it.

        Raises:
            ConfigError: the learner's task does not suit ``group``.
        """
        return Trainer(
            self.recipe,
            label=self.label,
            learner=learner,
            seed=self.seed,
            weight=self.roles.weight,
            base_margin=self.roles.margin,
            group=self.roles.group,
            early_stopping=self.early_stopping,
            **self.asked.settings(),
        )

    def config(
        self,
        train: Snapshot,
        valid: Snapshot | None,
        tags: Mapping[str, Any] | None = None,
        rebuild: str | None = None,
    ) -> dict[str, Any]:
        """All that the model's bytes depend on, as JSON; what was not asked for is left out.

        Raises:
            ConfigError: the rows are not a snapshot.
        """
        check_snapshots(train=train, valid=valid)
        workers = self.asked.num_workers
        roles = {
            "weight": self.roles.weight,
            "margin": list(self.roles.margin),
            "group": self.roles.group,
        }
        config: dict[str, Any] = {
            "recipe": json.loads(self.recipe.to_json()),
            "label": self.label,
            "learner": self.learner.to_dict(),
            "seed": self.seed,
            "num_workers": workers if isinstance(workers, int) else list(workers),
            "train": train.identity(),
            "valid": valid.identity() if valid else None,
            "tags": dict(tags or {}),
            "packages": Asked.packages(self.learner.packages),
        }
        extra = {
            "roles": {name: value for name, value in roles.items() if value},
            "early_stopping": self.early_stopping.to_dict() if self.early_stopping else None,
            "memory_budget": self.asked.memory_budget,
            "rebuild": rebuild,
        }
        return config | {name: value for name, value in extra.items() if value}

    def _choice(self, train: Snapshot) -> Choice:
        """Where to train; refuses at once what a cluster could never hold."""
        asked, loop = self.asked, self.learner.takes.loop
        choice = choose(
            "ray" if loop else asked.run_on,
            rows=sum(part.rows for part in train.parts()),
            features=len(train.schema),
            rounds=self.learner.rounds,
            workers=asked.most_workers,
            cpus=asked.cpus_per_worker or 1,
            cores=cores(),
            memory=memory_bytes(),
            cluster_cpus=cluster_cpus() if asked.run_on == "auto" else None,
            elastic=asked.elastic,
            warm=_ENGINE in sys.modules,
        )
        if loop:
            choice = Choice("ray", "a loop of your own runs on Ray Train's workers")
        _logger.info("training runs %s: %s", choice.place, choice.why)
        if choice.place == "ray":
            from raypipe.training.engine import check_capacity

            gpus = gpus_of(self.learner)
            check_capacity(asked.num_workers, asked.cpus_per_worker or 1, gpus)
        elif gpus_of(self.learner) and not _GPU.exists():  # XGBoost would go on without one
            raise ResourceError(
                "this machine has no GPU", "device='cuda'", "Use device='cpu'.", "device"
            )
        return choice

    def __repr__(self) -> str:
        return (
            f"Trainer({self.recipe!r}, label={self.label!r}, {self.learner!r}, "
            f"num_workers={self.asked.num_workers}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "recipe": repr(self.recipe),
            "label": self.label,
            "learner": repr(self.learner),
            "workers": self.asked.num_workers,
            "seed": self.seed,
            "early stopping": self.early_stopping or "none",
            **{name: value for name, value in asdict(self.roles).items() if value},
        }
        return html_facts(facts, "trainer")


def rebuild(lake: Lake, manifest: Mapping[str, Any], *, attempt: str) -> Run:
    """Trains once more exactly what a manifest names.

    Args:
        lake: where the tables that it names are.
        manifest: of the version to rebuild.
        attempt: names this rebuild; the same word goes on with an interrupted one.

    Raises:
        VersionNotFoundError: a table version that it names is gone.
        TrainingError: as ``Trainer.fit``.
    """
    valid = manifest["valid"]
    return Trainer.from_config(manifest).fit(
        lake.snapshot(manifest["train"]),
        lake.snapshot(valid) if valid else None,
        tags=manifest["tags"],
        rebuild=attempt,
    )
