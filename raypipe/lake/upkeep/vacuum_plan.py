"""Which files nobody needs: pure decisions of a vacuum and of a clean-up of the log.

The answer may only be wrong in one way: a file that nobody needs may be kept.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from raypipe.lake.upkeep.pin_state import Pin, Ranges, merge_ranges

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from raypipe.lake.upkeep.log_files import Logged

_CHANGES = "_change_data"
_DATA = ".parquet"


@dataclass(frozen=True, slots=True)
class Found:
    """A file in the table's folder: path, bytes, and when it was written (ms since 1970)."""

    path: str
    size: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pin kept: files that would have gone without any pin.

    Attributes:
        holder: who needs them.
        version: of the table.
        files: how many.
        nbytes: their size.
    """

    holder: str
    version: int
    files: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class VacuumPlan:
    """What is to go.

    Attributes:
        files: the files to remove.
        kept: what each pin keeps, where it keeps anything.
        gone: the versions that cannot be read without the files.
    """

    files: tuple[Found, ...]
    kept: tuple[Kept, ...]
    gone: Ranges


def plan_vacuum(
    found: Iterable[Found],
    *,
    active: frozenset[str],
    commits: Sequence[Logged],
    pinned: Mapping[Pin, frozenset[str]],
    cutoff_ms: int,
    orphan_cutoff_ms: int,
) -> VacuumPlan:
    """Chooses the files that no retained version needs.

    Args:
        found: all files below the table's folder.
        active: files of the newest version.
        commits: the commits that can still be read.
        pinned: the files of each pinned version.
        cutoff_ms: what was in the table at this time, or later, stays.
        orphan_cutoff_ms: a file that no commit knows stays if it was written at this time or later:
            somebody may be about to commit it.
    """
    known, recent = _from_log(commits, cutoff_ms)
    keep = active | recent
    unwanted = [
        file
        for file in found
        if _ours(file.path)
        and file.path not in keep
        and file.at_ms < (cutoff_ms if file.path in known else min(cutoff_ms, orphan_cutoff_ms))
    ]
    needed = frozenset[str]().union(*pinned.values())
    kept = []
    for pin, paths in sorted(pinned.items(), key=lambda item: item[0]):
        mine = [file.size for file in unwanted if file.path in paths]
        if mine:
            kept.append(Kept(pin.holder, pin.version, len(mine), sum(mine)))
    files = tuple(file for file in unwanted if file.path not in needed)
    held = {pin.version for pin in pinned}
    return VacuumPlan(files, tuple(kept), _broken({f.path for f in files}, commits, held))


def _from_log(commits: Sequence[Logged], cutoff_ms: int) -> tuple[set[str], set[str]]:
    """Files that the log knows, and those that it says were needed after the cut-off."""
    known: set[str] = set()
    recent: set[str] = set()
    for commit in commits:
        late = commit.at_ms is None or commit.at_ms >= cutoff_ms
        known.update(commit.added, commit.changes, (path for path, _ in commit.removed))
        if late:
            recent.update(commit.changes)
        recent.update(path for path, at in commit.removed if late or at is None or at >= cutoff_ms)
    return known, recent


def _ours(path: str) -> bool:
    """Data, changes, and what a write that was killed left half-written; nothing hidden else."""
    *folders, name = path.split("/")
    for folder in folders:
        if folder.startswith(".") or (
            folder.startswith("_") and folder != _CHANGES and "=" not in folder
        ):
            return False
    if name.startswith("."):
        return name.endswith(".tmp")
    return name.endswith(_DATA) and not name.startswith("_")


def _broken(paths: set[str], commits: Sequence[Logged], held: Collection[int]) -> Ranges:
    """The versions that need one of the files; ``held`` ones are known to need none.

    Where the commit that removed a file was cleaned away, those before that gap of the log may.
    """
    since: dict[str, int] = {}
    ranges: list[tuple[int, int]] = []
    for commit in commits:
        for path, _ in commit.removed:
            if path in paths:
                ranges.append((since.pop(path, 0), commit.version))
        since.update((path, commit.version) for path in commit.added if path in paths)
    gaps = [a.version + 1 for a, b in pairwise(commits) if b.version > a.version + 1]
    ranges += [(v, end) for v in since.values() if (end := next((g for g in gaps if g > v), v))]
    if gaps and paths - _from_log(commits, 0)[0]:  # no entry tells who needed them
        old = (c.version for c in commits if c.version < gaps[-1] and c.version not in held)
        ranges += [(version, version + 1) for version in old]
    return merge_ranges(ranges)


def plan_log(
    present: Iterable[int],
    times: Mapping[int, int | None],
    checkpoints: Sequence[int],
    pinned: Iterable[int],
    cutoff_ms: int,
) -> tuple[int, ...]:
    """Versions whose files of the log may go: they are past, before a checkpoint, and nobody's.

    A version is read from the last checkpoint at or before it and the commits since. So what stays
    are such stretches: one for all that was newest at the cut-off or later, one for each pin.

    Args:
        present: versions of which the log has a file.
        times: when commits were made (ms since 1970), None where they do not say; of those that are
            there the oldest and the newest, at least up to the first that stays.
        checkpoints: versions with a checkpoint, ascending.
        pinned: versions that must stay readable.
        cutoff_ms: versions that were the newest at this time, or later, stay.
    """
    versions = sorted(times)
    if not versions:
        return ()
    newest = versions[-1]
    first = newest
    for version in reversed(versions):
        at = times[version]
        first = version
        if at is not None and at < cutoff_ms:
            break  # it was the newest until the commit after it
    keep: set[int] = set()
    for low, high in [(first, newest), *((p, p) for p in pinned)]:
        place = bisect_right(checkpoints, low)
        base = checkpoints[place - 1] if place else 0
        keep.update(range(base, high + 1))
    return tuple(v for v in sorted(set(present)) if v < newest and v not in keep)
