"""A snapshot as a dataset of Ray: one task for each group of files, or range of a large one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.expressions import encode
from raypipe.lake.log.prune import may_match
from raypipe.lake.read.broken import reading
from raypipe.lake.read.part import scan, shape
from raypipe.lake.read.rowgroups import BYTES, FIRST, row_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    import ray

    from raypipe.lake.read.part import LakePart

_MOST_BYTES = 64 * 2**20
"""A task holds its group in memory, where compressed columns take about four times their size."""

_LEAST_BYTES = 4 * 2**20
"""A task costs some 10 ms, which is the time to read about this much."""

_TASKS_PER_CPU = 4


def dataset(parts: Sequence[LakePart], target_bytes: int | None) -> ray.data.Dataset:
    """The parts' rows as a plain dataset.

    Raises:
        ConfigError: ``target_bytes`` is not a positive whole number.
        EngineError: Ray could not be started or joined.
    """
    import ray

    from raypipe.engine.cluster import ensure_ray

    if target_bytes is not None and (not isinstance(target_bytes, int) or target_bytes < 1):
        raise ConfigError("target_bytes is a positive number", target_bytes, None, "target_bytes")
    ensure_ray()
    cpus = int(ray.cluster_resources().get("CPU", 1))
    groups = plan(parts, target_bytes or _target(sum(p.nbytes for p in parts), cpus))

    def read(batch: Mapping[str, Any]) -> pa.Table:
        return to_arrow(pl.concat([read_group(groups[int(number)]) for number in batch["id"]]))

    # One block a group: with fewer rows than blocks Ray would cut again.
    numbers = ray.data.range(len(groups), override_num_blocks=len(groups))
    return numbers.map_batches(read, batch_size=None, batch_format="numpy")


def read_group(group: Sequence[LakePart]) -> pl.DataFrame:
    """The rows of parts with the same filter and selection, in their order.

    Raises:
        LakeError: a file is gone, cut short or spoilt.
    """
    return reading(group, shape(scan(group), group[0].where, group[0].columns).collect)


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    """As Arrow without string views, which other readers refuse."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _target(nbytes: int, cpus: int) -> int:
    return max(_LEAST_BYTES, min(_MOST_BYTES, nbytes // (_TASKS_PER_CPU * cpus)))


def plan(parts: Sequence[LakePart], target_bytes: int) -> list[tuple[LakePart, ...]]:
    """Groups of consecutive parts of about ``target_bytes`` each, large files cut into ranges."""
    groups: list[tuple[LakePart, ...]] = []
    now: list[LakePart] = []
    filled = 0
    for part in parts:
        if part.nbytes >= 2 * target_bytes:
            groups += [tuple(now)] if now else []
            groups += [(piece,) for piece in cut(part, target_bytes)]
            now, filled = [], 0
            continue
        if now and filled + part.nbytes > target_bytes:
            groups.append(tuple(now))
            now, filled = [], 0
        now.append(part)
        filled += part.nbytes
    return groups + ([tuple(now)] if now else [])


def cut(part: LakePart, target_bytes: int) -> list[LakePart]:
    """A file as ranges of whole row groups; those that no row of the filter can be in are left out.

    A file whose rows are partly deleted is one piece, and so is one whose footer is not at hand.
    """
    if part.deleted is not None:
        return [part]
    groups = row_groups(part)
    if groups is None:
        return [part]
    if part.where is not None:
        groups = groups.filter(may_match(encode(part.where), groups, part.schema))
    sizes = groups.select(pl.col(f"^{BYTES}\\..*$")).sum_horizontal()
    rows = zip(groups[FIRST], groups["num_records"], sizes, strict=True)
    spans = list(_spans(rows, target_bytes))
    return [replace(part, span=(first, count), rows=count) for first, count in spans] or [part]


def _spans(rows: Iterator[tuple[int, int, int]], target_bytes: int) -> Iterator[tuple[int, int]]:
    first = count = filled = 0
    for start, height, nbytes in rows:
        if count and (start != first + count or filled + nbytes > target_bytes):
            yield first, count
            count = filled = 0
        first = first if count else start
        count, filled = count + height, filled + nbytes
    if count:
        yield first, count
