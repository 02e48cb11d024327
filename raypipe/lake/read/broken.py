"""A file of a table that is gone, cut short or spoilt: found, and told in one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from raypipe.core.errors import LakeError
from raypipe.core.uris import is_local
from raypipe.lake.storage.failures import denied, unreachable
from raypipe.lake.storage.patience import waited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.lake.read.part import LakePart

T = TypeVar("T")
_ACT = (
    "Bring the file back from a copy of the lake, or read a version that does not need it;"
    " a vacuum removes files of old versions."
)


def damaged(table: str, version: int, uri: str, error: BaseException) -> LakeError:
    """The error for one file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return LakeError(f"a file of table {table!r}, version {version}, is gone", uri, _ACT)
    reason = str(error).split("\n", 1)[0]
    return LakeError(
        f"a file of table {table!r}, version {version}, cannot be read ({reason})", uri, _ACT
    )


def reading(parts: Sequence[LakePart], act: Callable[[], T]) -> T:
    """What a read of these parts gives. A store whose connection breaks is asked again.

    The failure of a read becomes an error that names the file, if a file is at fault. Only then are
    the files looked at one by one; a failure of another kind passes unchanged.

    Raises:
        LakeError: a file is gone, cut short or spoilt.
        LakeAccessError: the object store does not serve.
    """
    if not parts:
        return act()
    try:
        return waited(act, parts[0].uri, parts[0].storage_options)
    except (OSError, pl.exceptions.PolarsError) as error:
        for part in parts:
            why = _fault(part)
            if why is None:
                continue
            if not is_local(part.uri) and unreachable(why):
                raise denied(part.uri, why) from None  # its text may hold a signed URL
            raise damaged(part.table, part.version, part.uri, why) from error
        raise


def _fault(part: LakePart) -> BaseException | None:
    try:
        if is_local(part.uri) and Path(part.uri).stat().st_size < part.nbytes:
            return OSError(f"it is cut short: {part.nbytes} bytes were written")
        part.stored().collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        return error
    return None
