"""Bytes at paths below a root: what the lake needs of a place, and a local folder as one."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from raypipe.core.errors import ConfigError
from raypipe.core.faults import fault_point
from raypipe.core.uris import is_local, join
from raypipe.lake.storage.entry import Entry
from raypipe.lake.storage.failures import absent, denied
from raypipe.lake.storage.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_COPY_BYTES = 8 * 1024 * 1024


class Store(Protocol):
    """What the lake needs of a place; every path is relative to the root, with slashes.

    Every method raises ``LakeAccessError`` when the place cannot be reached, read or written.
    """

    def put(self, path: str, data: bytes) -> None:
        """Writes the whole file or nothing; a reader never sees a part of it. One that is there is
        replaced in one step.
        """

    def put_new(self, path: str, data: bytes) -> bool:
        """Writes the whole file if there is none at this path; of any number of rivals one writes.

        Returns:
            Whether this call wrote it. In an object store False may also mean that it did, but
            that the answer was lost on its way: who must know looks at what is there.
        """

    def upload(self, path: str, source: Path) -> int:
        """Puts a local file in place like ``put``, at bounded memory; returns its size in bytes.
        The source stays.
        """

    def get(self, path: str) -> bytes:
        """The file's bytes.

        Raises:
            SourceNotFoundError: there is none.
        """

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """The file's bytes from ``start`` up to ``end``; fewer where it ends before.

        Raises:
            SourceNotFoundError: there is none.
        """

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def files(self, prefix: str) -> list[str]:
        """The files below a folder (or the file itself), sorted."""

    def sizes(self, paths: Sequence[str]) -> dict[str, int]:
        """The sizes in bytes of those of the files that are there."""

    def entries(self, prefix: str) -> list[Entry]:
        """The files below a folder (or the file itself) with size and time, sorted by path. Other
        than ``files`` it tells of temporary files too.
        """

    def newer(self, folder: str, name: str) -> list[str]:
        """The names of the files right in a folder that sort at or after a name, sorted."""

    def folders(self) -> list[str]:
        """The names of the folders right below the root, sorted."""

    def delete(self, paths: Iterable[str]) -> None:
        """Removes files; one that is not there is no error."""

    def keep_names(self, paths: Iterable[str]) -> None:
        """Returns when the names of these files survive a power cut: each folder that holds some of
        them is forced to disk once. Their bytes are the business of who wrote them.
        """


def open_store(root: str, storage_options: Mapping[str, str] | None) -> Store:
    """The store for a normalised root."""
    if is_local(root):
        return _LocalStore(root)
    return RemoteStore(root, storage_options)


def locate(folder: str, path: str) -> str:
    """Where a file of a table lies, from its path as the log spells it (URL-encoded)."""
    plain = unquote(path)
    return str(Path(folder) / plain) if is_local(folder) else join(folder, plain)


def clean_path(path: str) -> str:
    """The relative path itself, if it stays below the root.

    Raises:
        ConfigError: it is empty, absolute, has a ``..`` or ``.`` part or a backslash, or goes into
            a Delta log.
    """
    parts = PurePosixPath(path).parts
    bad = (
        not parts
        or path.startswith("/")
        or "\\" in path
        or "\0" in path
        or any(part in ("..", ".") for part in path.split("/"))
        or "_delta_log" in parts
    )
    if bad:
        raise ConfigError(
            "not a path of a file in the lake",
            path,
            "Use a relative path without '..', outside of Delta logs.",
            "path",
        )
    return "/".join(parts)


class _LocalStore:
    """A folder. A file is written under a temporary name, forced to disk, and then renamed."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def put(self, path: str, data: bytes) -> None:
        with self._finished(path, data) as (temporary, target):
            temporary.replace(target)

    def put_new(self, path: str, data: bytes) -> bool:
        with self._finished(path, data) as (temporary, target):
            if "_delta_log" in target.parts:
                fault_point("lake:inside-commit")
            try:
                os.link(temporary, target)  # whole from its first moment, and never over another
            except FileExistsError:
                return False
        return True

    def upload(self, path: str, source: Path) -> int:
        with self._finished(path, source) as (temporary, target):
            size = temporary.stat().st_size
            temporary.replace(target)
        return size

    @contextlib.contextmanager
    def _finished(self, path: str, data: bytes | Path) -> Iterator[tuple[Path, Path]]:
        """A temporary file with the data, on disk, beside the place where it is to be."""
        target = self.root / path
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            make_folder(target.parent)
            with temporary.open("wb") as file:
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, file, _COPY_BYTES)
                file.flush()
                os.fsync(file.fileno())
            yield temporary, target
            sync_folder(target.parent)
        except OSError as error:
            raise denied(str(target), error) from error
        finally:  # also on Ctrl-C
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def get(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise absent(path) from error
        except OSError as error:
            raise denied(path, error) from error

    def get_range(self, path: str, start: int, end: int) -> bytes:
        try:
            with (self.root / path).open("rb") as file:
                file.seek(start)
                return file.read(max(0, end - start))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise absent(path) from error
        except OSError as error:
            raise denied(path, error) from error

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def files(self, prefix: str) -> list[str]:
        return [path for path in self._walk(prefix) if not path.endswith(".tmp") or path == prefix]

    def sizes(self, paths: Sequence[str]) -> dict[str, int]:
        found, top = {}, str(self.root)
        for path in paths:
            try:
                found[path] = os.stat(f"{top}/{path}").st_size  # noqa: PTH116 - a third of Path's time
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise denied(path, error) from error
        return found

    def entries(self, prefix: str) -> list[Entry]:
        out = []
        for path in self._walk(prefix):
            try:
                found = (self.root / path).stat()
            except FileNotFoundError:  # removed meanwhile
                continue
            when = datetime.fromtimestamp(found.st_mtime, UTC).replace(tzinfo=None)
            out.append(Entry(path, found.st_size, when))
        return out

    def newer(self, folder: str, name: str) -> list[str]:
        try:
            found = [entry.name for entry in os.scandir(self.root / folder) if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise denied(folder, error) from error
        return sorted(n for n in found if n >= name)

    def _walk(self, prefix: str) -> list[str]:
        top = self.root / prefix
        if top.is_file():
            return [prefix]
        return sorted(
            Path(folder, name).relative_to(self.root).as_posix()
            for folder, _, names in os.walk(top)
            for name in names
        )

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                (self.root / path).unlink(missing_ok=True)
            except OSError as error:
                raise denied(path, error) from error

    def keep_names(self, paths: Iterable[str]) -> None:
        for folder in sorted({path.rpartition("/")[0] for path in paths}):
            try:
                sync_folder(self.root / folder)
            except FileNotFoundError:
                continue  # who looks for the file says that it is gone
            except OSError as error:
                raise denied(folder, error) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, each of them forced to disk in its own."""
    made = []
    while not folder.is_dir():
        made.append(folder)
        folder = folder.parent
    if made:
        made[0].mkdir(parents=True, exist_ok=True)
        for one in made:
            sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Forces a folder's entries to disk, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(root: str) -> None:
    """A local folder exists (or is made) and takes a file.

    Raises:
        LakeAccessError: it does not.
    """
    if not is_local(root):
        return
    folder = Path(root)
    probe = folder / f".probe-{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise denied(root, error) from error
