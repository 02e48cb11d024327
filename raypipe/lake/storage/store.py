"""Bytes at paths below a root: a local folder, or an object store through Delta's own client."""

from __future__ import annotations

import os
import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from raypipe.core.errors import ConfigError, LakeAccessError, SourceNotFoundError
from raypipe.core.uris import is_local, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Store(Protocol):
    """What the lake needs of a place; every path is relative to the root, with slashes."""

    def put(self, path: str, data: bytes) -> None:
        """Writes the whole file or nothing; a reader never sees a part of it."""

    def get(self, path: str) -> bytes:
        """The file's bytes."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def files(self, prefix: str) -> list[str]:
        """The files below a folder (or the file itself), sorted."""

    def folders(self) -> list[str]:
        """The names of the folders right below the root, sorted."""

    def delete(self, paths: Iterable[str]) -> None:
        """Removes files; one that is not there is no error."""


def open_store(root: str, storage_options: Mapping[str, str] | None) -> Store:
    """The store for a normalised root."""
    if is_local(root):
        return _LocalStore(root)
    return _RemoteStore(root, storage_options)


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
        target = self.root / path
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True) if target.parent.is_dir() else None
            raise _denied(str(target), error) from error

    def get(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise _absent(path) from error
        except OSError as error:
            raise _denied(path, error) from error

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def files(self, prefix: str) -> list[str]:
        top = self.root / prefix
        if top.is_file():
            return [prefix]
        found = (
            Path(folder, name).relative_to(self.root).as_posix()
            for folder, _, names in os.walk(top)
            for name in names
            if not name.endswith(".tmp")
        )
        return sorted(found)

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            (self.root / path).unlink(missing_ok=True)


class _RemoteStore:
    """An object store. An object appears when its upload is completed, whole."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None) -> None:
        self.root = root
        self._options = dict(storage_options or {})
        self._opened: Any = None

    def _fs(self) -> Any:
        if self._opened is None:
            from deltalake.fs import DeltaStorageHandler
            from pyarrow.fs import PyFileSystem

            try:
                handler = DeltaStorageHandler(self.root, self._options or None)
            except Exception as error:
                raise _denied(self.root, error) from error
            self._opened = PyFileSystem(handler)
        return self._opened

    def _info(self, what: Any) -> list[Any]:
        """What is known of paths, or of all that a selector finds."""
        fs = self._fs()
        try:
            return list(fs.get_file_info(what))
        except OSError as error:
            raise _denied(self.root, error) from error

    def put(self, path: str, data: bytes) -> None:
        fs = self._fs()
        try:
            # Delta's own stream takes bytes only, and pyarrow's wrapper around it hands on buffers.
            stream = fs.handler._handler.open_output_stream(path, None)
            stream.write(data)
            stream.close()
        except OSError as error:
            raise _denied(path, error) from error

    def get(self, path: str) -> bytes:
        fs = self._fs()
        try:
            with fs.open_input_file(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError as error:
            raise _absent(path) from error
        except OSError as error:
            raise _denied(path, error) from error

    def exists(self, path: str) -> bool:
        from pyarrow.fs import FileType

        return bool(self._info([path])[0].type != FileType.NotFound)

    def files(self, prefix: str) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        here = self._info([prefix])[0] if prefix else None
        if here is not None and here.type == FileType.File:
            return [prefix]
        selector = FileSelector(prefix, recursive=True, allow_not_found=True)
        return sorted(i.path for i in self._info(selector) if i.is_file)

    def folders(self) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        found = self._info(FileSelector("", recursive=False, allow_not_found=True))
        return sorted(i.base_name for i in found if i.type == FileType.Directory)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            if self.exists(path):
                try:
                    self._fs().delete_file(path)
                except OSError as error:
                    raise _denied(path, error) from error


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
        raise _denied(root, error) from error


def _absent(path: str) -> SourceNotFoundError:
    return SourceNotFoundError("the lake holds no such file", path, None, "path")


def _denied(path: str, error: Exception) -> LakeAccessError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return LakeAccessError(
        f"the lake cannot be reached ({reason})",
        path,
        "Check that the place exists, is spelled right, and may be read and written.",
        "root",
    )
