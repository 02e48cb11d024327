"""The rows that changed between two versions of a table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, LakeError, SourceNotFoundError, VersionNotFoundError
from raypipe.core.markup import html_table
from raypipe.lake.log.partition import partition_value
from raypipe.lake.read.broken import reading
from raypipe.lake.read.change_plan import Action, Entry, read_entry
from raypipe.lake.read.compare import DELETE, INSERT, KIND, compare
from raypipe.lake.read.feed import plan, to_arrow
from raypipe.lake.read.part import LakePart, place, scan
from raypipe.lake.read.pin import Pinned, pin
from raypipe.lake.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    import ray

    from raypipe.lake.log.table_log import TableLog

VERSION, AT = "_commit_version", "_commit_timestamp"
_TOLD: dict[str, pl.DataType] = {KIND: pl.String(), VERSION: pl.Int64(), AT: pl.Datetime("us")}
_TASK_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ChangePart:
    """Some changed rows of one commit; pickles.

    Attributes:
        version: the commit's version.
        at: its time, naive UTC.
        kind: what happened to all rows, or None where each row tells.
        parts: files with the rows, or with the rows after a rewrite.
        removed: files with the rows before a rewrite that is to be compared.
        keys: columns by which compared rows pair up.
        most_by_place: compared rows pair up by their places, if at most so many differ.
    """

    version: int
    at: datetime
    kind: str | None
    parts: tuple[LakePart, ...]
    removed: tuple[LakePart, ...] | None = None
    keys: tuple[str, ...] = ()
    most_by_place: int | None = None

    def lazy(self) -> pl.LazyFrame:
        """The rows; those that must be compared are, now."""
        if self.removed is not None:
            return self.read().lazy()
        return self._marked(scan(self.parts))

    def read(self) -> pl.DataFrame:
        """The rows.

        Raises:
            LakeError: a file is gone, cut short or spoilt.
        """
        removed = self.removed
        if removed is None:
            return reading(self.parts, self._marked(scan(self.parts)).collect)
        both = [scan(removed), scan(self.parts)]
        before, after = reading([*self.parts, *removed], lambda: pl.collect_all(both))
        rows = compare(before, after, self.keys, self.most_by_place)
        return self._marked(rows.lazy()).collect()

    def _marked(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        if self.kind is not None:
            rows = rows.with_columns(pl.lit(self.kind).alias(KIND))
        return rows.with_columns(
            pl.lit(self.version, dtype=pl.Int64).alias(VERSION),
            pl.lit(self.at, dtype=pl.Datetime("us")).alias(AT),
        )


@dataclass(frozen=True)
class Changes:
    """The rows that changed after one version of a table, up to another.

    Applied to the rows of version ``since`` they give those of version ``until``. Beside the
    table's columns (those of version ``until``; a column that a file lacks is null) each row has
    ``_change_type`` (``insert``, ``delete``, ``update_preimage``, ``update_postimage``),
    ``_commit_version`` (Int64) and ``_commit_timestamp`` (naive UTC). Commits stand in their
    order; the order of rows within a commit says nothing.

    Commits with a change feed of their own are read from that. For a merge, an update or a delete
    without one, the rows of the files that it removed and added are compared, in memory, commit by
    commit: what both have did not change; an update's rows pair up by their places and a merge's
    by its key columns, and other engines' by nothing, so that they are deletes and inserts. A
    whole overwrite and a restore delete all rows and insert all, as in the Delta protocol.

    Attributes:
        table: the table's name.
        since: the version before the first change.
        until: the last version.
        schema: columns and types of the rows.
        parts: pieces of the work, in order.
    """

    table: str
    since: int
    until: int
    schema: Mapping[str, pl.DataType]
    parts: tuple[ChangePart, ...] = field(repr=False)

    def lazy(self) -> pl.LazyFrame:
        """The rows as a plain polars LazyFrame.

        Raises:
            LakeError: a file of rows that must be compared is gone, cut short or spoilt.
        """
        none = pl.LazyFrame(schema=dict(self.schema))
        return pl.concat([none, *(p.lazy().select(list(self.schema)) for p in self.parts)])

    def frame(self) -> pl.DataFrame:
        """The rows in memory.

        Raises:
            LakeError: a file is gone, cut short or spoilt.
        """
        none = pl.DataFrame(schema=dict(self.schema))
        return pl.concat([none, *(p.read().select(list(self.schema)) for p in self.parts)])

    def dataset(self) -> ray.data.Dataset:
        """The rows as a plain ``ray.data.Dataset``; each piece is read by one task.

        Raises:
            EngineError: Ray could not be started or joined.
        """
        import ray

        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
        pieces, columns = self.parts, list(self.schema)
        if not pieces:
            return ray.data.from_arrow(to_arrow(pl.DataFrame(schema=dict(self.schema))))

        def read(batch: Mapping[str, Any]) -> pa.Table:
            found = [pieces[int(number)].read().select(columns) for number in batch["id"]]
            return to_arrow(pl.concat(found))

        numbers = ray.data.range(len(pieces), override_num_blocks=len(pieces))
        return numbers.map_batches(read, batch_size=None, batch_format="numpy")

    @cached_property
    def _facts(self) -> list[tuple[str, object]]:
        commits = len({part.version for part in self.parts})
        return [
            ("table", self.table),
            ("after version", self.since),
            ("up to version", self.until),
            ("commits with changes", commits),
        ]

    def __repr__(self) -> str:
        return "Changes(" + ", ".join(f"{k}={v}" for k, v in self._facts) + ")"

    def _repr_html_(self) -> str:
        return html_table(("changes", ""), self._facts)


def changes(log: TableLog, since: int, until: int | None) -> Changes:
    """The changes after a version, up to another (by default the newest).

    Raises:
        TableNotFoundError: there is no table.
        ConfigError: the versions are no whole numbers, or in the wrong order.
        VersionNotFoundError: a version is not there, or log entries between them were cleaned
            away; the message names the oldest version to begin after.
        LakeError: a log entry is damaged.
    """
    for name, value in (("since", since), ("until", until)):
        if not (isinstance(value, int) or (value is None and name == "until")) or value is True:
            raise ConfigError("a version is a whole number", value, None, name)
    newest = log.version()
    last = newest if until is None else until
    for value in (since, last):
        if not -1 <= value <= newest:
            raise log.no_version(value, newest)
    if last < since:
        raise ConfigError("changes go from an older version to a newer one", (since, last))
    now = pin(log, last) if last >= 0 else pin(log, 0)
    entries = [_entry(log, version) for version in range(since + 1, last + 1)]
    reader = _Reader(log, now)
    pieces = tuple(piece for one in entries for piece in reader.pieces(one))
    return Changes(log.name, since, last, {**now.schema, **_TOLD}, pieces)


def _entry(log: TableLog, version: int) -> Entry:
    store = open_store(log.uri, log.options)
    path = f"_delta_log/{version:020d}.json"
    try:
        data = store.get(path)
    except SourceNotFoundError:
        raise _cleaned(log, version) from None
    try:
        return read_entry(version, [json.loads(line) for line in data.splitlines() if line])
    except (ValueError, AttributeError, TypeError) as error:
        raise LakeError(
            f"the log of table {log.name!r} cannot be read", f"{log.uri}/{path}"
        ) from error


def _cleaned(log: TableLog, version: int) -> VersionNotFoundError:
    """The error for a log entry that is gone, with the oldest version to begin after."""
    names = (p.rsplit("/", 1)[-1] for p in open_store(log.uri, log.options).files("_delta_log"))
    found = {int(n[:20]) for n in names if n[:20].isdigit() and n[20:] == ".json"}
    oldest = max(found, default=0)
    while oldest - 1 in found:
        oldest -= 1
    return VersionNotFoundError(
        f"the log entry of version {version} of table {log.name!r} was cleaned away",
        None,
        f"The oldest version whose changes are still told is {oldest}: ask for since={oldest - 1}"
        " or later.",
        "since",
    )


@dataclass(frozen=True)
class _Reader:
    log: TableLog
    now: Pinned

    def pieces(self, entry: Entry) -> Iterator[ChangePart]:
        for step in entry.steps:
            added = [self._part(one, entry.version, step.kind == "told") for one in step.added]
            removed = [self._part(one, entry.version - 1) for one in step.removed]
            if step.kind == "compare":
                most = None
                if step.by_place:
                    ordered = self._in_order(entry.version, step.added, step.removed)
                    if ordered is not None:
                        added = [added[i] for i in ordered[0]]
                        removed = [removed[i] for i in ordered[1]]
                        most = step.updated
                keys = step.keys if set(step.keys) <= set(self.now.schema) else ()
                yield ChangePart(
                    entry.version, entry.at, None, tuple(added), tuple(removed), keys, most
                )
                continue
            kind = {"told": None, "insert": INSERT, "delete": DELETE}[step.kind]
            for group in plan(removed if step.kind == "delete" else added, _TASK_BYTES):
                yield ChangePart(entry.version, entry.at, kind, group)

    def _part(self, action: Action, version: int, told_there: bool = False) -> LakePart:
        now = self.now
        schema = dict(now.schema) | ({KIND: pl.String()} if told_there else {})
        values = action.get("partitionValues") or {}
        return LakePart(
            uri=place(self.log.uri, action["path"]),
            rows=0,
            nbytes=int(action.get("size") or 0),
            schema=schema,
            partition={
                name: partition_value(values.get(now.physical.get(name, name)), now.schema[name])
                for name in now.partition_by
            },
            storage_options=self.log.options,
            where=None,
            columns=None,
            table=self.log.name,
            version=version,
            physical=now.physical,
            deleted=self._deleted(action, version),
        )

    def _deleted(self, action: Action, version: int) -> pl.Series | None:
        """The rows that a deletion vector took out of the file, as of a version."""
        if not action.get("deletionVector"):
            return None
        found = self._at(version)
        rows = None if found is None else found.deleted.get(action["path"])
        if rows is None:
            raise LakeError(
                f"the deletion vector of a file of table {self.log.name!r} cannot be read",
                f"version {version}, {action['path']}",
                "Ask for changes since a later version.",
            )
        return rows

    def _at(self, version: int) -> Pinned | None:
        if version == self.now.version:
            return self.now
        if version not in self._pinned:
            try:
                self._pinned[version] = pin(self.log, version)
            except VersionNotFoundError:
                self._pinned[version] = None
        return self._pinned[version]

    @cached_property
    def _pinned(self) -> dict[int, Pinned | None]:
        return {}

    def _in_order(
        self, version: int, added: Sequence[Action], removed: Sequence[Action]
    ) -> tuple[list[int], list[int]] | None:
        """Both in the order in which their versions read them; None where that is not known."""
        out = []
        for number, actions in ((version, added), (version - 1, removed)):
            found = self._at(number)
            places = {p: i for i, p in enumerate(found.files["path"])} if found else {}
            if any(one["path"] not in places for one in actions):
                return None
            out.append(sorted(range(len(actions)), key=lambda i: places[actions[i]["path"]]))
        return out[0], out[1]
