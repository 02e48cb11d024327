"""Reading stored JSON: bounded in size, never evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from raypipe.core.errors import RecipeError

MAX_BYTES = 64 * 2**20
MAX_LISTS = 5_000_000
"""Lists and objects in a text: an empty one is two bytes there, and 64 in memory."""

_HALVES = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
# One that is not closed reaches to the end, and nothing is looked at twice.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def load(data: str | bytes | Mapping[str, Any], what: str, limit: int = MAX_BYTES) -> Any:
    """The values in a JSON text; values given as such are held to the same.

    Raises:
        RecipeError: the text is longer than the limit, nested too deep, not JSON, holds more than
            5,000,000 lists and objects, or a text that is no valid Unicode.
    """
    try:
        if isinstance(data, Mapping):
            data = json.dumps(data, ensure_ascii=False, allow_nan=False)
        return _read(data, what, limit)
    except (ValueError, TypeError, RecursionError) as failure:
        if isinstance(failure, RecipeError):
            raise
        raise RecipeError(
            f"this {what} is not JSON",
            str(failure)[:200],
            "Use the text that to_json() wrote.",
            what,
        ) from failure


def _read(data: Any, what: str, limit: int) -> Any:
    if not isinstance(data, str | bytes) or len(data) > limit:
        raise RecipeError(
            f"this is not a stored {what}",
            f"{type(data).__name__} of {len(data) if isinstance(data, str | bytes) else 0}",
            f"Give the text that to_json() wrote, up to {limit} bytes.",
            what,
        )
    text = data if isinstance(data, str) else data.decode()
    if _lists(text) > MAX_LISTS and _lists(_STRINGS.sub("", text)) > MAX_LISTS:
        raise RecipeError(
            f"this {what} holds more lists than one can be made of",
            f"more than {MAX_LISTS}",
            "Use the text that to_json() wrote.",
            what,
        )
    found = json.loads(text, parse_constant=_no_constant)
    if _HALVES.search(text):
        # What looks like half of a pair may be one of a whole pair, which is text.
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _lists(text: str) -> int:
    return text.count("[") + text.count("{")
