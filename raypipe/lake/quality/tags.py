"""Which columns of a table are masked, as its log keeps it: the kind of mask, never a key.

So that a wrong key is noticed before it splits a column into two worlds that do not join, the tag
of a hashed column holds a random salt and an HMAC of a constant and that salt under the key. That
tells no more about a random key than any one of the hashes beside it: HMAC-SHA256 under an unknown
key is a pseudo-random function, and the constant starts with a zero byte and words of its own, so
the check is not the hash of a value that somebody may have. Guessing the key from either costs the
same; that is why a key has at least 16 bytes.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from raypipe.core.errors import (
    ConfigError,
    LakeError,
    MalformedSourceError,
    RaypipeError,
    SchemaError,
)
from raypipe.lake.quality.masks import KEY_VARIABLE, Mask
from raypipe.lake.schema.spec import PII

if TYPE_CHECKING:
    from raypipe.lake.schema.spec import Column, TableSpec

_CHECKED = b"\0raypipe key check\0"
_HIDDEN = "a value that is not shown, since the column holds personal data"
_LINE = re.compile(r"\bline \d+")
_ARGUMENTS = ("transform", "delete_when")
"""What an error about a caller's function names in place of a column: it may show any value."""

_T = TypeVar("_T")

Masks = Mapping[str, Mask]


def checked_pii(pii: object) -> dict[str, Mask] | None:
    """Masks by column, as a caller gives them.

    Raises:
        ConfigError: it is no mapping of names to masks.
    """
    if pii is None:
        return None
    if not isinstance(pii, Mapping) or not all(
        isinstance(name, str) and isinstance(mask, Mask) for name, mask in pii.items()
    ):
        raise ConfigError(
            "pii maps names of columns to masks",
            type(pii).__name__,
            "Write {'email': rp.masks.keyed_hash()}.",
            "pii",
        )
    return dict(pii)


def masks_for(pii: Masks | None, spec: TableSpec | None, table: str) -> dict[str, Mask]:
    """The masks that a write must use, with their keys at hand.

    Args:
        pii: what the writer names, if anything.
        spec: the table as it is; None when this write makes it.
        table: how messages name the table.

    Raises:
        ConfigError: a key is missing or is not the one the table was written with, a column is
            stored unmasked or under another mask, or there is no such column.
    """
    named = dict(pii or {})
    if spec is None:
        return {name: mask.with_key() for name, mask in named.items()}
    found: dict[str, Mask] = {}
    for name, column in spec.columns.items():
        tag = _tag(column, name)
        if tag is not None:
            found[name] = _resolved(name, tag, named.get(name), table)
    for name in named:
        if name in spec.columns and name not in found:
            raise ConfigError(
                f"column {name!r} of {table} is stored as it is",
                "pii names it now",
                "Masking only new rows would leave the old ones readable: write a new table.",
                "pii",
            )
        if name not in spec.columns:  # it may join the table with this write
            found[name] = named[name].with_key()
    return found


def _resolved(name: str, tag: Mapping[str, Any], named: Mask | None, table: str) -> Mask:
    stored = Mask(tag["mask"], tag.get("amount"), tag.get("variable", KEY_VARIABLE))
    if named is not None and not named.same_as(stored):
        raise ConfigError(
            f"column {name!r} of {table} is masked otherwise",
            f"{named}, where the table has {stored}",
            "Name the table's own mask, or none: it is used all the same.",
            "pii",
        )
    mask = (named or stored).with_key()
    if mask.key is not None and not hmac.compare_digest(
        _check(mask.key, tag["salt"]), str(tag["check"])
    ):
        raise ConfigError(
            f"column {name!r} of {table} was masked with another key",
            None,
            f"Use the key that the table was made with (here it came from "
            f"{'the argument' if named and named.key else mask.variable}). Nothing was written.",
            "pii",
        )
    return mask


def hashed_before(masks: Masks, columns: Mapping[str, Column], *, as_it_is: bool) -> frozenset[str]:
    """The columns that come from a table which holds their hashes: they are not hashed again.

    Args:
        masks: those that the write must use, with their keys.
        columns: the columns that are read as a table stores them.
        as_it_is: no function of the caller comes between, which might put other values there.

    Raises:
        ConfigError: a column was hashed under another key, or a function comes between.
    """
    found = set()
    for name, mask in masks.items():
        tag = _tag(columns[name], name) if name in columns else None
        if tag is None or mask.key is None or tag["mask"] != mask.kind:
            continue
        same = hmac.compare_digest(_check(mask.key, tag["salt"]), str(tag["check"]))
        if not same or not as_it_is:
            raise ConfigError(
                f"column {name!r} of the data is hashed already",
                "under another key" if not same else "and a transform may change it",
                "Write the original values, or leave the column out. Nothing was written."
                if not same
                else "Write the snapshot without a transform, or select its columns with where() "
                "and select(). Nothing was written.",
                name,
            )
        found.add(name)
    return frozenset(found)


def _tag(column: Column, name: str) -> dict[str, Any] | None:
    text = column.metadata.get(PII)
    if text is None:
        return None
    try:
        tag = json.loads(text)
        kinds = ("keyed_hash", "truncate", "generalize", "drop")
        whole = tag["mask"] != "keyed_hash" or (tag["salt"] and tag["check"])
        if tag["mask"] in kinds and whole:
            return dict(tag)
    except (ValueError, KeyError, TypeError):
        pass
    raise LakeError(
        f"the mask of column {name!r} cannot be understood",
        None,
        "Its rows would be written unmasked: use the release that made the table.",
        name,
    )


def tagged(columns: Mapping[str, Column], masks: Masks) -> dict[str, Column]:
    """The columns with masks in their metadata; a column that has its tag keeps it."""
    return {
        name: column
        if name not in masks or PII in column.metadata
        else replace(column, metadata={**column.metadata, PII: _text(masks[name])})
        for name, column in columns.items()
    }


def first_masked(spec: TableSpec, masks: Masks) -> TableSpec:
    """The spec of a table that is made with these masks: stored types, and the tags.

    Raises:
        ConfigError: a mask is for a column that the table will not have.
        SchemaError: a column's type cannot be masked so.
    """
    for name in masks:
        if name not in spec.columns:
            raise ConfigError(
                f"pii names column {name!r}, which the table will not have",
                f"columns {list(spec.columns)}",
                None,
                "pii",
            )
    types = stored_types(spec.types, masks)
    columns = {n: replace(column, dtype=types[n]) for n, column in spec.columns.items()}
    for name, mask in masks.items():
        if mask.kind == "drop" and not columns[name].nullable:
            raise ConfigError(
                f"column {name!r} cannot be dropped: it must have a value", None, None, "pii"
            )
    return replace(spec, columns=tagged(columns, masks))


def _text(mask: Mask) -> str:
    tag: dict[str, Any] = {"mask": mask.kind}
    if mask.amount is not None:
        tag["amount"] = mask.amount
    if mask.kind == "keyed_hash":
        salt = secrets.token_hex(16)
        key = mask.with_key().key or b""
        tag |= {"variable": mask.variable, "salt": salt, "check": _check(key, salt)}
    return json.dumps(tag, sort_keys=True)


def _check(key: bytes, salt: str) -> str:
    return hmac.digest(key, _CHECKED + salt.encode(), "sha256").hex()


def stored_types(types: Mapping[str, pl.DataType], masks: Masks) -> dict[str, pl.DataType]:
    """The types that columns have once they are masked.

    Raises:
        SchemaError: a type cannot be masked so.
    """
    return {
        name: masks[name].stored_type(dtype, name) if name in masks else dtype
        for name, dtype in types.items()
    }


def guarded(masks: Masks, source: str, do: Callable[[], _T]) -> _T:
    """What ``do`` gives; no error that it raises shows a value of a masked column.

    An error that names a column without a mask passes as it is; of any other the place is kept and
    what stood there is not. It is a function and no ``with`` block, since the exception that ends
    such a block hangs on to whatever is raised in its place.
    """
    if not masks:
        return do()
    try:
        return do()
    except (SchemaError, MalformedSourceError) as error:
        if error.field not in (None, *masks, *_ARGUMENTS):
            raise
        hidden = _hide(error)
    except pl.exceptions.PolarsError:
        hidden = SchemaError(f"a value of {source} does not fit", _HIDDEN)
    raise hidden


def _hide(error: RaypipeError) -> RaypipeError:
    got, safe = error.got or "", error.field is None and "columns [" in (error.got or "")
    if safe:
        return error
    line = _LINE.search(got)
    place = f" in {line[0]}" if line else ""
    path = got.split(": ", 1)[0] if isinstance(error, MalformedSourceError) else ""
    shown = f"{path}: {_HIDDEN}" if path else f"{_HIDDEN}{place}"
    return type(error)(error.what, shown, error.act, error.field)
