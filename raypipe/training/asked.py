"""How a run is to be run: seats, checkpoints, place. Checked once."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, MissingPartError
from raypipe.engine.place import check_run_on

if TYPE_CHECKING:
    from raypipe.engine.place import RunOn

_PACKAGES = ("raypipe", "ray", "xgboost", "polars", "numpy")
_LEAST_BUDGET = 64 * 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The arguments of ``Trainer`` that say how, and not what.

    Raises:
        ConfigError: a value is out of its range.
    """

    num_workers: int | tuple[int, int]
    cpus_per_worker: int | None
    checkpoint_every: timedelta | int
    memory_budget: int | None
    run_on: RunOn
    max_failures: int

    def __post_init__(self) -> None:
        workers = self.num_workers
        pair = isinstance(workers, tuple) and len(workers) == 2
        for one in workers if isinstance(workers, tuple) and pair else (workers,):
            _check("num_workers", one, 1)
        if isinstance(workers, tuple) and workers[0] > workers[1]:
            raise ConfigError("num_workers is (fewest, most)", workers, field="num_workers")
        _check("cpus_per_worker", self.cpus_per_worker, 1, optional=True)
        _check("memory_budget", self.memory_budget, _LEAST_BUDGET, optional=True)
        _check("max_failures", self.max_failures, 0)
        if not isinstance(self.checkpoint_every, timedelta):
            _check("checkpoint_every", self.checkpoint_every, 1)
        elif self.checkpoint_every <= timedelta(0):
            raise ConfigError(
                "checkpoint_every must be longer than 0",
                self.checkpoint_every,
                field="checkpoint_every",
            )
        check_run_on(self.run_on)

    @property
    def elastic(self) -> bool:
        """Whether the number of workers may change on the way."""
        return isinstance(self.num_workers, tuple)

    @property
    def fewest_workers(self) -> int:
        """The least number of ranks."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def most_workers(self) -> int:
        """The greatest number of ranks."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]

    def settings(self) -> dict[str, Any]:
        """The arguments by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        every = self.checkpoint_every
        told = {"seconds": every.total_seconds()} if isinstance(every, timedelta) else every
        return {**self.settings(), "checkpoint_every": told}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Asked:
        """The values of ``to_dict``."""
        every, workers = data["checkpoint_every"], data["num_workers"]
        return cls(
            **{
                **data,
                "checkpoint_every": timedelta(**every) if isinstance(every, Mapping) else every,
                "num_workers": tuple(workers) if isinstance(workers, list) else workers,
            }
        )

    @staticmethod
    def packages(more: Sequence[str] = ()) -> dict[str, str]:
        """The versions that a model depends on; ``more`` are those of its learner.

        Raises:
            MissingPartError: one of the learner's is not installed.
        """
        found = {"python": platform.python_version()}
        for name in (*_PACKAGES, *more):
            try:
                found[name] = version(name)
            except PackageNotFoundError as error:
                raise MissingPartError(
                    f"the package {name} is not installed", None, f"Run: pip install {name}", name
                ) from error
        return found


def _check(name: str, value: object, low: int, *, optional: bool = False) -> None:
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        act = "Give bytes, such as 512 * 1024**2." if name == "memory_budget" else None
        raise ConfigError(f"{name} must be a whole number >= {low}", value, act, name)
