"""A LightGBM booster that grows round by round, each round a function of the model and its number.

LightGBM's samplers go on from round to round outside of the model. That of columns begins anew
with another seed, so before each round it gets one that follows from the round's number. That of
rows cannot be made to begin anew: where rows are drawn, a run that was killed begins from its
first round (``Takes.resumes``).
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from raypipe.core.errors import ConfigError, RecipeError, TrainingError
from raypipe.models.forms import parts_missing
from raypipe.training.light_params import AT, METRICS, draws_rows
from raypipe.training.schedule import Schedule

try:
    import lightgbm
    from lightgbm.basic import LightGBMError, _InnerPredictor
except ImportError as error:
    raise parts_missing("LightGBM", "lightgbm", error) from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from raypipe.training.feeding import Batch, Feed
    from raypipe.training.learner import Build, Figures
    from raypipe.training.objectives import Task

_REFUSED = re.compile(r'[\s\x00-\x1f\x7f",:\[\]{}]')
_DIGITS = 10
"""Of a figure: LightGBM adds up by threads, so its last bits depend on how many there are."""

_SETTINGS = re.compile(r"\nparameters:\n.*?\nend of parameters\n", re.DOTALL)


class LightSettings(Protocol):
    """What a session asks of its learner, ``LightGBM``."""

    @property
    def objective(self) -> str:
        """What is learned, by LightGBM's name."""

    @property
    def rounds(self) -> int:
        """How many to grow at most."""

    @property
    def num_leaves(self) -> int:
        """Leaves of a tree, at most."""

    @property
    def max_depth(self) -> int:
        """Depth of a tree."""

    @property
    def learning_rate(self) -> float | Schedule:
        """Shrinkage of each tree."""

    @property
    def max_bin(self) -> int:
        """Histogram bins a feature."""

    @property
    def metrics(self) -> Sequence[str]:
        """What is evaluated after each round."""

    @property
    def monotone(self) -> Mapping[str, int]:
        """Features whose effect may only rise or fall."""

    @property
    def interactions(self) -> Sequence[Sequence[str]]:
        """Groups of features that may meet in a branch."""

    @property
    def categorical(self) -> Sequence[str]:
        """Features whose values are codes."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Further parameters, by LightGBM's names."""

    @property
    def task(self) -> Task:
        """The kind of problem."""


class LightSession:
    """LightGBM's booster, its data sets, and the settings of each round."""

    def __init__(
        self, learner: LightSettings, train: Feed, valid: Feed | None, build: Build
    ) -> None:
        self._learner = learner
        self._build = build
        self._rows = (train.whole(), None if valid is None else valid.whole())
        classes = int(build.labels.high) + 1 if learner.task == "multiclass" else 1
        self._params = settings(learner, build.features, build.threads, build.seed, classes)
        self._booster: Any = None

    def _made(self, model: str | None) -> Any:
        before = None
        if model is not None:
            loaded = lightgbm.Booster(model_str=model)
            before = _InnerPredictor.from_booster(loaded, pred_parameter={})
        names = light_names(self._build.features)
        codes = {*self._learner.categorical, *self._build.categorical}
        marked = [n for n, name in enumerate(self._build.features) if name in codes]

        def data(batch: Batch, reference: Any) -> Any:
            made = lightgbm.Dataset(
                batch.features,
                label=batch.label,
                weight=batch.weight_of_rows(),
                group=batch.group_sizes(),
                feature_name=names,
                categorical_feature=marked,
                reference=reference,
                params=self._params,
            )
            if before is not None:  # as lightgbm.train does with init_model
                made._set_predictor(before)
            return made

        rows, others = self._rows
        train = data(rows, None)
        booster = lightgbm.Booster(self._params, train).set_train_data_name("train")
        if others is not None:
            booster.add_valid(data(others, train), "valid")
        return booster

    def load(self, model: bytes) -> None:
        """Goes on from bytes that ``save`` gave."""
        with _in_words("LightGBM cannot go on"):
            self._booster = self._made(model.decode())

    def grow(self, number: int) -> Figures:
        """One round, and its figures on all sets."""
        if self._booster is None:
            with _in_words("LightGBM cannot take the rows"):
                self._booster = self._made(None)
        learner = self._learner
        drawn = [self._build.seed, number]
        now: dict[str, Any] = {
            f"{name}_seed": int(np.random.SeedSequence([*drawn, place]).generate_state(1)[0] >> 1)
            for place, name in enumerate(("feature_fraction", "extra", "objective"))
        }
        if isinstance(learner.learning_rate, Schedule):
            now["learning_rate"] = learner.learning_rate.at(number, learner.rounds)
        with _in_words(f"LightGBM failed in round {number}"):
            self._booster.reset_parameter(now)
            self._booster.update()
            return self._figures()

    def _figures(self) -> Figures:
        named = {theirs: ours for ours, theirs in METRICS[self._learner.task].items()}
        named |= {f"{theirs}@{AT}": ours for theirs, ours in named.items() if "@" in ours}
        found: Figures = {}
        for data, metric, value, _ in (*self._booster.eval_train(), *self._booster.eval_valid()):
            found.setdefault(data, {})[named[metric]] = float(f"{value:.{_DIGITS}g}")
        order = self._learner.metrics
        return {data: {name: one[name] for name in order} for data, one in found.items()}

    def save(self) -> bytes:
        """The model as LightGBM's text, without the settings, which name threads."""
        return self.cut(self._booster.current_iteration())

    def cut(self, rounds: int) -> bytes:
        """The model of the first rounds."""
        text = self._booster.model_to_string(num_iteration=rounds)
        return _SETTINGS.sub("\n", text).encode()


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Around calls of LightGBM: its errors become raypipe's.

    Raises:
        RecipeError: no feature can part the rows.
        TrainingError: LightGBM failed for another reason.
    """
    try:
        yield
    except LightGBMError as error:
        reason = str(error)[:300]
        if "num_features()) > (0)" in reason:
            raise RecipeError(
                "LightGBM finds no feature that could part the rows",
                None,
                "Give more rows, features that vary, or a smaller min_data_in_leaf in params.",
            ) from error
        raise TrainingError(what, reason) from error


def settings(
    learner: LightSettings, features: Sequence[str], threads: int, seed: int, classes: int
) -> dict[str, Any]:
    """The parameters as LightGBM takes them."""
    rate = learner.learning_rate
    named = METRICS[learner.task]
    out: dict[str, Any] = {
        **learner.params,
        "objective": learner.objective,
        "num_leaves": learner.num_leaves,
        "max_depth": learner.max_depth,
        "learning_rate": rate.at(0, learner.rounds) if isinstance(rate, Schedule) else rate,
        "max_bin": learner.max_bin,
        "metric": [named[metric] for metric in learner.metrics],
        "num_class": classes,
        "seed": seed % 2**31,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if draws_rows(learner.params):
        out["bagging_freq"] = 1
    if learner.task == "ranking":
        out["eval_at"] = [AT]
    place = {name: number for number, name in enumerate(features)}
    if learner.monotone and features:
        out["monotone_constraints"] = [learner.monotone.get(name, 0) for name in features]
    if learner.interactions and features:
        out["interaction_constraints"] = [
            [place[name] for name in group] for group in learner.interactions
        ]
    return out


def light_names(features: Sequence[str]) -> list[str]:
    """Names that LightGBM takes; the recipe keeps the real ones, in the same order."""
    names: list[str] = []
    for feature in features:
        name = _REFUSED.sub("_", feature)
        while name in names:
            name += "_"
        names.append(name)
    return names


def rehearse(learner: LightSettings) -> None:
    """Grows a tree on a few rows, so that LightGBM itself judges the parameters.

    Raises:
        ConfigError: it refuses them; its own words are in the error.
    """
    rng = np.random.default_rng(0)
    many = learner.task == "multiclass"
    labels = np.arange(60) % (3 if many else 2) + (learner.objective == "gamma")
    params: Mapping[str, Any] = settings(learner, (), 1, 0, 3 if many else 1)
    try:
        rows = lightgbm.Dataset(
            rng.random((60, 2)),
            label=labels,
            group=[30, 30] if learner.task == "ranking" else None,
            params=dict(params),
        )
        booster = lightgbm.Booster(dict(params), rows)
        booster.update()
        booster.eval_train()
    except (LightGBMError, ValueError, TypeError) as error:
        raise ConfigError(
            "LightGBM refuses the parameters", str(error)[:300], None, "params"
        ) from None
