"""Which files are put together: a pure plan from the log's list of files.

A bin is a run of files of one partition that follow each other in reading order, and becomes one
file that stands where the first of them stood. So the rows of a partition keep their order, however
many bins there are and whoever else rewrites other bins meanwhile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LARGE_SHARE = 0.75
"""A file of this share of the target size is large enough: it stays as it is."""

AUTO_FILES = 50
"""A write compacts by itself what would put at least this many files into one."""

GROUP_BYTES = 2**30
"""How many bytes of files one worker at most orders along a Z-curve at once."""

_STEM = re.compile(r"^(?P<stem>.*?)(?:\.c[0-9a-f]{32})?(?:\.parquet)?$", re.DOTALL)
_REPLACED_BY_NAME = "batch-"


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file of the table, as its log lists it.

    Attributes:
        path: relative to the table's folder, as it is on disk.
        stamp: the log's modification time, by which files are read in order.
        size_bytes: its size.
        rows: its rows.
        partition: values of the partition columns.
    """

    path: str
    stamp: int
    size_bytes: int
    rows: int
    partition: tuple[Any, ...] = ()


Bin = tuple[OldFile, ...]


def plan_bins(
    files: Iterable[OldFile], target_bytes: int, *, least_files: int = 2, thrifty: bool = False
) -> tuple[Bin, ...]:
    """Runs of small files that fit into one file of the target size.

    A second plan over the outcome of the first finds next to nothing: large files stay, and the
    files of two bins that follow each other do not fit into one.

    Args:
        files: the table's files in reading order.
        target_bytes: how large a file should become.
        least_files: smaller bins are left out.
        thrifty: put no file together with others that are smaller than it in all. Every time that
            a row is rewritten its file then at least doubles, so that compacting after each few
            writes rewrites a row at most log2(target / first size) times.
    """
    chosen: list[Bin] = []
    for one in _by_partition(files).values():
        for found in _packed(one, target_bytes):
            kept = _thrifty(found) if thrifty else found
            if len(kept) >= max(2, least_files):
                chosen.append(kept)
    return tuple(chosen)


def plan_groups(files: Iterable[OldFile], max_bytes: int = GROUP_BYTES) -> tuple[Bin, ...]:
    """All files, as runs of one partition that one worker can hold, for a new order of their rows.

    A file larger than ``max_bytes`` is a group of its own.
    """
    groups: list[Bin] = []
    for one in _by_partition(files).values():
        run: list[OldFile] = []
        for file in one:
            if run and sum(f.size_bytes for f in run) + file.size_bytes > max_bytes:
                groups.append(tuple(run))
                run = []
            run.append(file)
        groups.append(tuple(run))
    return tuple(groups)


def new_path(first: OldFile, attempt: str, number: int = 0) -> str:
    """Where the file lies that takes the place of a bin: it sorts as the bin's first file did.

    Names that stand for a batch in a quarantine table are not kept, for a batch that is written
    again takes away all files that carry its name.

    Args:
        first: the bin's first file.
        attempt: 32 hexadecimal digits, unique to the attempt.
        number: of the bin in the attempt.
    """
    folder, slash, name = first.path.rpartition("/")
    found = _STEM.match(name)
    stem = found["stem"] if found else name
    if stem.startswith(_REPLACED_BY_NAME):
        stem = f"part-{attempt}-{number:08d}"
    return f"{folder}{slash}{stem}.c{attempt}.parquet"


def check_target(target_bytes: int | None) -> None:
    """Refuses what is no size of a file.

    Raises:
        ConfigError: it is not a whole number of at least 1.
    """
    if target_bytes is not None and (
        not isinstance(target_bytes, int) or isinstance(target_bytes, bool) or target_bytes < 1
    ):
        raise ConfigError(
            "target_bytes must be a whole number >= 1", target_bytes, None, "target_bytes"
        )


def _by_partition(files: Iterable[OldFile]) -> dict[tuple[Any, ...], list[OldFile]]:
    found: dict[tuple[Any, ...], list[OldFile]] = {}
    for file in files:
        found.setdefault(file.partition, []).append(file)
    return found


def _packed(files: Sequence[OldFile], target_bytes: int) -> list[Bin]:
    bins: list[Bin] = []
    run: list[OldFile] = []
    size = 0
    for file in files:
        large = file.size_bytes >= LARGE_SHARE * target_bytes
        if run and (large or size + file.size_bytes > target_bytes):
            bins.append(tuple(run))
            run, size = [], 0
        if not large:
            run.append(file)
            size += file.size_bytes
    if run:
        bins.append(tuple(run))
    return bins


def _thrifty(found: Bin) -> Bin:
    """The longest end of a run in which no file is larger than the others together."""
    start, total, largest = len(found), 0, 0
    for index in range(len(found) - 1, -1, -1):
        total += found[index].size_bytes
        largest = max(largest, found[index].size_bytes)
        if 2 * largest <= total:
            start = index
    return found[start:]
