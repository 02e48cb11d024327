"""A booster that grows round by round, each round a function of the model so far and its number.

XGBoost seeds a round by its number (``seed_per_iteration``), but the sampler of columns lives in
its tree updater and goes on from round to round, outside of the model: a booster that was loaded
draws other columns than one that never stopped. So where anything is sampled, the updater is made
anew before each round, by naming another tree method and the right one again. The cache of scores
stays. Measured on 200,000 rows by 20, this costs about 1 ms a round.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xgboost

from raypipe.core.errors import ConfigError
from raypipe.engine.cluster import memory_bytes
from raypipe.engine.memory import returned_at_once
from raypipe.training.matrices import Columns, Mode, choose_mode, matrix
from raypipe.training.params import samples
from raypipe.training.schedule import Schedule
from raypipe.training.train_loss import TrainLoss
from raypipe.training.xgboost_errors import first_words, in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Figures
    from raypipe.training.objectives import Objective, Task

Evals = list[tuple[xgboost.DMatrix, str]]
_SHARE = 0.5  # of the machine's memory, for all ranks on it
_AT_ONCE = 4  # pieces of files that a rank reads at a time, at most


class TreeSettings(Protocol):
    """What a session asks of its learner, ``XGBoost``."""

    @property
    def rounds(self) -> int:
        """How many to grow at most."""

    @property
    def learning_rate(self) -> float | Schedule:
        """Shrinkage of each tree."""

    @property
    def max_bin(self) -> int:
        """Histogram bins a feature."""

    @property
    def categorical(self) -> Sequence[str]:
        """Features whose values are codes."""

    def own_bins(self, *, weighted: bool, categories: bool) -> bool:
        """Whether raypipe seeks the bins, and not XGBoost."""

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Further parameters, by XGBoost's names."""

    @property
    def objective(self) -> Objective:
        """What is learned."""

    @property
    def task(self) -> Task:
        """The kind of problem."""

    @property
    def metrics(self) -> Sequence[str]:
        """What is evaluated after each round."""

    def booster_params(
        self, *, seed: int, threads: int, features: Sequence[str] = (), classes: int | None = None
    ) -> dict[str, Any]:
        """The parameters as ``xgboost.Booster`` takes them."""


class TreeSession:
    """XGBoost's booster, its matrices, and the settings of each round."""

    def __init__(self, learner: TreeSettings, evals: Evals, params: Mapping[str, Any]) -> None:
        """Made by ``of``; the first of the matrices is trained on."""
        self._learner = learner
        self._evals = self._watched = evals
        self._params = dict(params)
        self._samples = samples(learner.params)
        self._booster = self._made(None)
        self._loss: TrainLoss | None = None

    @classmethod
    def of(
        cls, learner: TreeSettings, train: Feed, valid: Feed | None, build: Build
    ) -> TreeSession:
        """Reads and bins the rows."""
        columns = Columns.of(build.features, [*learner.categorical, *build.categorical])
        rows = train.rows + (valid.rows if valid else 0)
        room = int(memory_bytes() * _SHARE) // build.world
        own = learner.own_bins(
            weighted=train.roles.weight is not None, categories=columns.kinds is not None
        )
        size = (rows, len(build.features), learner.max_bin)
        mode = choose_mode(*size, build.budget, room, own_bins=own)
        with returned_at_once() if build.budget is not None else nullcontext():
            evals = _evals(learner.max_bin, own, columns, mode, train, valid, build)
        params = learner.booster_params(
            seed=build.seed,
            threads=build.threads,
            features=build.features,
            classes=int(build.labels.high) + 1 if learner.task == "multiclass" else None,
        )
        made = cls(learner, evals, params)
        if build.only_valid and valid is not None:
            made._watched = evals[1:]
        elif _is_log_loss(learner):
            rows = evals[0][0]
            weight = rows.get_weight()
            made._loss = TrainLoss(rows.get_label(), weight if len(weight) else None, build.threads)
            made._watched = evals[1:]
        return made

    def _made(self, model: bytes | None) -> xgboost.Booster:
        cache = [one for one, _ in self._evals]
        return xgboost.Booster(self._params, cache, model_file=bytearray(model) if model else None)

    def load(self, model: bytes) -> None:
        """Goes on from bytes that ``save`` gave."""
        self._booster = self._made(model)

    def grow(self, number: int) -> Figures:
        """One round, and its figures on all sets."""
        settings: dict[str, Any] = {}
        if self._samples:
            self._booster.set_param({"tree_method": "approx"})
            self._booster.save_config()  # takes the setting in, and with it another updater
            settings["tree_method"] = "hist"
        if isinstance(self._learner.learning_rate, Schedule):
            rate = self._learner.learning_rate.at(number, self._learner.rounds)
            settings["learning_rate"] = rate
        if settings:
            self._booster.set_param(settings)
        with in_words(f"XGBoost failed in round {number}"):
            self._booster.update(self._evals[0][0], iteration=number)
            return self._train_loss() | _figures(self._booster.eval_set(self._watched, number))

    def _train_loss(self) -> Figures:
        if self._loss is None:
            return {}
        margin = self._booster.predict(self._evals[0][0], output_margin=True)
        told = np.array([self._loss.total(margin), self._loss.weight])
        if xgboost.collective.get_world_size() > 1:
            told = xgboost.collective.allreduce(told, xgboost.collective.Op.SUM)
        return {"train": {self._learner.metrics[0]: float(told[0] / told[1])}}

    def save(self) -> bytes:
        """The model as UBJ."""
        return bytes(self._booster.save_raw("ubj"))

    def cut(self, rounds: int) -> bytes:
        """The model of the first rounds."""
        if rounds == self._booster.num_boosted_rounds():
            return self.save()
        return bytes(self._booster[:rounds].save_raw("ubj"))


def _evals(
    max_bin: int,
    own_bins: bool,
    columns: Columns,
    mode: Mode,
    train: Feed,
    valid: Feed | None,
    build: Build,
) -> Evals:
    """The matrices, or those that another session has made of the same rows."""

    def made() -> Evals:
        folder, roomy = build.folder, mode != "disk" and build.budget is None
        if build.shared is not None and mode == "disk":  # each has files of its own
            folder = tempfile.mkdtemp(dir=folder)
        shared = 1 if build.shared is None else build.shared.threads
        settings: dict[str, Any] = {
            "max_bin": max_bin,
            "threads": max(build.threads, shared),
            "mode": mode,
            "folder": folder,
            # each piece that is read beside another takes memory of its own
            "at_once": min(build.threads, _AT_ONCE) if roomy else 1,
        }
        evals = [(matrix(train, columns, own_bins=own_bins, **settings), "train")]
        if valid is not None:
            evals.append((matrix(valid, columns, ref=evals[0][0], **settings), "valid"))
        return evals

    if build.shared is None:
        return made()
    # what lies on disk is read page by page, which two threads cannot do at once
    reader = threading.get_ident() if mode == "disk" else None
    kinds = None if columns.kinds is None else tuple(columns.kinds)
    return build.shared.get((max_bin, own_bins, kinds, mode, reader), made)


def _is_log_loss(learner: TreeSettings) -> bool:
    """Whether the log loss of two classes is all that is to be told of the rows to learn from."""
    plain = learner.objective.name == "binary:logistic" and list(learner.metrics) == ["logloss"]
    return plain and learner.device == "cpu"


def _figures(line: str) -> Figures:
    """The figures of a line like ``[3]	train-logloss:0.61	valid-logloss:0.63``."""
    found: Figures = {}
    for item in line.split("\t")[1:]:
        key, _, value = item.rpartition(":")
        name, _, metric = key.partition("-")
        found.setdefault(name, {})[metric] = float(value)
    return found


def rehearse(learner: TreeSettings) -> None:
    """Grows a tree on a few rows, so that XGBoost itself judges the parameters.

    Raises:
        ConfigError: it refuses them; its own words are in the error.
    """
    rng = np.random.default_rng(0)
    features = rng.random((16, 2), dtype=np.float32)
    classes = learner.params.get("num_class", 2)
    if not isinstance(classes, int) or classes < 2:
        raise ConfigError("num_class must be a whole number >= 2", classes, field="num_class")
    labels = np.arange(16) % (classes if learner.task == "multiclass" else 2)
    if learner.objective.above:
        labels = labels + 1
    group = np.repeat([0, 1], 8) if learner.task == "ranking" else None
    params = learner.booster_params(seed=0, threads=1, classes=classes)
    params.pop("device", None)  # the workers may have a GPU where this process has none
    try:
        rows = xgboost.QuantileDMatrix(
            features, label=labels, qid=group, max_bin=learner.max_bin, nthread=1
        )
        booster = xgboost.Booster(params, [rows])
        booster.update(rows, iteration=0)
        booster.eval_set([(rows, "train")], 0)
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        raise ConfigError(
            "XGBoost refuses the parameters", first_words(str(error)), None, "params"
        ) from None
