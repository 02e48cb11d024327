"""Training a model on a snapshot, across machines, to bytes that depend only on what went in."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, RecipeError, SchemaError, TrainingError
from raypipe.core.identity import content_hash
from raypipe.core.uris import is_local, join
from raypipe.features import FittedRecipe, Recipe
from raypipe.models import ModelBundle, labelled_scores, metrics
from raypipe.training.holding import held
from raypipe.training.learner import XGBoost
from raypipe.training.plan import Shards, plan_shards, to_json
from raypipe.training.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake import Lake, Snapshot
    from raypipe.training.checkpoints import State

_PACKAGES = ("raypipe", "ray", "xgboost", "polars", "numpy")


class Trainer:
    """Fits a recipe and a learner on a snapshot with Ray Train.

    The finished model is a function of the recipe, the learner, the seed, the number of workers,
    the distance of checkpoints, the rows of the snapshot and the package versions: a worker that is
    killed, or a driver that is and is started again, changes no byte of it.

    Args:
        recipe: the features.
        label: the column, raw or made by the recipe, to predict: 0 or 1, null where unknown.
        learner: what is learned.
        num_workers: ranks; the model depends on it.
        cpus_per_worker: logical CPUs and threads of each rank; the model does not depend on it.
        seed: seeds everything that is sampled.
        checkpoint_every: rounds between checkpoints. The model depends on it: what XGBoost samples
            begins anew at each, so that a resumed run samples the same.
        max_failures: how often a lost worker is replaced before ``fit`` gives up.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        label: str,
        learner: XGBoost | None = None,
        num_workers: int = 2,
        cpus_per_worker: int = 1,
        seed: int = 0,
        checkpoint_every: int = 25,
        max_failures: int = 3,
    ) -> None:
        counts = {
            "num_workers": num_workers,
            "cpus_per_worker": cpus_per_worker,
            "checkpoint_every": checkpoint_every,
        }
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number >= 1", value, field=name)
        self.recipe = recipe
        self.label = label
        self.learner = learner or XGBoost()
        self.num_workers = num_workers
        self.cpus_per_worker = cpus_per_worker
        self.seed = seed
        self.checkpoint_every = checkpoint_every
        self.max_failures = max_failures

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
            valid: rows to evaluate on after each round and, exactly, at the end.
            tags: JSON for the manifest, part of the run's identity.
            rebuild: a word that makes this another run although nothing else differs, for a rebuild
                that must not read back the original.

        Raises:
            RecipeError: the recipe does not fit the rows (a column is missing, the label has one
                class, ...).
            ConfigError: there are fewer rows than workers, or the lake is not on a file system.
            ResourceError: the cluster can never hold the workers.
            TrainingError: it did not finish; calling again goes on.
        """
        lake = train.lake
        if not is_local(lake.root):
            raise ConfigError(
                "training keeps its checkpoints in the lake, which must be a folder for now",
                lake.root,
                "Use a lake on a folder that all nodes share.",
            )
        config = self._config(train, valid, dict(tags or {}), rebuild)
        run_id = content_hash(config)[:20]
        finished = _read_back(lake, run_id, valid)
        if finished is not None:
            return finished
        with held((train, valid), run_id):
            return self._train(train, valid, config, run_id)

    def _train(
        self, train: Snapshot, valid: Snapshot | None, config: dict[str, Any], run_id: str
    ) -> Run:
        lake = train.lake
        fitted = self.recipe.fit(train, label=self.label)
        _check_labels(fitted, train)
        parts, valid_parts = train.parts(), valid.parts() if valid else ()
        if valid is not None:
            _check_valid(fitted, valid)
        shards = plan_shards([part.rows for part in parts], self.num_workers)
        valid_shards = (
            plan_shards([part.rows for part in valid_parts], self.num_workers) if valid else ()
        )
        from raypipe.training import checkpoints, engine
        from raypipe.training.worker import Job

        result = engine.run_train(
            Job(
                recipe=fitted.to_json(),
                learner=self.learner,
                seed=self.seed,
                threads=self.cpus_per_worker,
                checkpoint_every=self.checkpoint_every,
                parts=parts,
                shards=shards,
                valid_parts=valid_parts,
                valid_shards=valid_shards,
            ),
            name=run_id,
            storage=join(lake.root, "runs"),
            num_workers=self.num_workers,
            cpus_per_worker=self.cpus_per_worker,
            max_failures=self.max_failures,
        )
        if result.checkpoint is None:
            raise TrainingError(f"run {run_id} ended without a checkpoint", act="Call fit again.")
        state = checkpoints.from_checkpoint(result.checkpoint)
        if state.rounds != self.learner.rounds:
            raise TrainingError(
                f"run {run_id} was stopped",
                f"{state.rounds} of {self.learner.rounds} rounds",
                "The same fit goes on from there.",
            )
        bundle = self._bundle(state, fitted, config, run_id, shards, valid)
        _keep(lake, run_id, bundle, state.history)
        return Run(id=run_id, bundle=bundle, history=state.history, valid=valid, result=result)

    def _config(
        self, train: Snapshot, valid: Snapshot | None, tags: dict[str, Any], rebuild: str | None
    ) -> dict[str, Any]:
        """All that the model's bytes depend on."""
        config = {
            "recipe": json.loads(self.recipe.to_json()),
            "label": self.label,
            "learner": self.learner.to_dict(),
            "seed": self.seed,
            "num_workers": self.num_workers,
            "checkpoint_every": self.checkpoint_every,
            "train": train.identity(),
            "valid": valid.identity() if valid else None,
            "tags": tags,
            "packages": {
                "python": platform.python_version(),
                **{name: package_version(name) for name in _PACKAGES},
            },
        }
        return config | ({"rebuild": rebuild} if rebuild else {})

    def _bundle(
        self,
        state: State,
        fitted: FittedRecipe,
        config: dict[str, Any],
        run_id: str,
        shards: Shards,
        valid: Snapshot | None,
    ) -> ModelBundle:
        manifest = {
            **{key: value for key, value in config.items() if key != "rebuild"},
            "run_id": run_id,
            "rows": state.rows,
            "label_mean": state.positives / state.rows,
            "shards": to_json(shards),
            "metrics": {},
        }
        bundle = ModelBundle(state.model, fitted, manifest)
        if valid is not None:
            manifest["metrics"] = metrics.evaluate(*labelled_scores(bundle, valid))
            bundle = ModelBundle(state.model, fitted, manifest)
        return bundle

    def __repr__(self) -> str:
        return (
            f"Trainer({self.recipe!r}, label={self.label!r}, {self.learner!r}, "
            f"num_workers={self.num_workers}, seed={self.seed})"
        )


def _check_labels(fitted: FittedRecipe, train: Snapshot) -> None:
    """Refuses what XGBoost would refuse only in the workers, after every retry."""
    for part in train.parts():
        labels = fitted.labels(part.read(fitted.label_columns)).drop_nulls()
        other = labels.filter(~labels.is_in([0.0, 1.0]))
        if len(other):
            raise RecipeError(
                f"the label {fitted.label!r} must be 0, 1 or null",
                repr(other[0]),
                "Derive a label of two classes.",
                fitted.label,
            )


def _check_valid(fitted: FittedRecipe, valid: Snapshot) -> None:
    missing = [name for name in fitted.source_columns if name not in valid.schema]
    if missing:
        raise SchemaError(
            "the validation rows lack a column", missing[0], "Use the same table.", missing[0]
        )
    if not any(part.rows for part in valid.parts()):
        raise ConfigError(
            "there are no validation rows", repr(valid), "Check the filter of valid=.", "valid"
        )


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
    trainer = Trainer(
        Recipe.from_json(json.dumps(manifest["recipe"])),
        label=manifest["label"],
        learner=XGBoost.from_dict(manifest["learner"]),
        num_workers=manifest["num_workers"],
        checkpoint_every=manifest["checkpoint_every"],
        seed=manifest["seed"],
    )
    valid = manifest["valid"]
    return trainer.fit(
        lake.snapshot(manifest["train"]),
        lake.snapshot(valid) if valid else None,
        tags=manifest["tags"],
        rebuild=attempt,
    )


def _folder(run_id: str) -> str:
    return f"runs/{run_id}/finished"


def _keep(lake: Lake, run_id: str, bundle: ModelBundle, history: dict[str, Any]) -> None:
    for name, data in bundle.to_files().items():
        lake.files.put(f"{_folder(run_id)}/{name}", data)
    # written last: its presence says that the run is finished
    lake.files.put(f"{_folder(run_id)}/history.json", json.dumps(history).encode())


def _read_back(lake: Lake, run_id: str, valid: Snapshot | None) -> Run | None:
    if not lake.files.exists(f"{_folder(run_id)}/history.json"):
        return None
    history = json.loads(lake.files.get(f"{_folder(run_id)}/history.json"))
    bundle = ModelBundle.from_files(lambda name: lake.files.get(f"{_folder(run_id)}/{name}"))
    return Run(id=run_id, bundle=bundle, history=history, valid=valid, result=None)
