"""Functions that a stored model or run names, and which of them this process may call.

A name is ``"module:function"``. To import a module runs it, and the name comes out of a lake that
others may write to. So a name is followed only if this process was told to trust it: by ``trust``,
by the variable ``RAYPIPE_TRUSTED`` (names with commas between), or by the settings of a learner
that were made here of the function itself.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "RAYPIPE_TRUSTED"
_trusted: set[str] = set()


def trust(*functions: str | Callable[..., Any]) -> None:
    """From now on stored models and runs may name these functions, and this process calls them.

    A model that a loop of your own trained is loaded by functions of your own. Other processes
    learn of them in the same way, or by ``RAYPIPE_TRUSTED="module:function,module:other"``;
    replicas of a ``Service`` and the actor of a ``Monitor`` trust what the process trusts that
    starts them.

    Args:
        *functions: functions of a module, or their names: ``"module:function"``.

    Raises:
        ConfigError: one is neither, or has no name under which it could be found again.
    """
    names = [one if isinstance(one, str) else name_of(one) for one in map(_checked, functions)]
    _trusted.update(names)


def trusted() -> tuple[str, ...]:
    """All names that this process trusts, sorted."""
    told = os.environ.get(VARIABLE, "").split(",")
    return tuple(sorted(_trusted | {one.strip() for one in told if one.strip()}))


def name_of(function: Callable[..., Any]) -> str:
    """The name under which a function can be found again.

    Raises:
        ConfigError: it has none: it was made inside another one, or is a lambda.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or "<" in name:
        raise ConfigError(
            "a function that others must find again has to stand in a module by itself",
            name or type(function).__name__,
            "Define it with def at the top of a module.",
        )
    return f"{module}:{name}"


def function_named(name: str) -> Callable[..., Any]:
    """The function of a name that is trusted.

    Raises:
        ConfigError: the name is not trusted, or no such function can be imported.
    """
    if name not in trusted():
        raise ConfigError(
            "the lake names a function that this process was not told to trust",
            name,
            f"If you know its code, call rp.trust({name!r}) or name it in {VARIABLE}.",
        )
    return found(name)


def found(name: str) -> Callable[..., Any]:
    """The function of a name, whoever gave it.

    Raises:
        ConfigError: no such function can be imported.
    """
    module, _, path = _checked(name).partition(":")
    try:
        value: Any = import_module(module)
        for part in path.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            "no such function can be imported here",
            name,
            f"{type(error).__name__}: {error}. Put its module where Python looks for modules.",
        ) from error
    if not callable(value):
        raise ConfigError("this is no function", name)
    made: Callable[..., Any] = value
    return made


def source_hash(function: Callable[..., Any]) -> str:
    """SHA-256 of a function's own source text; of what it calls nothing is in it.

    Raises:
        ConfigError: there is no source to read.
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise ConfigError(
            "the source of the function cannot be read, so that a change of it would not be seen",
            getattr(function, "__qualname__", repr(function)),
            "Define it in a file or a notebook.",
        ) from None
    return hashlib.sha256(source.encode()).hexdigest()


def _checked(one: Any) -> Any:
    if isinstance(one, str):
        module, colon, path = one.partition(":")
        words = [*module.split("."), *path.split(".")]
        if not colon or not all(word.isidentifier() for word in words):
            raise ConfigError("this names no function", one, 'Write "module:function".')
    elif not callable(one):
        raise ConfigError(
            "this is no function", type(one).__name__, 'Give it, or "module:function".'
        )
    return one
