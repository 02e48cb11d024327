"""What a table is asked to be, by ``Lake.table``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.quality.expect import Expectation


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Checked arguments of ``Lake.table``; they pickle.

    Attributes:
        expect: expectations that every write through this object is judged by.
        partition_by: columns by whose values files are kept apart, from the first write on.
        sort_by: columns by which the rows of each file are sorted, from the first write on.
        properties: Delta table properties that the table is made with.
    """

    expect: tuple[Expectation, ...] = ()
    partition_by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
