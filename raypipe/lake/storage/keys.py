"""One mapping of storage options, as each of the three clients that read it wants it.

deltalake takes every option as text. polars takes the same names, but counts and durations of
retries as numbers under names of its own. obstore wants options of the connection and of retries
apart from those of the store, and refuses names that it does not know. Names are those of
deltalake; upper and lower case are the same. What is not given comes from the environment, but for
retries: those have defaults of ours, so that all three wait equally long for a server that is away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.uris import is_local

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECTION = frozenset({
    "allow_http", "allow_invalid_certificates", "connect_timeout", "default_content_type",
    "http1_only", "http2_keep_alive_interval", "http2_keep_alive_timeout",
    "http2_keep_alive_while_idle", "http2_only", "pool_idle_timeout", "pool_max_idle_per_host",
    "proxy_url", "proxy_ca_certificate", "proxy_excludes", "randomize_addresses", "read_timeout",
    "timeout", "user_agent",
})  # fmt: skip
_RETRIES = "max_retries"
_RETRY_TIME = "retry_timeout"
_BACKOFF = "backoff_config."
_PATIENCE = {
    "max_retries": "30",
    "retry_timeout": "60s",
    "backoff_config.init_backoff": "100ms",
    "backoff_config.max_backoff": "5s",
    "backoff_config.base": "3",
}
"""The clients' own ten tries end after 2 to 9 seconds when a server is away: too soon by far."""
_PREFIX = re.compile(r"^(aws|azure|google)_")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h)")
_UNITS = {"m": 60.0, "h": 3600.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Options as obstore takes them; secrets, so no ``repr`` shows them."""

    store: Mapping[str, str] = field(repr=False)
    connection: Mapping[str, str] = field(repr=False)
    retries: Mapping[str, Any]


def for_obstore(
    options: Mapping[str, str] | None, environment: Mapping[str, str] | None = None
) -> ClientOptions:
    """Splits the options into those of the store, of the connection and of retries.

    obstore forgets the environment's options of the connection when it is given any, so they are
    put in here; those of the store it finds itself.

    Raises:
        ConfigError: a count or a duration is not one.
    """
    store: dict[str, str] = {}
    connection: dict[str, str] = {}
    retries: dict[str, Any] = {}
    backoff: dict[str, Any] = {}
    for named, value in (environment or {}).items():
        plain = _PREFIX.sub("", named.lower())
        if plain in _CONNECTION and _PREFIX.match(named.lower()):
            connection[plain] = value
    for given, value in _patient(options).items():
        name = given.lower()
        plain = _PREFIX.sub("", name)
        if name == _RETRIES:
            retries[_RETRIES] = _count(given, value)
        elif name == _RETRY_TIME:
            retries[_RETRY_TIME] = _duration(given, value)
        elif name == f"{_BACKOFF}base":
            backoff["base"] = _count(given, value)
        elif name.startswith(_BACKOFF):
            backoff[name.removeprefix(_BACKOFF)] = _duration(given, value)
        elif plain in _CONNECTION:
            connection[plain] = str(value)
        else:
            store[name] = str(value)
    if backoff:
        retries["backoff"] = backoff
    return ClientOptions(store, connection, retries)


def for_delta(uri: str, options: Mapping[str, str] | None) -> dict[str, str] | None:
    """The options as deltalake takes them, with our patience; a local table needs none."""
    return None if is_local(uri) else _patient(options)


def for_polars(options: Mapping[str, str] | None) -> dict[str, Any] | None:
    """The options as polars takes them, or None when there are none.

    Raises:
        ConfigError: a count or a duration is not one.
    """
    if not options:
        return None
    out: dict[str, Any] = {}
    for given, value in _patient(options).items():
        name = given.lower()
        if name == _RETRIES:
            out[_RETRIES] = _count(given, value)
        elif name == _RETRY_TIME:
            out["retry_timeout_ms"] = _milliseconds(given, value)
        elif name in (f"{_BACKOFF}init_backoff", f"{_BACKOFF}max_backoff"):
            out[f"retry_{name.removeprefix(_BACKOFF)}_ms"] = _milliseconds(given, value)
        elif name == f"{_BACKOFF}base":
            out["retry_base_multiplier"] = float(_count(given, value))
        else:
            out[given] = value
    return out


def _patient(options: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(options or {})
    names = {name.lower() for name in given}
    return {**{n: v for n, v in _PATIENCE.items() if n not in names}, **given}


def _count(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise _unusable(name, "a whole number") from None


def _milliseconds(name: str, value: object) -> int:
    return round(_duration(name, value) / timedelta(milliseconds=1))


def _duration(name: str, value: object) -> timedelta:
    text = str(value).strip()
    spans = list(_SPAN.finditer(text))
    if not spans or _SPAN.sub("", text).strip():
        raise _unusable(name, "a duration such as '30s' or '500ms'")
    seconds = sum(
        float(s[1]) * (0.001 if s[2].startswith(("ms", "milli")) else _UNITS[s[2][0]])
        for s in spans
    )
    return timedelta(seconds=seconds)


def _unusable(name: str, wanted: str) -> ConfigError:
    return ConfigError(f"storage option {name!r} is not {wanted}", None, None, "storage_options")
