"""Which version of the Delta protocol a table needs, and which tables may be written here.

Pure. Features are named as the protocol names them; the version is only as high as the table's
columns and properties ask for, so that older engines can go on with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.lake.schema.rules import GENERATED, INVARIANT, row_rules
from raypipe.lake.schema.spec import CONSTRAINT, TableSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "CURRENT_DEFAULT"

# What a version before table features asks of a writer, each with what came before it.
_BY_VERSION = {
    2: ("appendOnly", "invariants"),
    3: ("checkConstraints",),
    4: ("changeDataFeed", "generatedColumns"),
    5: ("columnMapping",),
    6: ("identityColumns",),
}
_OF_READERS = {"columnMapping", "timestampNtz"}
_LISTED = 7  # the writer version from which on features are listed
_WRITABLE = {
    "appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns",
    "columnMapping", "identityColumns", "timestampNtz", "deletionVectors", "vacuumProtocolCheck",
    "domainMetadata", "allowColumnDefaults", "inCommitTimestamp", "variantType",
    "variantType-preview", "v2Checkpoint", "typeWidening", "typeWidening-preview",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Protocol:
    """A table's protocol action; the features are None below the versions that list them."""

    reader: int
    writer: int
    reader_features: frozenset[str] | None = None
    writer_features: frozenset[str] | None = None

    @classmethod
    def of(cls, table: Any) -> Protocol:
        """That of an open ``DeltaTable``."""
        found = table.protocol()
        lists = (found.reader_features, found.writer_features)
        reader, writer = (None if one is None else frozenset(one) for one in lists)
        return cls(found.min_reader_version, found.min_writer_version, reader, writer)

    def action(self) -> dict[str, Any]:
        """The line of the log."""
        body: dict[str, Any] = {"minReaderVersion": self.reader, "minWriterVersion": self.writer}
        if self.reader_features is not None:
            body["readerFeatures"] = sorted(self.reader_features)
        if self.writer_features is not None:
            body["writerFeatures"] = sorted(self.writer_features)
        return {"protocol": body}

    @property
    def features(self) -> frozenset[str]:
        """Every feature that a writer must respect."""
        if self.writer >= _LISTED:
            return self.writer_features or frozenset()
        return frozenset(f for v, names in _BY_VERSION.items() if v <= self.writer for f in names)


def needed(spec: TableSpec) -> frozenset[str]:
    """The features that a table's columns and properties use."""
    found = {
        "timestampNtz": any(_holds_naive_time(t) for t in spec.types.values()),
        "changeDataFeed": spec.change_feed,
        "appendOnly": spec.append_only,
        "checkConstraints": any(key.startswith(CONSTRAINT) for key in spec.properties),
        "invariants": _any_column(spec, INVARIANT),
        "generatedColumns": _any_column(spec, GENERATED),
    }
    return frozenset(name for name, used in found.items() if used)


def _any_column(spec: TableSpec, key: str) -> bool:
    return any(key in column.metadata for column in spec.columns.values())


def _holds_naive_time(dtype: Any) -> bool:
    if isinstance(dtype, pl.Datetime):
        return dtype.time_zone is None
    if isinstance(dtype, pl.List):
        return _holds_naive_time(dtype.inner)
    if isinstance(dtype, pl.Map):
        return _holds_naive_time(dtype.key) or _holds_naive_time(dtype.value)
    return isinstance(dtype, pl.Struct) and any(_holds_naive_time(f.dtype) for f in dtype.fields)


def first_protocol(spec: TableSpec) -> Protocol:
    """The protocol of a new table."""
    return upgraded(Protocol(1, 2), spec)


def upgraded(now: Protocol, spec: TableSpec) -> Protocol:
    """The protocol of a table with a new spec: as it is, or higher where the spec needs it."""
    wanted = needed(spec)
    if wanted <= now.features:
        return now
    if now.writer < _LISTED:
        version = max(v for v, names in _BY_VERSION.items() if v == 2 or wanted & set(names))
        if wanted <= Protocol(1, version).features:
            return Protocol(now.reader, max(now.writer, version))
    # The older versions ask for more than a spec uses: what is not used need not be listed.
    used = now.features if now.writer >= _LISTED else _really_used(now, spec)
    every = used | wanted
    readers = (now.reader_features or frozenset()) | (every & _OF_READERS)
    return Protocol(3, _LISTED, readers, every) if readers else Protocol(1, _LISTED, None, every)


def _really_used(now: Protocol, spec: TableSpec) -> frozenset[str]:
    mapped = {"columnMapping"} if "delta.columnMapping.mode" in spec.properties else set()
    return (needed(spec) | mapped) & now.features


def refuse_unwritable(name: str, protocol: Protocol, spec: TableSpec) -> None:
    """Makes sure that a table's rules can be obeyed, before any work for it is done.

    Raises:
        ConfigError: one cannot be.
    """
    reason = why_not_writable(protocol, spec)
    if reason:
        raise ConfigError(
            f"table {name!r} has a rule of another engine that would be broken here",
            reason,
            "Write to it with the engine that made it.",
        )
    row_rules(spec)


def why_not_writable(protocol: Protocol, spec: TableSpec) -> str | None:
    """The rule of another engine that a write from here would break; None if there is none."""
    if protocol.writer > _LISTED or protocol.reader > 3:
        return f"protocol versions {protocol.reader} and {protocol.writer}"
    foreign = protocol.features - _WRITABLE
    if foreign:
        return f"writer features {sorted(foreign)}"
    if spec.properties.get("delta.columnMapping.mode", "none") != "none":
        return "column mapping"
    if spec.flag("delta.enableInCommitTimestamps"):
        return "in-commit timestamps"
    if spec.flag("delta.enableRowTracking"):
        return "row tracking"
    for name, column in spec.columns.items():
        if any(key.startswith("delta.identity.") for key in column.metadata):
            return f"column {name!r} (IDENTITY)"
        if DEFAULT in column.metadata:
            return f"column {name!r} (DEFAULT)"
    return None


def rules(spec: TableSpec) -> dict[str, Any]:
    """What files must obey, so that two specs can be compared by it."""
    return {
        **{k: v for k, v in spec.properties.items() if k.startswith(CONSTRAINT)},
        "delta.enableChangeDataFeed": spec.change_feed,
    }


def fits(wrote: TableSpec, now: TableSpec) -> bool:
    """Whether files that were written for one spec can join a table that has another by now.

    A column may be missing in them where the table takes null for it, and fills nothing in.
    """
    if rules(wrote) != rules(now):
        return False
    for name, column in wrote.columns.items():
        here = now.columns.get(name)
        if here is None or here.dtype != column.dtype or (column.nullable and not here.nullable):
            return False
        if _row_rules(here.metadata) != _row_rules(column.metadata):
            return False
    missing = (now.columns[name] for name in now.columns if name not in wrote.columns)
    return all(one.nullable and not _row_rules(one.metadata) for one in missing)


def _row_rules(metadata: Mapping[str, Any], own: tuple[str, ...] = ("raypipe.",)) -> dict[str, Any]:
    kinds = (INVARIANT, GENERATED, DEFAULT, "delta.identity.", *own)
    return {key: value for key, value in metadata.items() if key.startswith(kinds)}


def why_not_evolve(now: TableSpec, then: TableSpec, *, all_replaced: bool) -> str | None:
    """Why a table cannot become another while its files stay; None when it can.

    Args:
        now: the table as it is.
        then: what it is to become.
        all_replaced: no file stays.
    """
    if then.partition_by != now.partition_by:
        return f"partitions {list(then.partition_by)} in place of {list(now.partition_by)}"
    if all_replaced:
        return None
    for name, column in now.columns.items():
        new = then.columns.get(name)
        if new is None or new.dtype != column.dtype:
            return f"column {name!r} as {'nothing' if new is None else new.dtype}"
        if column.nullable and not new.nullable:
            return f"column {name!r} as NOT NULL"
    for name, column in then.columns.items():
        if name not in now.columns and (not column.nullable or _row_rules(column.metadata, own=())):
            return f"column {name!r}, which its older rows do not have"
    more = {k: v for k, v in then.properties.items() if k.startswith(CONSTRAINT)}
    if any(now.properties.get(key) != text for key, text in more.items()):
        return f"constraints {sorted(more)}"
    return None
