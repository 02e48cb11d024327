"""Reading stored JSON: bounded in size, never evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from raypipe.core.errors import RecipeError

MAX_BYTES = 64 * 2**20


_HALVES = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def load(data: str | bytes | Mapping[str, Any], what: str, limit: int = MAX_BYTES) -> Any:
    """The values in a JSON text; values given as such are taken as they are.

    Raises:
        RecipeError: the text is longer than the limit, nested too deep, not JSON, or holds a text
            that is no valid Unicode.
    """
    if isinstance(data, Mapping):
        return data
    if not isinstance(data, str | bytes) or len(data) > limit:
        raise RecipeError(
            f"this is not a stored {what}",
            f"{type(data).__name__} of {len(data) if isinstance(data, str | bytes) else 0}",
            f"Give the text that to_json() wrote, up to {limit} bytes.",
            what,
        )
    try:
        found = json.loads(data, parse_constant=_no_constant)
        if _HALVES.search(data if isinstance(data, str) else data.decode()):
            # What looks like half of a pair may be one of a whole pair, which is text.
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except (ValueError, RecursionError) as failure:
        raise RecipeError(
            f"this {what} is not JSON",
            str(failure)[:200],
            "Use the text that to_json() wrote.",
            what,
        ) from failure
