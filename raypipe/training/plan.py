"""Which rows go to which rank: a pure plan, recorded in the manifest.

The parts of a scan are laid end to end in their fixed order; large parts are cut into equal slices;
then each rank takes one contiguous run of slices, as equal in rows as the slices allow. No row is
dropped to make the shares equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SLICES_PER_RANK = 8


@dataclass(frozen=True, slots=True)
class Slice:
    """The ``index``-th of ``of`` equal slices of a part's rows (after the scan's filter)."""

    part: int
    index: int = 0
    of: int = 1

    def bounds(self, rows: int) -> tuple[int, int]:
        """First row and the row after the last, of a part that has this many rows."""
        return rows * self.index // self.of, rows * (self.index + 1) // self.of


Shards = tuple[tuple[Slice, ...], ...]


def plan_shards(rows: Sequence[int], num_workers: int) -> Shards:
    """The slices of each rank.

    Args:
        rows: rows of each part, in the scan's order (upper bounds serve).
        num_workers: ranks to share them out to.

    Returns:
        For each rank its slices; every slice of every non-empty part is in exactly one of them, and
        concatenated by rank they are the scan.

    Raises:
        ConfigError: there are fewer rows than workers.
    """
    total = sum(rows)
    if total < num_workers:
        raise ConfigError(
            "there are fewer rows than workers",
            f"{total} rows for {num_workers} workers",
            "Check the filter of the snapshot, or ask for fewer workers.",
            "num_workers",
        )
    largest = max(1, total // (num_workers * _SLICES_PER_RANK))
    slices: list[tuple[Slice, float]] = []
    for part, count in enumerate(rows):
        pieces = max(1, -(-count // largest)) if count else 0
        slices += [(Slice(part, i, pieces), count / pieces) for i in range(pieces)]
    shards: list[list[Slice]] = [[] for _ in range(num_workers)]
    before = 0.0
    for piece, size in slices:
        # the rank in whose share of all rows the middle of the slice lies
        rank = min(int((before + size / 2) * num_workers / total), num_workers - 1)
        shards[rank].append(piece)
        before += size
    return tuple(tuple(shard) for shard in shards)


def to_json(shards: Shards) -> list[list[list[int]]]:
    """The plan as the manifest keeps it: rank, slice, (part, index, of)."""
    return [[[s.part, s.index, s.of] for s in shard] for shard in shards]
