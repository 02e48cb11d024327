"""Which settings the next trial gets: a function of seed, number of the trial and trials before it.

Optuna proposes; what it draws depends on nothing that a process keeps. So a search that was killed
and goes on proposes what it would have proposed, as long as trials end in the same order: with one
worker always, with several not.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from raypipe.core.errors import ConfigError
from raypipe.training.tuning.space import distributions, require_optuna

if TYPE_CHECKING:
    from collections.abc import Mapping

Mode = Literal["min", "max"]
SEARCHES = ("tpe", "random")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A trial that ended.

    Attributes:
        number: of the trial, from 0.
        params: what it was given.
        value: its figure at the end; NaN where it has none.
        rounds: how far it came.
        stopped: whether the scheduler ended it before its last round.
        failed: whether it ended in an error.
    """

    number: int
    params: Mapping[str, Any]
    value: float
    rounds: int
    stopped: bool = False
    failed: bool = False


class Proposals:
    """Proposes settings, trial by trial.

    Args:
        domains: domains of ``ray.tune`` by name.
        search: ``"tpe"`` (Bergstra et al., Algorithms for hyper-parameter optimization, 2011),
            or ``"random"``.
        mode: whether small or large figures are good.
        seed: of the search.

    Raises:
        MissingPartError: Optuna is not installed.
        ConfigError: the search is unknown.
    """

    def __init__(self, domains: Mapping[str, Any], search: str, mode: Mode, seed: int) -> None:
        if search not in SEARCHES:
            raise ConfigError("unknown search", search, f"Use one of {SEARCHES}.", "search")
        optuna = require_optuna()
        self._optuna = optuna
        self._search, self._seed = search, seed
        self._space = distributions(domains)
        direction = "minimize" if mode == "min" else "maximize"
        self._study = optuna.create_study(direction=direction)
        self._open: dict[int, Any] = {}

    def propose(self, number: int) -> dict[str, Any]:
        """The settings of a trial."""
        self._study.sampler = self._sampler(number)
        trial = self._study.ask(self._space)
        self._open[number] = trial
        return dict(trial.params)

    def tell(self, told: Told) -> None:
        """Takes what came of a trial, whether it was proposed here or by a process before."""
        state = self._optuna.trial.TrialState
        lost = told.failed or math.isnan(told.value)
        trial = self._open.pop(told.number, None)
        if trial is None:
            params = {name: told.params[name] for name in self._space}
            kind = state.FAIL if lost else state.PRUNED if told.stopped else state.COMPLETE
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    state=kind,
                    params=params,
                    distributions=self._space,
                    value=None if kind is not state.COMPLETE else told.value,
                    intermediate_values={} if lost else {told.rounds: told.value},
                )
            )
            return
        if lost:
            self._study.tell(trial, state=state.FAIL)
            return
        trial.report(told.value, told.rounds)
        if told.stopped:
            self._study.tell(trial, state=state.PRUNED)
        else:
            self._study.tell(trial, told.value)

    def _sampler(self, number: int) -> Any:
        samplers = self._optuna.samplers
        text = f"{self._seed}:{number}".encode()
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")
        if self._search == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, constant_liar=True)
