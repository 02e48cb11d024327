"""The state of a run between rounds: enough to go on as if nothing had happened, in one file.

A file is a line with the SHA-256 of all that follows, a line of JSON, and the model's bytes. One
that is cut short or changed does not fit its hash and is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import IntegrityError
from raypipe.core.identity import bytes_hash
from raypipe.training.stopping import Best

if TYPE_CHECKING:
    from raypipe.training.learner import Figures

History = dict[str, dict[str, list[float]]]
FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A run after some rounds.

    Attributes:
        model: the model as its learner saves it; empty before the first round.
        rounds: rounds done.
        history: evaluation figures by set, metric and round.
        best: what early stopping knows.
        done: whether there is no round to come; then the model is the final one.
    """

    model: bytes = b""
    rounds: int = 0
    history: History = field(default_factory=dict)
    best: Best = field(default_factory=Best)
    done: bool = False

    def to_bytes(self, run_id: str) -> bytes:
        """The file of this state of a run."""
        head = {
            "format": FORMAT,
            "run_id": run_id,
            "rounds": self.rounds,
            "history": self.history,
            "best": self.best.to_dict(),
            "done": self.done,
        }
        rest = json.dumps(head).encode() + b"\n" + self.model
        return bytes_hash(rest).encode() + b"\n" + rest

    @classmethod
    def from_bytes(cls, data: bytes, run_id: str) -> State:
        """The state that a file holds.

        Raises:
            IntegrityError: it is cut short, was changed, or is not of this run.
        """
        told, _, rest = data.partition(b"\n")
        if told.decode("ascii", "replace") != bytes_hash(rest):
            raise IntegrityError("a checkpoint is cut short or changed", f"{len(data)} bytes")
        line, _, model = rest.partition(b"\n")
        head: dict[str, Any] = json.loads(line)
        if head.get("format") != FORMAT or head.get("run_id") != run_id:
            raise IntegrityError("a checkpoint is not one of this run", head.get("run_id"))
        return cls(
            model=model,
            rounds=head["rounds"],
            history=head["history"],
            best=Best.from_dict(head["best"]),
            done=head["done"],
        )


def extended(history: History, figures: Figures) -> None:
    """Adds the figures of one round to a history, in place."""
    for name, values in figures.items():
        for metric, value in values.items():
            history.setdefault(name, {}).setdefault(metric, []).append(value)


def first_rounds(history: History, rounds: int) -> History:
    """The figures of so many rounds."""
    return {
        name: {metric: values[:rounds] for metric, values in each.items()}
        for name, each in history.items()
    }
