"""The state of a run between rounds: enough to go on as if nothing had happened."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "model.ubj"
STATE = "state.json"
_FIGURES = ("rounds", "history", "rows", "positives")
History = dict[str, dict[str, list[float]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A run after some rounds.

    Attributes:
        model: the booster as UBJ bytes; empty before the first round.
        rounds: rounds done.
        history: evaluation figures by set, metric and round.
        rows: labelled rows trained on, by all ranks together.
        positives: those of them whose label is 1.
    """

    model: bytes = b""
    rounds: int = 0
    history: History = field(default_factory=dict)
    rows: int = 0
    positives: int = 0


@contextmanager
def as_checkpoint(state: State) -> Iterator[ray.train.Checkpoint]:
    """The state as a Ray checkpoint, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / MODEL).write_bytes(state.model)
        (path / STATE).write_text(json.dumps({name: getattr(state, name) for name in _FIGURES}))
        yield ray.train.Checkpoint.from_directory(folder)


def from_checkpoint(checkpoint: ray.train.Checkpoint) -> State:
    """The state that a checkpoint holds."""
    with checkpoint.as_directory() as folder:
        path = Path(folder)
        data: dict[str, Any] = json.loads((path / STATE).read_text())
        model = (path / MODEL).read_bytes()
    return State(model=model, **{name: data[name] for name in _FIGURES})
