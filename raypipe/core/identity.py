"""Canonical JSON and content hashes: what runs, batches and versions are named by."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value is not made of JSON types.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def content_hash(value: Any) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def bytes_hash(chunks: bytes | Iterable[bytes]) -> str:
    """SHA-256 (64 hex digits) of bytes."""
    digest = hashlib.sha256()
    for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:
        digest.update(chunk)
    return digest.hexdigest()
