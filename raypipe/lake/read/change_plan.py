"""What each commit tells of the rows it changed: which files to read, and how. Pure.

A commit is read by the first rule that fits:

1. It has files of a change feed (``cdc`` actions): they say all of it.
2. It only adds, or only removes: rows of added files were inserted, of removed ones deleted.
   Files that were only rewritten (``dataChange`` false) say nothing.
3. It is a merge, an update, a delete or an overwrite of some rows (it says so itself) that rewrote
   files: removed and added rows are compared as a multiset of whole rows, and what both have did
   not change. Of the rest, rows of an update that kept their places pair up by place, rows of a
   merge that noted its key columns pair up by these; a pair is an update, a single row a delete or
   an insert.
4. Any other commit that removes and adds (a whole overwrite, a restore): as the Delta protocol has
   it, all removed rows were deleted and all added ones inserted. Where it removes and adds one and
   the same file, the two differ by their deletion vectors, and only rows in which these differ
   changed: they are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from raypipe.lake.log.table_log import our_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Action = dict[str, Any]
Kind = Literal["told", "insert", "delete", "compare"]

_REWRITES = ("MERGE", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Step:
    """Some rows of one commit.

    Attributes:
        kind: ``"told"`` by files of a change feed, all inserted, all deleted, or to be compared.
        added: actions of the files to read; for ``"delete"`` there are none.
        removed: actions of the files that were removed.
        keys: columns by which compared rows pair up.
        by_place: whether compared rows pair up by their places.
        updated: rows that the commit says it updated at most.
    """

    kind: Kind
    added: tuple[Action, ...] = ()
    removed: tuple[Action, ...] = ()
    keys: tuple[str, ...] = ()
    by_place: bool = False
    updated: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A log entry as far as rows go."""

    version: int
    at: datetime
    steps: tuple[Step, ...]


def read_entry(version: int, actions: Sequence[Mapping[str, Any]]) -> Entry:
    """What a log entry says of rows, by the rules above."""
    info = _first(actions, "commitInfo")
    told = _all(actions, "cdc")
    added = [a for a in _all(actions, "add") if a.get("dataChange", True)]
    removed = [a for a in _all(actions, "remove") if a.get("dataChange", True)]
    stamp = info.get("timestamp") or max((a.get("modificationTime", 0) for a in added), default=0)
    at = datetime.fromtimestamp(int(stamp) / 1000, UTC).replace(tzinfo=None)
    return Entry(version, at, tuple(_steps(info, told, added, removed)))


def _steps(
    info: Mapping[str, Any], told: list[Action], added: list[Action], removed: list[Action]
) -> list[Step]:
    if told:
        return [Step("told", tuple(told))]
    ours = our_part(info)
    partial = info.get("operation") in _REWRITES or "deleted" in ours
    if added and removed and partial:
        updated = int(ours.get("updated") or 0)
        place = info.get("operation") == "UPDATE" and updated > 0
        keys = tuple(str(key) for key in ours.get("on") or ())
        return [Step("compare", tuple(added), tuple(removed), keys, place, updated)]
    both = {one["path"] for one in added} & {one["path"] for one in removed}
    kept = [[one for one in some if one["path"] in both] for some in (added, removed)]
    out = [Step("compare", tuple(kept[0]), tuple(kept[1]))] if both else []
    gone, came = ([one for one in some if one["path"] not in both] for some in (removed, added))
    out += [Step("delete", removed=tuple(gone))] if gone else []
    return out + ([Step("insert", tuple(came))] if came else [])


def _all(actions: Sequence[Mapping[str, Any]], kind: str) -> list[Action]:
    return [dict(a[kind]) for a in actions if isinstance(a.get(kind), dict)]


def _first(actions: Sequence[Mapping[str, Any]], kind: str) -> Action:
    return next(iter(_all(actions, kind)), {})
