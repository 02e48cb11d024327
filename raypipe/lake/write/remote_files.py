"""Source files in an object store: found by a path or a glob, read by way of a temporary folder."""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from raypipe.core.errors import (
    ConfigError,
    LakeAccessError,
    RaypipeError,
    SourceError,
    SourceNotFoundError,
)
from raypipe.core.uris import refuse_credentials
from raypipe.lake.storage.store import open_store
from raypipe.lake.write.readers import file_types, format_of, read_file
from raypipe.lake.write.sample import BYTES, sample_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import polars as pl

_SCHEMES = ("s3", "s3a", "az", "azure", "abfs", "abfss", "gs")
_MAGIC = re.compile(r"[*?\[]")
_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]")
_NEW = {"**/": "(?:[^/.][^/]*/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class RemotePart:
    """One object. It is brought to the machine that reads it, whole, and gone there afterwards.

    Attributes:
        label: its URI.
        nbytes: its size.
        root: the bucket or container.
        options: storage options; secrets, so no ``repr`` shows them.
    """

    label: str
    nbytes: int
    root: str
    options: Mapping[str, str] | None = field(repr=False)

    def types(self) -> Mapping[str, pl.DataType]:
        """Columns and types."""
        return self._locally(lambda path: file_types(path))

    def read(self, types: Mapping[str, pl.DataType] | None) -> pl.DataFrame:
        """The rows, as strictly as those of a local file."""
        return self._locally(lambda path: read_file(path, types))

    def lazy(self) -> pl.LazyFrame:
        """The rows; all of them are read."""
        return self.read(None).lazy()

    def is_empty(self) -> bool:
        """Whether there is no row at all."""
        return self.read(None).is_empty()

    def sample(self) -> Mapping[str, pl.DataType] | None:
        """The types that the values at its start have, of a text format."""
        if self.label.endswith(".gz"):
            return None
        whole = self.nbytes < BYTES
        try:
            with self._here(None if whole else BYTES) as path:
                return sample_types(path, format_of(self.label))
        except RaypipeError:
            return None

    def _locally(self, use: Callable[[str], Found]) -> Found:
        path = ""
        try:
            with self._here() as path:
                return use(path)
        except LakeAccessError as error:
            raise _unreached(self.label, error) from None
        except RaypipeError as error:
            # What is said of the file that was read is true of the object, by its own name.
            made = type(error)(
                error.what.replace(path, self.label) if path else error.what,
                error.got.replace(path, self.label) if path and error.got else error.got,
                error.act,
                error.field,
            )
            raise made from None

    @contextlib.contextmanager
    def _here(self, first: int | None = None) -> Iterator[str]:
        key = self.label.removeprefix(f"{self.root}/")
        store = open_store(self.root, self.options)
        try:
            data = store.get(key) if first is None else store.get_range(key, 0, first)
        except SourceNotFoundError:
            raise _missing(self.label) from None
        if first is not None:
            data = data[: data.rfind(b"\n") + 1]
        with tempfile.TemporaryDirectory(prefix="raypipe-source-") as folder:
            path = Path(folder, PurePosixPath(key).name)
            path.write_bytes(data)
            del data
            yield str(path)


def is_remote(path: str) -> bool:
    """Whether a path is a URI of something else than this machine's files."""
    return "://" in path and not path.startswith("file://")


def find(path: str, options: Mapping[str, str] | None) -> list[RemotePart]:
    """The objects that a URI names, in the order of their names.

    ``*`` and ``?`` stay within a folder, ``**`` goes into folders; what starts with a dot is left
    out, as in a local glob.

    Raises:
        ConfigError: the scheme is unknown, or the URI carries a credential.
        SourceNotFoundError: nothing is there.
        SourceError: the object store cannot be reached.
    """
    root, key = _split(path)
    store = open_store(root, options)
    magic = _MAGIC.search(key)
    try:
        if magic:
            folder = key[: magic.start()].rpartition("/")[0]
            name = re.compile(_pattern(key), re.S)
            found = {e.path: e.size for e in store.entries(folder) if name.fullmatch(e.path)}
        else:
            found = store.sizes([key])
            if not found and store.entries(key):
                raise SourceNotFoundError(
                    "a folder is not a source", path, f"Use {path}/*.csv or the like."
                )
    except LakeAccessError as error:
        raise _unreached(path, error) from None
    if not found:
        if magic:
            raise SourceNotFoundError("no file matches", path, "Check the URI.", "data")
        raise _missing(path)
    return [RemotePart(f"{root}/{k}", found[k], root, options) for k in sorted(found)]


def _split(path: str) -> tuple[str, str]:
    refuse_credentials(path, "a source", "data")
    scheme, _, rest = path.partition("://")
    if scheme not in _SCHEMES:
        raise ConfigError(
            "source files are read from folders and object stores",
            path.split("?", 1)[0],
            "Read this one with ray.data or polars and pass what comes of it.",
            "data",
        )
    bucket, _, key = rest.partition("/")
    if not bucket or not key.strip("/"):
        raise SourceNotFoundError(
            "a bucket is not a source", path, "Name a file in it, or a glob.", "data"
        )
    return f"{scheme}://{bucket}", key


def _pattern(key: str) -> str:
    out, at = "", 0
    for found in _GLOB.finditer(key):
        out += re.escape(key[at : found.start()])
        mark = found[0]
        if mark in ("*", "?") and key[: found.start()].rpartition("/")[2] == "":
            out += "(?![.])"
        if mark.startswith("["):
            inner = mark[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            mark = "[^/" + inner[1:] + "]" if inner.startswith("!") else f"[{inner}]"
        out += _NEW.get(mark, mark)
        at = found.end()
    return out + re.escape(key[at:])


def _missing(path: str) -> SourceNotFoundError:
    return SourceNotFoundError("no such file", path, "Check the URI.", "data")


def _unreached(path: str, error: LakeAccessError) -> SourceError:
    reason = error.what.partition("(")[2].rstrip(")") or error.what
    return SourceError("a source cannot be reached", f"{path}: {reason}", error.act, "data")
