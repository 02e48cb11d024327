"""Bytes in an object store: S3, Azure Blob Storage, Google Cloud Storage (the last is unproven)."""

from __future__ import annotations

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from raypipe.core.errors import LakeAccessError, MissingPartError, RaypipeError
from raypipe.core.faults import fault_point
from raypipe.lake.storage.entry import Entry
from raypipe.lake.storage.failures import absent, denied
from raypipe.lake.storage.keys import for_obstore
from raypipe.lake.storage.patience import waited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
_CHUNK = 8 * 1024 * 1024
"""Bytes of one part of a large upload; S3 takes 10,000 parts, so one file may have 78 GiB."""
_ASKERS = 16
"""Threads that ask for the sizes of objects."""
_ENVIRONMENT = ("AWS_", "AZURE_", "AZURITE_", "GOOGLE_")
_UNKNOWN = re.compile(r"Configuration key: '([^']*)'")
_UNREAL = {"s3a://": "s3://", "azure://": "az://"}


class RemoteStore:
    """An object store. An object appears when its upload is completed, whole.

    S3 (and what speaks its protocol, with conditional puts) and Azure Blob Storage are proven by
    tests; Google Cloud Storage is reached by configuration only and is unproven.

    Keys are looked for in ``storage_options`` first and then in the environment, under the names
    that deltalake has. A named AWS profile (``AWS_PROFILE``) is understood by deltalake, not here.
    A request that fails by the connection or the server (HTTP 5xx) is tried again with growing
    pauses for a minute; ``max_retries`` and ``retry_timeout`` in ``storage_options`` change that.
    Then ``LakeAccessError`` is raised.

    What a killed process leaves of a large upload is invisible, but a bill: give the bucket a rule
    that removes incomplete multi-part uploads.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None) -> None:
        """Touches nothing.

        Raises:
            MissingPartError: the package ``obstore`` is not installed.
        """
        require_obstore()
        self.root = root
        self._options = dict(storage_options or {})

    def _store(self) -> Any:
        # A forked child must not use its parent's connections, and the environment may have
        # changed: both are in the key.
        seen = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_ENVIRONMENT)))
        key = tuple(sorted(self._options.items()))
        return _opened(self.root, key, seen, os.getpid())

    def put(self, path: str, data: bytes) -> None:
        """Writes the whole object or nothing; one that is there is replaced.

        More than a few MiB go up in parts, and a failure on the way takes them back.
        """
        self._send(path, io.BytesIO(data), len(data))

    def put_new(self, path: str, data: bytes) -> bool:
        """Writes the object if there is none, by the store's own conditional put.

        False may also mean that this very call wrote it, the answer was lost and the client tried
        again: who must know looks at what is there.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def put() -> bool:
            try:
                obstore.put(self._store(), path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return self._ask(path, put)

    def upload(self, path: str, source: Path) -> int:
        """Copies a local file to the store and returns its size; memory stays at a few parts.

        A larger one goes up in parts, and a failure on the way takes them back.
        """
        try:
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._send(path, file, size)
        except OSError as error:
            if isinstance(error, RaypipeError):
                raise
            raise denied(str(source), error) from error
        return size

    def _send(self, path: str, file: BinaryIO, size: int) -> None:
        import obstore

        def send() -> None:
            file.seek(0)
            if size <= _CHUNK:
                obstore.put(self._store(), path, file.read(), use_multipart=False)
                return
            fault_point("storage:before-upload")
            parts = _chunks(file)
            obstore.put(self._store(), path, parts, chunk_size=_CHUNK, max_concurrency=4)
            fault_point("storage:after-upload")

        self._ask(path, send)

    def get(self, path: str) -> bytes:
        """The object's bytes."""
        import obstore

        return self._ask(path, lambda: bytes(obstore.get(self._store(), path).bytes()))

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end``; fewer where the object ends before."""
        import obstore

        def get() -> bytes:
            return bytes(obstore.get_range(self._store(), path, start=start, end=end))

        return self._ask(path, get)

    def exists(self, path: str) -> bool:
        """Whether an object, or one below a folder of this name, is there."""
        return self._head(path) is not None or bool(self._list(path, most=1))

    def files(self, prefix: str) -> list[str]:
        """The objects below a folder (or the object itself), sorted."""
        return [entry.path for entry in self.entries(prefix)]

    def entries(self, prefix: str) -> list[Entry]:
        """The objects below a folder (or the object itself) with sizes and times, by path."""
        found = sorted(self._list(prefix), key=lambda entry: entry.path)
        if found or not prefix:
            return found
        alone = self._head(prefix)
        return [] if alone is None else [alone]

    def sizes(self, paths: Sequence[str]) -> dict[str, int]:
        """The sizes of those of the objects that are there, each asked for by itself."""
        with ThreadPoolExecutor(_ASKERS) as pool:
            found = [entry for entry in pool.map(self._head, paths) if entry is not None]
        return {entry.path: entry.size for entry in found}

    def newer(self, folder: str, name: str) -> list[str]:
        """The names in a folder that sort at or after ``name``, sorted; its subfolders are left
        out. S3 starts its listing there.
        """
        # A listing begins after its offset, so it is given a name just before the wanted one.
        offset = f"{folder}/{name[:-1]}" if name else None
        skip = len(folder) + 1
        names = (entry.path[skip:] for entry in self._list(folder, offset))
        return sorted(n for n in names if n >= name and "/" not in n)

    def folders(self) -> list[str]:
        """The names of the folders right below the root, sorted."""
        import obstore

        found = self._ask(self.root, lambda: obstore.list_with_delimiter(self._store()))
        return sorted(path.rstrip("/") for path in found["common_prefixes"])

    def delete(self, paths: Iterable[str]) -> None:
        """Removes objects; one that is not there is no error."""
        import obstore

        wanted = list(paths)
        if not wanted:
            return

        def delete() -> None:
            try:
                obstore.delete(self._store(), wanted)
            except FileNotFoundError:  # Azure's: the rest may not have been looked at
                for path in wanted:
                    try:
                        obstore.delete(self._store(), path)
                    except FileNotFoundError:
                        continue

        self._ask(self.root, delete)

    def keep_names(self, paths: Iterable[str]) -> None:
        """Nothing to do: an object that was put has its name for good."""

    def _head(self, path: str) -> Entry | None:
        import obstore

        def head() -> Entry | None:
            try:
                return _entry(obstore.head(self._store(), path))
            except FileNotFoundError:
                return None

        return self._ask(path, head)

    def _list(self, prefix: str, offset: str | None = None, most: int | None = None) -> list[Entry]:
        import obstore

        def names() -> list[Entry]:
            pages = obstore.list(self._store(), prefix or None, offset=offset, chunk_size=1000)
            return list(islice((_entry(found) for page in pages for found in page), most))

        return self._ask(prefix or self.root, names)

    def _ask(self, path: str, act: Callable[[], T]) -> T:
        """What the store answers. The client's errors become ours; its text may hold a signed URL,
        so the new error does not carry the old one along.
        """
        from obstore.exceptions import BaseError

        try:
            return waited(act, self.root, self._options)
        except RaypipeError:
            raise
        except FileNotFoundError:
            raise absent(path) from None
        except (BaseError, OSError, ValueError) as error:
            raise denied(path, error) from None

    def __repr__(self) -> str:
        return f"RemoteStore({self.root})"


def require_obstore() -> None:
    """Makes sure that object stores can be reached.

    Raises:
        MissingPartError: the package is not installed.
    """
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise MissingPartError(
            "a lake in an object store needs the package obstore",
            None,
            'Install it: pip install "raypipe[cloud]"',
            "root",
        ) from None


@lru_cache(maxsize=64)
def _opened(
    root: str,
    options: tuple[tuple[str, str], ...],
    environment: tuple[tuple[str, str], ...],
    _process: int,
) -> Any:
    from obstore.exceptions import BaseError, UnknownConfigurationKeyError
    from obstore.store import from_url

    given = for_obstore(dict(options), dict(environment))
    known = dict(given.store)
    url = root
    for other, real in _UNREAL.items():
        url = real + url.removeprefix(other) if url.startswith(other) else url
    while True:
        try:
            return from_url(
                url,
                config=known,
                client_options=dict(given.connection) or None,
                retry_config=dict(given.retries),
            )
        except UnknownConfigurationKeyError as error:
            # An option of deltalake's own, or of another kind of store: the others ignore it too.
            found = _UNKNOWN.search(str(error))
            if found is None or known.pop(found[1], None) is None:
                raise denied(root, error) from None
        except (BaseError, ValueError, TypeError) as error:
            raise LakeAccessError(
                "the object store cannot be opened with these options",
                f"{root} ({type(error).__name__})",
                "Check storage_options and the environment.",
                "storage_options",
            ) from None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := _read(file):
        yield chunk
        fault_point("storage:mid-upload")


def _read(file: BinaryIO) -> bytes:
    return file.read(_CHUNK)


def _entry(found: Mapping[str, Any]) -> Entry:
    when = found["last_modified"].astimezone(UTC).replace(tzinfo=None)
    return Entry(str(found["path"]), int(found["size"]), when)
