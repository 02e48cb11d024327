"""What a learner is: settings that build a session, which grows a model round by round.

There are ``XGBoost``, ``LightGBM`` and ``Sklearn``, and ``TrainLoop`` for everything else, which
Ray Train runs as it is. Another needs a frozen class of settings like
them, a session, a form of stored model, and a case in the conformance test. Nothing in the rest of
the room changes: feeding gives any session its rows, and what is kept,
resumed and stopped is a matter of rounds and of the bytes that ``save`` gives.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from raypipe.training.feeding import Feed
    from raypipe.training.objectives import Task
    from raypipe.training.survey import Labels
    from raypipe.training.takes import Takes

Figures = dict[str, dict[str, float]]
"""The figures of one round: by set (``train``, ``valid``) and metric."""

Made = TypeVar("Made")


class Shared:
    """What sessions on the same rows in one process use together, such as binned rows.

    Args:
        most: how many things are kept; the one that was not asked for longest goes first.
        threads: how many ``make`` may use, since all sessions wait for what it makes.
    """

    def __init__(self, most: int = 4, *, threads: int = 1) -> None:
        self._most, self.threads = most, threads
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gave for the key; it is called once, whatever the number of threads."""
        with self._lock:
            if key not in self._kept:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)
                self._kept[key] = make()
            self._kept.move_to_end(key)
            made: Made = self._kept[key]
            return made


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """What a session is built of, beside its rows.

    Attributes:
        seed: of all that is sampled.
        threads: how many it may use; the model does not depend on it.
        features: names of the features, in the order of their columns.
        categorical: those of them whose values are codes of categories.
        labels: what is known of the labels of all ranks.
        rank: this process's number.
        world: how many there are.
        budget: bytes that the session may take; None for what the machine has.
        folder: a folder on a local disk for what does not fit; removed by whoever gave it.
        shared: what other sessions on the same rows have made; None where there is no other.
        only_valid: whether nobody asks for figures of the rows to learn from, which cost time.
    """

    seed: int
    threads: int
    features: Sequence[str]
    labels: Labels
    categorical: Sequence[str] = ()
    rank: int = 0
    world: int = 1
    budget: int | None = None
    folder: str | None = field(default=None, repr=False)
    shared: Shared | None = field(default=None, repr=False)
    only_valid: bool = False


class Session(Protocol):
    """A model that grows."""

    def load(self, model: bytes) -> None:
        """Goes on from bytes that ``save`` gave."""

    def grow(self, number: int) -> Figures:
        """One round, the ``number``-th from 0. What comes out must depend on the model so far, the
        number and the rows, and on nothing else.
        """

    def save(self) -> bytes:
        """The model as bytes, in a format that is no pickle."""

    def cut(self, rounds: int) -> bytes:
        """The model of the first rounds, as ``save`` gives it."""


class Learner(Protocol):
    """Settings of a learner; immutable, and equal ones learn the same."""

    @property
    def form(self) -> str:
        """The file that ``Session.save`` fills: one of ``raypipe.models.forms.FORMS``."""

    @property
    def packages(self) -> Sequence[str]:
        """Packages whose version the model depends on, beyond those of every run."""

    @property
    def takes(self) -> Takes:
        """What it can be asked for."""

    @property
    def rounds(self) -> int:
        """How many rounds to grow at most; 1 for what is fitted at once."""

    @property
    def task(self) -> Task:
        """The kind of problem."""

    @property
    def metrics(self) -> Sequence[str]:
        """What is evaluated after each round; the first one stops early."""

    def check(self) -> None:
        """Refuses settings that the library behind it would refuse, before any work.

        Raises:
            ConfigError: it refuses them.
            MissingPartError: the library is not installed.
        """

    def check_labels(self, labels: Labels) -> None:
        """Refuses labels that cannot be learned.

        Raises:
            RecipeError: they are not what the learner takes.
        """

    def check_features(self, features: Sequence[str]) -> None:
        """Refuses settings that name features which are not there.

        Raises:
            ConfigError: a feature is not there.
        """

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """A session with its rows read."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as manifests keep it; its ``name`` says which learner it is."""


def learner_from(data: Mapping[str, Any]) -> Learner:
    """The learner that a manifest names.

    Raises:
        ConfigError: this release does not have it.
    """
    kinds = {
        "xgboost": ("raypipe.training.trees", "XGBoost"),
        "lightgbm": ("raypipe.training.light", "LightGBM"),
        "sklearn": ("raypipe.training.estimators", "Sklearn"),
        "loop": ("raypipe.training.loops", "TrainLoop"),
    }
    name = data.get("name")
    if name not in kinds:
        raise ConfigError("unknown learner", name, f"This release has: {', '.join(kinds)}.")
    module, kind = kinds[name]
    made: Learner = getattr(import_module(module), kind).from_dict(data)
    return made
