"""A training loop of the user's own as one checked value."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from raypipe.core.errors import ConfigError
from raypipe.core.settings import checked_arguments
from raypipe.models.trusting import found, function_named, name_of, source_hash, trust
from raypipe.training.fitness import check_labels
from raypipe.training.objectives import TASK_LABELS, Objective, Task
from raypipe.training.takes import Takes

if TYPE_CHECKING:
    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Session
    from raypipe.training.survey import Labels

Backend = Literal["none", "xgboost", "torch"]
_DEVICES = ("cpu", "cuda")
Function = Callable[..., Any]


@checked_arguments()
@dataclass(frozen=True, slots=True)
class TrainLoop:
    """A loop of your own, as Ray Train knows it: it runs on each worker, on its rows.

    In it all of ``ray.train`` is as usual. ``ray.train.get_dataset_shard("train")`` gives the
    worker's rows, transformed by the recipe, as a ``raypipe.training.Shard`` (``"valid"`` the
    validation rows): the same rows in the same order each time, none dropped.
    ``ray.train.report(metrics, checkpoint=…)`` keeps a checkpoint in the lake, the last two of
    them; after a worker's, the controller's or the driver's death the loop is called again and
    ``ray.train.get_checkpoint()`` gives the last one. What the loop reports last with a checkpoint
    is the model: the files of that checkpoint, in whatever safe format you write.

    A model that can predict needs ``load`` and ``predict``, functions at the top of a module: they
    are found again by their names, in processes that trust them (``rp.trust``).

    raypipe does not promise that a loop gives the same bytes twice, as it does of its own learners.
    It sees that the rows, their order, the configuration and the seed are the same. The manifest
    says ``"reproducible": false``, and ``rp.reproduce`` tells whether the bytes were equal.

    Attributes:
        loop: ``train_loop_per_worker``, with the configuration or without; or its name,
            ``"module:function"``. A change of its own source makes another run; a change of what it
            calls does not, so give that a word in ``config``.
        config: what it is called with, plain JSON; ``"seed"`` is the trainer's unless it is given.
        load: from the model's folder (its path as a text) to the model in memory.
        predict: from the model and rows (float32, n by features, missing is NaN) to n scores, or n
            by classes. A row should have the same score alone and among others.
        task: what the label is: ``"binary"`` (0 or 1), ``"multiclass"``, ``"regression"`` or
            ``"ranking"`` (with ``Trainer(group=…)``).
        classes: how many classes there are, if several.
        backend: the collective that Ray Train sets up between the workers: ``"xgboost"`` (whose
            ``xgboost.collective`` takes arrays of numpy), ``"torch"`` or ``"none"``.
        device: ``"cpu"``, or ``"cuda"`` for a GPU for each worker.
        packages: packages whose version the model depends on.

    Raises:
        ConfigError: a function is none or cannot be found again, the configuration is no plain
            JSON, or a value is out of its range.
    """

    loop: Function | str
    _: KW_ONLY
    config: Mapping[str, Any] = field(default_factory=dict)
    load: Function | str | None = None
    predict: Function | str | None = None
    task: Task = "binary"
    classes: int | None = None
    backend: Backend = "none"
    device: str = "cpu"
    packages: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("loop", "load", "predict"):
            self._take(name)
        if (self.load is None) != (self.predict is None):
            absent = "load" if self.load is None else "predict"
            raise ConfigError("load= and predict= go together", None, f"Give {absent}=.", absent)
        if not isinstance(self.config, Mapping):
            raise ConfigError("config is a mapping", type(self.config).__name__, field="config")
        try:
            json.dumps(dict(self.config), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError("config must be plain JSON", str(error), field="config") from None
        for name, value, all_ in (
            ("task", self.task, get_args(Task)),
            ("backend", self.backend, get_args(Backend)),
            ("device", self.device, _DEVICES),
        ):
            if value not in all_:
                raise ConfigError(f"no such {name}", value, f"Use one of: {', '.join(all_)}.", name)
        number = self.classes
        if (self.task == "multiclass") != (number is not None):
            raise ConfigError("classes= goes with task='multiclass'", number, field="classes")
        if number is not None and (not isinstance(number, int) or number < 2):
            raise ConfigError("classes must be a whole number >= 2", number, field="classes")
        if isinstance(self.packages, str):
            raise ConfigError("packages are several", self.packages, field="packages")

    def _take(self, name: str) -> None:
        given = getattr(self, name)
        if given is None and name != "loop":
            return
        if isinstance(given, str):
            given = found(given)
            object.__setattr__(self, name, given)
        if not callable(given):
            raise ConfigError(f"{name} is a function", type(given).__name__, field=name)
        least, most = (0, 1) if name == "loop" else (1, 1) if name == "load" else (2, 2)
        takes = _takes(given)
        if takes is not None and (takes[0] > most or takes[1] < least):
            wanted = {"loop": "its configuration or nothing", "load": "a folder"}
            raise ConfigError(
                f"{name} is called with {wanted.get(name, 'the model and rows')}",
                str(inspect.signature(given)),
                None,
                name,
            )
        named = _name(given)
        if name == "loop":
            source_hash(given)
            if getattr(given, "__closure__", None):
                raise ConfigError(
                    "the loop holds values of the function around it, which no run id could tell",
                    ", ".join(given.__code__.co_freevars),
                    "Give them in config=.",
                    name,
                )
        elif named is None or named.startswith("__main__:"):
            raise ConfigError(
                f"{name}= must be found again by processes that score",
                named or getattr(given, "__qualname__", repr(given)),
                "Define it at the top of a module that they can import, not in the program itself.",
                name,
            )
        if named is not None:  # who gives it trusts it
            trust(named)

    @property
    def form(self) -> str:
        """The model's file."""
        return "model.zip"

    @property
    def takes(self) -> Takes:
        """Ranks, weights and margins; when to stop is the loop's own business."""
        return Takes(rounds=False, loop=True)

    @property
    def rounds(self) -> int:
        """Not known before."""
        return 1

    @property
    def metrics(self) -> Sequence[str]:
        """Not known before: what the loop reports."""
        return ()

    @property
    def names(self) -> tuple[str | None, str | None]:
        """The names of ``load`` and ``predict``."""
        load, predict = (None if f is None else _name(f) for f in (self.load, self.predict))
        return load, predict

    def check(self) -> None:
        """Refuses a backend whose library is not installed.

        Raises:
            MissingPartError: it is not.
        """
        from raypipe.training.loops.engine import backend_config

        backend_config(self.backend)

    def check_labels(self, labels: Labels) -> None:
        """Refuses labels that are none of the task.

        Raises:
            RecipeError: one is out of range, or is not a whole number where it must be.
        """
        objective = Objective("this loop", self.task, "", **TASK_LABELS[self.task])
        check_labels(objective, labels, self.classes)

    def check_features(self, features: Sequence[str]) -> None:
        """No setting names a feature."""

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """A loop has no session.

        Raises:
            ConfigError: always.
        """
        raise _no_session()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as manifests keep it."""
        loop = self.loop
        load, predict = self.names
        out: dict[str, Any] = {
            "name": "loop",
            "loop": _name(loop) or f"{loop.__module__}:{loop.__qualname__}",  # type: ignore[union-attr]
            "code": source_hash(loop),  # type: ignore[arg-type]
            "config": dict(self.config),
            "task": self.task,
        }
        extra = {
            "classes": self.classes,
            "load": load,
            "predict": predict,
            "backend": None if self.backend == "none" else self.backend,
            "device": None if self.device == _DEVICES[0] else self.device,
            "packages": list(self.packages),
        }
        return out | {name: value for name, value in extra.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainLoop:
        """The learner that a manifest names, if this process trusts its functions.

        Raises:
            ConfigError: it names another learner, or a function that is not trusted, cannot be
                found, or is not what it was.
        """
        if data.get("name") != "loop" or not isinstance(data.get("loop"), str):
            raise ConfigError("these are not a loop's settings", data.get("name"))
        if "<" in data["loop"]:
            raise ConfigError(
                "the loop stood inside of a function and cannot be found by its name",
                data["loop"],
                "Call fit with it again: that goes on with the same run.",
                "loop",
            )
        values = {key: value for key, value in data.items() if key not in ("name", "code")}
        for name in ("loop", "load", "predict"):
            if name in values:
                values[name] = function_named(values[name])
        made = cls(**{**values, "packages": tuple(values.get("packages", ()))})
        if made.to_dict()["code"] != data.get("code"):
            raise ConfigError(
                "the loop is not what it was",
                data["loop"],
                "Check out the code of that run, or call fit to begin a new one.",
                "loop",
            )
        return made


def _no_session() -> ConfigError:
    return ConfigError(
        "a loop of your own is not grown round by round", None, "Use Trainer.fit.", "learner"
    )


def _name(function: Any) -> str | None:
    """The name under which a function is found, or None where it is not."""
    try:
        named = name_of(function)
        return named if found(named) is function else None
    except ConfigError:
        return None


def _takes(function: Function) -> tuple[int, float] | None:
    """How many arguments a function needs, and how many it can take; None where nobody knows."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    placed = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    most = float("inf") if any(p.kind is p.VAR_POSITIONAL for p in known) else len(placed)
    only_named = [p for p in known if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    need = sum(p.default is p.empty for p in placed)
    return (99 if only_named else need), most
