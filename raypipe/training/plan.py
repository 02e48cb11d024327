"""Which rows go to which rank: a pure plan, recorded in the manifest.

The labelled rows of a scan's parts (its files, after the filter) are laid end to end in their
fixed order, and each rank takes one contiguous share, as equal as whole rows allow, or whole groups
where rows are ranked within groups. A large file is shared by ranks, each of which reads the row
groups that hold its rows. No row is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Slice:
    """Labelled rows of a part, from ``start`` up to ``stop``, counted from the part's first."""

    part: int
    start: int
    stop: int


Shards = tuple[tuple[Slice, ...], ...]


def plan_shards(known: Sequence[int], num_workers: int, groups: Sequence[int] = ()) -> Shards:
    """The slices of each rank.

    Args:
        known: labelled rows of each part, in the scan's order.
        num_workers: ranks to share them out to.
        groups: sizes of groups that must stay whole, in order; none where rows stand alone.

    Returns:
        For each rank its slices, none of them empty; each row is in exactly one, and concatenated
        by rank they are the scan. Shares differ by one row, or by about one group.

    Raises:
        ConfigError: there are fewer rows (or groups) than workers.
    """
    total = sum(known)
    units = len(groups) if groups else total
    if units < num_workers:
        kind = "groups" if groups else "rows with a label"
        raise ConfigError(
            f"there are fewer {kind} than workers",
            f"{units} {kind} for {num_workers} workers",
            "Check the filter of the snapshot, or ask for fewer workers.",
            "num_workers",
        )
    ends = [total * rank // num_workers for rank in range(num_workers + 1)]
    if groups:
        ends = _at_groups(ends, list(accumulate(groups)))
    firsts = [0, *accumulate(known)]
    return tuple(
        tuple(
            Slice(part, max(low, first) - first, min(high, first + count) - first)
            for part, (first, count) in enumerate(zip(firsts, known, strict=False))
            if max(low, first) < min(high, first + count)
        )
        for low, high in pairwise(ends)
    )


def _at_groups(ends: Sequence[int], stops: Sequence[int]) -> list[int]:
    """Ends moved to ends of groups, so that each rank has at least one group."""
    moved, number, ranks = [0], 0, len(ends) - 1
    for rank in range(1, ranks):
        number = max(number + 1, sum(stop <= ends[rank] for stop in stops))
        number = min(number, len(stops) - (ranks - rank))
        moved.append(stops[number - 1])
    return [*moved, ends[-1]]


def to_json(shards: Shards) -> list[list[list[int]]]:
    """The plan as the manifest keeps it: rank, slice, (part, start, stop)."""
    return [[[s.part, s.start, s.stop] for s in shard] for shard in shards]
