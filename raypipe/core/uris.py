"""Addresses of lakes: a folder, or a URI of an object store."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from raypipe.core.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST = 100
_LONGEST_MODEL = 70  # its tables are named after it, such as <model>__retrainings
_BEFORE_HOST = ("abfs", "abfss")  # abfss://container@account.host/…
# Names as Azure, S3 and Google sign URLs with. A "?" may stand in a glob or a name, these hardly.
_SIGNED = re.compile(
    r"[?&](sig|sv|se|signature|token|password|awsaccesskeyid|googleaccessid|x-amz-[a-z-]+"
    r"|x-goog-[a-z-]+)=",
    re.IGNORECASE,
)
_REMOTE = ("s3", "s3a", "az", "azure", "abfs", "abfss", "gs")


def check_name(kind: str, name: str) -> str:
    """The name itself, if it may name a table or a model.

    Raises:
        ConfigError: it is not a letter followed by letters, digits or underscores, 100 characters
            in all at most, or 70 for a model.
    """
    longest = _LONGEST_MODEL if kind == "model" else _LONGEST
    if not isinstance(name, str) or len(name) > longest or not _NAME.fullmatch(name):
        raise ConfigError(
            f"this cannot name a {kind}",
            name,
            f"Use a letter, then up to {longest - 1} letters, digits or underscores.",
            "name",
        )
    return name


def refuse_credentials(uri: str, whose: str, field: str) -> None:
    """Refuses a URI that carries a user name, a password or a signed query: URIs are noted in
    commits and shown in messages.

    Args:
        uri: with its scheme.
        whose: how the message names it.
        field: the argument that it came in.

    Raises:
        ConfigError: it carries one; the message does not show it.
    """
    scheme, _, rest = uri.partition("://")
    host = rest.partition("/")[0]
    user, at, _ = host.rpartition("@")
    container = scheme in _BEFORE_HOST and ":" not in user
    got = ""
    if at and not container:
        got = "user information before the host"
    elif _SIGNED.search(rest):
        got = "a query that looks signed"
    if got:
        raise ConfigError(
            f"the URI of {whose} carries a credential",
            got,
            "Pass credentials in storage_options or in the environment.",
            field,
        )


def normalize_root(root: str | os.PathLike[str]) -> str:
    """A root as an absolute local path or a URI without a slash at its end.

    Raises:
        ConfigError: the scheme is unknown, or the URI carries a user name, a password or a signed
            query.
    """
    text = os.fspath(root)
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    refuse_credentials(text, "the lake", "root")
    parts = urlsplit(text)
    if parts.scheme == "file":
        return str(Path(parts.path).absolute())
    if parts.scheme not in _REMOTE:
        raise ConfigError(
            "a lake cannot live there",
            f"scheme {parts.scheme!r}",
            f"Use a folder or one of: {', '.join(s + '://' for s in _REMOTE)}.",
            "root",
        )
    return text.rstrip("/")


def is_local(root: str) -> bool:
    """Whether a normalised root is a folder of this machine (or a shared one mounted on it)."""
    return "://" not in root


def join(root: str, *names: str) -> str:
    """A root and names below it."""
    return "/".join([root.rstrip("/"), *(name.strip("/") for name in names)])
