"""XGBoost whose trials fail at a round, as often as wanted; a worker of Ray can import it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import raypipe as rp
from raypipe.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Failing(rp.XGBoost):
    """Fails in a trial of one of ``depths`` before round ``at``, the first ``times`` that it gets
    there. What was done is counted in files, so that processes share the count. A search does not
    depend on these settings: mended, it has the same id.
    """

    folder: str
    at: int = 12
    times: int = 1
    depths: Sequence[int] = range(99)
    refused: bool = False

    def build(self, train: Any, valid: Any, build: Any) -> Any:
        session = rp.XGBoost.build(self, train, valid, build)
        return _Session(session, self) if self.max_depth in self.depths else session

    def fail(self) -> None:
        name = f"{self.max_depth}-{self.learning_rate}"
        for count in range(self.times):
            try:
                Path(self.folder, f"{name}-{count}").touch(exist_ok=False)
            except FileExistsError:
                continue
            if self.refused:
                raise ConfigError("the learner refuses this", self.max_depth)
            raise OSError("the disk had a hiccup")


class _Session:
    def __init__(self, session: Any, learner: Failing) -> None:
        self._session, self._learner = session, learner

    def grow(self, number: int) -> Any:
        if number == self._learner.at:
            self._learner.fail()
        return self._session.grow(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
