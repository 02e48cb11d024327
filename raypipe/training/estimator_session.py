"""One fit of an estimator, to bytes that depend on rows, settings and seed, not on threads.

Threads share trees, never sums: products of matrices run in one, since their last bits depend on
how many there are. What an estimator remembers of its threads is set to one.
"""

from __future__ import annotations

import threading
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from raypipe.core.errors import ConfigError, RecipeError
from raypipe.models import metrics
from raypipe.models.forms import parts_missing
from raypipe.training.estimator_names import ESTIMATORS

try:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from raypipe.models.forms.estimators import (
        SklearnScorer,
        missing_value,
        require_skops,
        takes_missing,
        to_bytes,
    )
except ImportError as error:
    raise parts_missing("scikit-learn with skops", "sklearn", error) from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.training.feeding import Batch, Feed
    from raypipe.training.learner import Build, Figures
    from raypipe.training.objectives import Task

_FIGURES = {
    "logloss": metrics.log_loss,
    "mlogloss": metrics.multi_log_loss,
    "rmse": metrics.rmse,
}
_SEEDS = 2**32


_fitting = threading.Lock()
"""Held during a fit: filters of warnings and limits of threads belong to the whole process, so that
two fits that overlap would lift each other's, and leave them set when both are done."""


class EstimatorSettings(Protocol):
    """What a session asks of its learner, ``Sklearn``."""

    @property
    def estimator(self) -> str:
        """Its name, one of ``ESTIMATORS``."""

    @property
    def classes(self) -> int:
        """Of a classifier."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters, by scikit-learn's names."""

    @property
    def task(self) -> Task:
        """The kind of problem."""

    @property
    def metrics(self) -> Sequence[str]:
        """What is evaluated after the fit."""


class EstimatorSession:
    """An estimator and its rows; it grows once."""

    def __init__(
        self, learner: EstimatorSettings, train: Feed, valid: Feed | None, build: Build
    ) -> None:
        self._learner = learner
        self._build = build
        self._train = train.whole()
        self._valid = None if valid is None else valid.whole()
        self._model = b""

    def load(self, model: bytes) -> None:
        """Goes on from bytes that ``save`` gave: there is nothing to be done any more."""
        self._model = model

    def grow(self, number: int) -> Figures:
        """The fit, and its figures on all sets.

        Raises:
            RecipeError: a feature is missing and the estimator takes none that is, or it finds no
                model for such rows.
        """
        made = estimator(self._learner, self._build.seed, self._build.threads)
        self._check(self._train, made)
        try:
            self._model = fitted(made, self._train, self._build.threads)
        except RecipeError as error:
            empty = self._without_value()
            if error.act is not None or empty is None:
                raise
            act = f"The feature {empty!r} is missing in every row: leave it out of the recipe."
            raise RecipeError(error.what, error.got, act, empty) from error
        return self._figures()

    def _without_value(self) -> str | None:
        """The first feature that is missing in every row."""
        lacking = np.isnan(self._train.features).all(axis=0)
        return self._build.features[int(lacking.argmax())] if lacking.any() else None

    def _check(self, batch: Batch, made: Any) -> None:
        if takes_missing(made):
            return
        for start in range(0, len(batch.label), 65_536):
            lacking = np.isnan(batch.features[start : start + 65_536]).any(axis=0)
            if lacking.any():
                column = int(lacking.argmax())
                name = self._build.features[column]
                raise missing_value(self._learner.estimator, column, name)

    def _figures(self) -> Figures:
        scorer, name = SklearnScorer(self._model), self._learner.metrics[0]
        found: Figures = {}
        for data, batch in (("train", self._train), ("valid", self._valid)):
            if batch is not None and len(batch.label):
                scores = scorer.score(batch.features)
                found[data] = {name: _FIGURES[name](batch.label, scores)}
        return found

    def save(self) -> bytes:
        """The model as a skops file."""
        return self._model

    def cut(self, rounds: int) -> bytes:
        """The same."""
        return self._model


def estimator(learner: EstimatorSettings, seed: int, threads: int) -> Any:
    """The estimator, not yet fitted."""
    name = learner.estimator
    made = getattr(import_module(ESTIMATORS[name]), name)()
    known = made.get_params()
    ours = {"random_state": seed % _SEEDS, "n_jobs": threads if "Trees" in name else None}
    ours |= {"n_jobs": threads} if "Forest" in name else {}
    return made.set_params(**learner.params, **{k: v for k, v in ours.items() if k in known})


def fitted(made: Any, rows: Batch, threads: int) -> bytes:
    """The file of the estimator fitted on rows.

    Raises:
        RecipeError: it finds no model for them.
    """
    linear = "linear_model" in type(made).__module__
    features = rows.features.astype(np.float64) if linear else rows.features
    label = rows.label.astype(np.float64)
    with (
        _fitting,
        warnings.catch_warnings(),
        threadpool_limits(1, user_api="blas"),
        threadpool_limits(threads, user_api="openmp"),
    ):
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            made.fit(features, label, sample_weight=rows.weight)
        except ConvergenceWarning as error:
            raise RecipeError(
                f"{type(made).__name__} does not converge on these rows",
                " ".join(str(error).split())[:200],
                "Scale the features in the recipe, or give max_iter in params.",
            ) from None
        except ValueError as error:
            raise RecipeError(
                f"{type(made).__name__} cannot be fitted on these rows",
                " ".join(str(error).split())[:300],
            ) from error
    if "n_jobs" in made.get_params():  # trees summed by several threads have other last bits
        made.set_params(n_jobs=None)
    bins = getattr(made, "_bin_mapper", None)
    if bins is not None:
        bins.n_threads = 1
    return to_bytes(made)


def rehearse(learner: EstimatorSettings) -> None:
    """Fits on a few rows, so that scikit-learn itself judges the parameters.

    Raises:
        ConfigError: it refuses them; its own words are in the error.
        MissingPartError: skops is not installed.
    """
    require_skops()
    rng = np.random.default_rng(0)
    labels = np.arange(60) % learner.classes + (learner.task == "regression")
    made = estimator(learner, 0, 1)
    known = made.get_params()
    small = {name: 2 for name in ("n_estimators", "max_iter") if name in known}
    if all(isinstance(known[n] or 2, int) and (known[n] or 2) > 1 for n in small):
        made.set_params(**small)  # what a fit costs must not be paid twice
    with _fitting, warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        try:
            made.fit(rng.random((60, 3)), labels)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                "scikit-learn refuses the parameters",
                " ".join(str(error).split())[:300],
                None,
                "params",
            ) from None
