"""Rows that are read once and used by every trial: held in memory, or in files of each node."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raypipe.training.feeding import Batch, Feed
from raypipe.training.plan import plan_shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raypipe.features import FittedRecipe
    from raypipe.training.rounds import Job
    from raypipe.training.survey import Survey

_FIELDS = ("features", "label", "weight", "margin", "group")


@dataclass(frozen=True, kw_only=True, slots=True)
class Held(Feed):
    """Rows that are there as batches already."""

    kept: Sequence[Batch]

    @property
    def rows(self) -> int:
        """Rows that it gives."""
        return sum(len(batch.label) for batch in self.kept)

    @property
    def held(self) -> bool:
        """They are kept anyway."""
        return True

    def batches(self, threads: int = 1) -> Iterator[Batch]:
        """The rows in their order."""
        return iter(self.kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sets:
    """What a trial learns from, and what it is judged on; pickles, and its arrays are shared where
    they come through Ray's object store.
    """

    train: Held
    valid: Held


def feeds(job: Job, recipe: FittedRecipe) -> tuple[Feed, Feed]:
    """Rows to learn from and rows to evaluate on, as they are read from the lake."""
    assert job.valid is not None
    return _feed(job, recipe, job.train, True), _feed(job, recipe, job.valid, False)


def _feed(job: Job, recipe: FittedRecipe, look: Survey, fitted_on: bool) -> Feed:
    return Feed(
        pieces=look.pieces,
        shard=plan_shards(look.known, 1, look.runs)[0],
        recipe=recipe,
        roles=job.roles,
        fitted_on=fitted_on,
    )


def nbytes(job: Job, recipe: FittedRecipe) -> int:
    """Bytes of the features of both sets."""
    return sum(feed.rows for feed in feeds(job, recipe)) * len(recipe.feature_names) * 4


def in_memory(job: Job, recipe: FittedRecipe, threads: int = 1) -> Sets:
    """The rows, read into memory, some pieces of files at once."""
    train, valid = feeds(job, recipe)
    return Sets(
        train=_held(train, list(train.batches(threads))),
        valid=_held(valid, list(valid.batches(threads))),
    )


def _held(feed: Feed, batches: Sequence[Batch]) -> Held:
    return Held(
        pieces=(),
        shard=(),
        recipe=feed.recipe,
        roles=feed.roles,
        fitted_on=feed.fitted_on,
        kept=tuple(batches),
    )


class NodeFolder:
    """Rows in files of this node, written by the first process that needs them and mapped by all.

    Each process holds a lock while it reads. The last one to close removes the folder; if all were
    killed, the next start of Ray on the machine does.

    Args:
        name: of the rows; processes that give the same one share them.
    """

    def __init__(self, name: str) -> None:
        base = tempfile.gettempdir()
        self.path = Path(base) / f"raypipe-rows-{name}"
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self.path / "owner.lock", os.O_CREAT | os.O_RDWR, 0o600)

    def open(self, job: Job, recipe: FittedRecipe) -> Sets:
        """The rows; read from the lake if no process of this node has."""
        train, valid = feeds(job, recipe)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if not (self.path / "done").exists():
                _write(self.path / "train", train)
                _write(self.path / "valid", valid)
                (self.path / "done").touch()
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        return Sets(
            train=_held(train, _mapped(self.path / "train")),
            valid=_held(valid, _mapped(self.path / "valid")),
        )

    def close(self) -> None:
        """Gives the rows up."""
        with contextlib.suppress(OSError):  # another process reads them
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _write(folder: Path, feed: Feed) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed while it wrote
    folder.mkdir()
    for number, batch in enumerate(feed.batches()):
        for name in _FIELDS:
            values = getattr(batch, name)
            if values is not None:
                np.save(folder / f"{number:06d}.{name}.npy", values, allow_pickle=False)


def _mapped(folder: Path) -> list[Batch]:
    found: list[Batch] = []
    for file in sorted(folder.glob("*.features.npy")):
        stem = file.name.partition(".")[0]
        batch = Batch(
            np.load(file, mmap_mode="r", allow_pickle=False), np.load(folder / f"{stem}.label.npy")
        )
        for name in _FIELDS[2:]:
            other = folder / f"{stem}.{name}.npy"
            if other.exists():
                batch = replace(batch, **{name: np.load(other, allow_pickle=False)})
        found.append(batch)
    return found
