"""What somebody may have meant by a name that is not there."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONG, _MANY = 100, 5_000
"""What two texts share takes the square of their length, so long and very many are left out."""


def near(name: str, known: Iterable[str], most: int = 3) -> str | None:
    """A question that holds the nearest names, at most so many; None where none is near.

    Example:
        >>> near("onehot", ["one_hot", "select"])
        "Did you mean 'one_hot'?"
    """
    if len(name) > _LONG:
        return None
    short = [one for one in dict.fromkeys(known) if len(one) <= _LONG][:_MANY]
    found = difflib.get_close_matches(name, short, most)
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else None


def no_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that a module does not have."""
    hint = near(name, known)
    what = f"module {module!r} has no attribute {name!r}"
    return AttributeError(f"{what}. {hint}" if hint else what)
