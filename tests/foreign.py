"""Delta tables as other engines make them, by hand: deletion vectors, mapped columns, features."""

from __future__ import annotations

import json
import struct
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_MAGIC, _COOKIE = 1681511377, 12346


def z85(data: bytes) -> str:
    """Bytes as ZeroMQ's base 85, which the protocol uses for vectors in the log."""
    out = []
    for (number,) in struct.iter_unpack(">I", data + b"\0" * (-len(data) % 4)):
        digits = []
        for _ in range(5):
            number, digit = divmod(number, 85)
            digits.append(_Z85[digit])
        out += digits[::-1]
    return "".join(out)


def bitmap(rows: Iterable[int]) -> bytes:
    """Row positions below 2**32 as the protocol's array of one roaring bitmap."""
    groups: dict[int, list[int]] = {}
    for row in sorted(rows):
        groups.setdefault(row >> 16, []).append(row & 0xFFFF)
    head = struct.pack("<II", _COOKIE, len(groups))
    sizes = b"".join(struct.pack("<HH", key, len(low) - 1) for key, low in groups.items())
    at = len(head) + len(sizes) + 4 * len(groups)
    offsets = body = b""
    for low in groups.values():
        offsets += struct.pack("<I", at + len(body))
        body += struct.pack(f"<{len(low)}H", *low)
    return struct.pack("<IQI", _MAGIC, 1, 0) + head + sizes + offsets + body


def deletion_vector(rows: Sequence[int]) -> dict[str, Any]:
    """A deletion vector that lies in the log itself."""
    data = bitmap(rows)
    return {
        "storageType": "i",
        "pathOrInlineDv": z85(data),
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }


def field(name: str, kind: Any, **metadata: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


def now() -> int:
    return int(time.time() * 1000)


class Foreign:
    """Writes the log entries of a table one by one."""

    def __init__(
        self,
        uri: str,
        fields: Sequence[Mapping[str, Any]],
        *,
        partition_by: Sequence[str] = (),
        configuration: Mapping[str, str] | None = None,
        features: Sequence[str] = (),
        writer_features: Sequence[str] = (),
    ) -> None:
        self.uri = Path(uri)
        self.version = -1
        (self.uri / "_delta_log").mkdir(parents=True)
        protocol: dict[str, Any] = {"minReaderVersion": 1, "minWriterVersion": 2}
        if features or writer_features:
            protocol = {
                "minReaderVersion": 3 if features else 1,
                "minWriterVersion": 7,
                "writerFeatures": [*features, *writer_features],
            }
        if features:
            protocol["readerFeatures"] = list(features)
        self.commit(
            {"protocol": protocol},
            {
                "metaData": {
                    "id": str(uuid.uuid4()),
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": json.dumps({"type": "struct", "fields": list(fields)}),
                    "partitionColumns": list(partition_by),
                    "configuration": dict(configuration or {}),
                    "createdTime": now(),
                }
            },
            operation="CREATE TABLE",
        )

    def commit(self, *actions: Mapping[str, Any], operation: str = "WRITE") -> int:
        self.version += 1
        info = {"commitInfo": {"timestamp": now(), "operation": operation}}
        lines = [json.dumps(action) for action in (info, *actions)]
        name = f"{self.version:020d}.json"
        (self.uri / "_delta_log" / name).write_text("\n".join(lines) + "\n")
        return self.version

    def file(
        self,
        path: str,
        frame: pl.DataFrame,
        partition: Mapping[str, str | None] | None = None,
        stats: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Writes a file; the action that adds it."""
        target = self.uri / path
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(target)
        add = {
            "path": quote(path),
            "partitionValues": dict(partition or {}),
            "size": target.stat().st_size,
            "modificationTime": now(),
            "dataChange": True,
            "stats": json.dumps(stats if stats is not None else plain_stats(frame)),
        }
        return {"add": add}


def removal(add: Mapping[str, Any]) -> dict[str, Any]:
    """The action that removes what an action added, with its vector."""
    one = add["add"]
    names = ("path", "partitionValues", "size", "deletionVector")
    kept = {name: one[name] for name in names if name in one}
    return {
        "remove": {
            **kept, "deletionTimestamp": now(), "dataChange": True, "extendedFileMetadata": True,
        }
    }  # fmt: skip


def deleting(add: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """The action that adds a file once more, with rows taken out by a vector."""
    return {"add": {**add["add"], "deletionVector": deletion_vector(rows)}}


def plain_stats(frame: pl.DataFrame) -> dict[str, Any]:
    flat = [n for n, t in frame.schema.items() if t.is_integer() or t == pl.String]
    return {
        "numRecords": frame.height,
        "minValues": {n: frame[n].min() for n in flat},
        "maxValues": {n: frame[n].max() for n in flat},
        "nullCount": {n: frame[n].null_count() for n in flat},
    }
