"""What a place's own errors become: one error each, that tells enough and no secret."""

from __future__ import annotations

import re

from raypipe.core.errors import LakeAccessError, SourceNotFoundError

_STATUS = re.compile(r"status code: (\d{3})")
TRIED = re.compile(r"after (\d+) retries")
_KNOWN = (
    ("error sending request", "no connection"),
    ("timed out", "timed out"),
    ("operation timed out", "timed out"),
    ("dns error", "no such host"),
)
_DENIED_ACT = "Check the keys in storage_options or the environment, and what they allow."
_REACH_ACT = "Check that the place exists, is spelled right, and may be read and written."
_WAIT_ACT = (
    "It was tried as often as max_retries and retry_timeout in storage_options allow. Nothing is "
    "half-written: the same call may be made again."
)


def absent(path: str) -> SourceNotFoundError:
    """The error for a file that is not there."""
    return SourceNotFoundError("the lake holds no such file", path, None, "path")


def denied(path: str, error: BaseException) -> LakeAccessError:
    """The error for a place that cannot be reached, read or written.

    Of a client's message only an HTTP status and a few fixed words are kept: the rest may hold a
    signed URL.
    """
    reason, act = _why(error)
    return LakeAccessError(f"the lake cannot be reached ({reason})", path, act, "root")


def unreachable(error: BaseException) -> bool:
    """Whether an error tells of an object store that did not serve, not of what it holds."""
    text = str(error)
    status = _STATUS.search(text)
    if isinstance(error, FileNotFoundError) or (status and status[1] in ("404", "416")):
        return False
    return status is not None or any(words in text for words, _ in _KNOWN)


def cut_off(error: BaseException) -> bool:
    """Whether an error tells of a connection that could not be made or broke, and of no answer."""
    text = str(error)
    return _STATUS.search(text) is None and any(words in text for words, _ in _KNOWN)


def _why(error: BaseException) -> tuple[str, str]:
    text = str(error)
    kind = type(error).__name__
    status = _STATUS.search(text)
    refused = kind in ("PermissionDeniedError", "UnauthenticatedError")
    if refused or (status and status[1] in ("401", "403")):
        return f"access denied{_code(status)}", _DENIED_ACT
    if status is not None:
        return f"the store answered{_code(status)}", (
            _WAIT_ACT if status[1].startswith("5") else _REACH_ACT
        )
    for words, reason in _KNOWN:
        if words in text:
            tried = TRIED.search(text)
            return f"{reason}, {tried[0] if tried else 'not tried again'}", _WAIT_ACT
    return getattr(error, "strerror", None) or kind, _REACH_ACT


def _code(status: re.Match[str] | None) -> str:
    return "" if status is None else f", HTTP status {status[1]}"
