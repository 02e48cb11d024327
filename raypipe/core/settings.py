"""Arguments that a class does not take, or that are of another type than it takes, are told as
errors of raypipe's, with the next act.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from raypipe.core.errors import ConfigError
from raypipe.core.near import near

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")


def checked_arguments(
    hint: Callable[[str], str | None] = lambda _: None,
) -> Callable[[type[Made]], type[Made]]:
    """A decorator of a class: what its ``__init__`` cannot take raises ``ConfigError``.

    Args:
        hint: what to do about an argument by a name that is unknown here but not elsewhere; None
            where nothing is known of it.
    """

    def decorate(kind: type[Made]) -> type[Made]:
        made = kind.__init__
        wanted = inspect.signature(made)

        @functools.wraps(made)
        def checked(self: Made, *args: Any, **kwargs: Any) -> None:
            try:
                wanted.bind(self, *args, **kwargs)
            except TypeError:
                raise _explained(kind.__name__, wanted, args, kwargs, hint) from None
            made(self, *args, **kwargs)

        kind.__init__ = checked  # type: ignore[method-assign, assignment]
        return kind

    return decorate


def check_json(name: str, value: object) -> None:
    """Refuses a parameter that cannot be stored as JSON.

    Raises:
        ConfigError: it is not plain JSON, or holds a NaN or an infinity.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ConfigError("a parameter must be plain JSON", repr(value)[:80], None, name) from None


def check_mapping(name: str, value: object) -> None:
    """Refuses what is no mapping by text.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, Mapping):
        act = f"Write {name}={{…: …}}."
        raise ConfigError(f"{name} is a mapping", type(value).__name__, act, name)
    odd = next((key for key in value if not isinstance(key, str)), None)
    if odd is not None:
        raise ConfigError(f"a name in {name} is no text", _short(odd), field=name)


def check_texts(name: str, value: object) -> None:
    """Refuses what is no list of texts, such as one text.

    Raises:
        ConfigError: it is not.
    """
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not several or not all(isinstance(one, str) for one in value):  # type: ignore[attr-defined]
        act = f"Write {name}=[{value!r}]." if isinstance(value, str) else None
        raise ConfigError(f"{name} is a list of texts", _short(value), act, name)


def check_text(name: str, value: object, *, optional: bool = False) -> None:
    """Refuses what is no text.

    Raises:
        ConfigError: it is not.
    """
    if not (isinstance(value, str) or (optional and value is None)):
        raise ConfigError(f"{name} is a text", _short(value), field=name)


def is_number(value: object) -> bool:
    """Whether it is a finite number, and no bool."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value)  # type: ignore[arg-type]


def _explained(
    kind: str,
    wanted: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    hint: Callable[[str], str | None],
) -> ConfigError:
    takes = list(wanted.parameters.values())[1:]
    names = [one.name for one in takes]
    for name, value in kwargs.items():
        if name not in names:
            act = near(name, names, most=1) or f"It takes: {', '.join(names)}."
            what = f"{kind} takes no argument {name!r}"
            return ConfigError(what, _short(value), hint(name) or act, name)
    placed = [one.name for one in takes if one.kind is one.POSITIONAL_OR_KEYWORD]
    if len(args) > len(placed):
        last = len(args) - 1
        by_name = names[last] if last < len(names) else None
        hand = f"Write {kind}({by_name}={_short(args[-1])})." if by_name else None
        said = f"all but {', '.join(placed)}" if placed else "its arguments"
        return ConfigError(f"{kind} takes {said} by name", _short(args[-1]), hand, by_name)
    twice = [name for name in placed[: len(args)] if name in kwargs]
    if twice:
        return ConfigError(f"{kind} was given {twice[0]!r} twice", field=twice[0])
    absent = [
        one.name
        for one in takes
        if one.default is one.empty
        and one.name not in kwargs
        and one.name not in placed[: len(args)]
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    return ConfigError(
        f"{kind} needs {' and '.join(f'{name}=' for name in absent)}", field=absent[0]
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
