"""What a learner can be asked for beside its own settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from raypipe.training.asked import Asked
    from raypipe.training.stopping import EarlyStopping
    from raypipe.training.survey import Roles


@dataclass(frozen=True, kw_only=True, slots=True)
class Takes:
    """What a learner takes.

    Attributes:
        ranks: whether several ranks can share the rows.
        margin: whether it can begin from a base margin.
        rounds: whether it grows in rounds, so that it can stop early.
        resumes: whether a model that was saved and loaded grows as if it had not been; otherwise a
            run that was killed begins again.
        loop: whether it is a loop of the user's own, which Ray Train's workers run.
    """

    ranks: bool = True
    margin: bool = True
    rounds: bool = True
    resumes: bool = True
    loop: bool = False

    def check(self, asked: Asked, roles: Roles, stopping: EarlyStopping | None) -> None:
        """Refuses what the learner cannot do, before any work.

        Raises:
            ConfigError: several ranks, a margin or early stopping are asked for in vain.
        """
        if not self.ranks and asked.num_workers != 1:
            raise ConfigError(
                "this learner has all rows in one process",
                asked.num_workers,
                "Use num_workers=1, or XGBoost for several.",
                "num_workers",
            )
        if not self.margin and roles.margin:
            raise ConfigError(
                "this learner takes no base margin", list(roles.margin), None, "base_margin"
            )
        if self.loop and stopping is not None:
            raise ConfigError(
                "a loop of your own stops when it ends", None, "Return from it.", "early_stopping"
            )
        if self.loop and asked.run_on == "local":
            raise ConfigError(
                "a loop of your own runs on Ray Train's workers",
                asked.run_on,
                'Use run_on="auto"; without a cluster a Ray is started on this machine.',
                "run_on",
            )
        if not self.rounds and stopping is not None:
            raise ConfigError(
                "this learner is fitted at once and cannot stop early",
                None,
                "Use the settings of the estimator itself.",
                "early_stopping",
            )
