"""Which tables of other engines can be read rightly here, and why another one is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_READABLE = {
    "timestampNtz",
    "deletionVectors",
    "columnMapping",
    "vacuumProtocolCheck",
    "v2Checkpoint",
    "typeWidening",
    "typeWidening-preview",
}
# Listed by some writers of tables that hold none: deltalake does so with deletion vectors.
_VARIANT = {"variantType", "variantType-preview"}
MODE, PHYSICAL = "delta.columnMapping.mode", "delta.columnMapping.physicalName"
_WHOLE = ("byte", "short", "integer", "long")


def why_unreadable(features: set[str], settings: Mapping[str, str], schema: str) -> str | None:
    """What of a table would be read wrongly here; None when nothing would.

    Deletion vectors, columns mapped by name, widened numbers and checkpoints of version 2 are
    read. Row tracking and liquid clustering change nothing for a reader.

    Args:
        features: the reader features of its protocol.
        settings: its properties.
        schema: its schema as Delta's JSON.
    """
    columns = json.loads(schema)["fields"]
    idle = set() if any(_has_variant(c["type"]) for c in columns) else _VARIANT
    foreign = features - _READABLE - idle
    if foreign:
        return f"reader features {sorted(foreign)}"
    mode = settings.get(MODE, "none")
    if mode not in ("none", "name"):
        return f"column mapping by {mode}"
    for column in columns:
        if mode == "name" and any(_renamed(f) for f in _inner(column["type"])):
            return f"column mapping inside of the nested column {column['name']!r}"
        for change in column.get("metadata", {}).get("delta.typeChanges", ()):
            if not _widens(change):
                old, new = change.get("fromType"), change.get("toType")
                return f"column {column['name']!r}, widened from {old} to {new}"
    return None


def _inner(kind: Any) -> Iterator[Mapping[str, Any]]:
    """The named fields inside of a nested type, at any depth."""
    if isinstance(kind, str):
        return
    for one in kind.get("fields", ()):
        yield one
        yield from _inner(one["type"])
    for key in ("elementType", "keyType", "valueType"):
        yield from _inner(kind.get(key, ""))


def _has_variant(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind == "variant"
    inner = [kind.get(key, "") for key in ("elementType", "keyType", "valueType")]
    return any(map(_has_variant, inner + [one["type"] for one in kind.get("fields", ())]))


def _renamed(field: Mapping[str, Any]) -> bool:
    return bool(field.get("metadata", {}).get(PHYSICAL, field["name"]) != field["name"])


def _widens(change: Mapping[str, Any]) -> bool:
    """Whether polars reads a file of the old type as the new one without loss."""
    old, new = change.get("fromType"), change.get("toType")
    if change.get("fieldPath"):
        return False
    if old in _WHOLE:
        return new in _WHOLE or new == "double"
    return (old, new) == ("float", "double")
