"""The lake's files as a file system of Arrow's, which Ray Train writes checkpoints to.

So checkpoints lie where the lake lies, under its keys, whole or not at all, and storage that fails
for a while is waited for. A folder is there while a file is in it. A file is held in memory while
it is written.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from raypipe.training.checkpoints import patient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake import Lake


def lake_filesystem(lake: Lake) -> fs.PyFileSystem:
    """A file system whose paths are those of ``lake.files``; pickles."""
    return fs.PyFileSystem(_LakeFiles(lake))


class _LakeFiles(fs.FileSystemHandler):  # type: ignore[misc]
    """Arrow's calls in terms of ``lake.files``."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _LakeFiles) and other._lake.root == self._lake.root

    def __hash__(self) -> int:
        return hash(self._lake.root)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_LakeFiles, (self._lake,))

    def get_type_name(self) -> str:
        return "raypipe-lake"

    def normalize_path(self, path: str) -> str:
        return path.strip("/")

    def get_file_info(self, paths: Sequence[str]) -> list[fs.FileInfo]:
        return [self._info(self.normalize_path(path)) for path in paths]

    def _info(self, path: str) -> fs.FileInfo:
        below = patient(self._lake.files.list, path)
        kind = fs.FileType.Directory if below else fs.FileType.NotFound
        return fs.FileInfo(path, fs.FileType.File if below == [path] else kind)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        base = self.normalize_path(selector.base_dir)
        files = patient(self._lake.files.list, base)
        if not files and not selector.allow_not_found:
            raise FileNotFoundError(base)
        found: dict[str, fs.FileType] = {}
        for path in files:
            parts = path.removeprefix(f"{base}/").split("/")
            for depth in range(1, len(parts)):
                found.setdefault("/".join([base, *parts[:depth]]), fs.FileType.Directory)
            found[path] = fs.FileType.File
        return [
            fs.FileInfo(path, kind)
            for path, kind in found.items()
            if selector.recursive or "/" not in path.removeprefix(f"{base}/")
        ]

    def create_dir(self, path: str, recursive: bool) -> None:
        """A folder comes with its first file."""

    def delete_dir(self, path: str) -> None:
        patient(self._lake.files.delete, self.normalize_path(path))

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self.delete_dir(path)

    def delete_root_dir_contents(self) -> None:
        raise PermissionError("the lake itself is not to be emptied")

    def delete_file(self, path: str) -> None:
        patient(self._lake.files.delete, self.normalize_path(path))

    def copy_file(self, src: str, dest: str) -> None:
        data = patient(self._lake.files.get, self.normalize_path(src))
        patient(self._lake.files.put, self.normalize_path(dest), data)

    def move(self, src: str, dest: str) -> None:
        self.copy_file(src, dest)
        self.delete_file(src)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        return pa.BufferReader(patient(self._lake.files.get, self.normalize_path(path)))

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        return pa.PythonFile(_Upload(self._lake, self.normalize_path(path)), mode="w")

    def open_append_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        raise NotImplementedError("files of a lake are written whole")


class _Upload(io.BytesIO):
    """Bytes that become a file of the lake when they are closed."""

    def __init__(self, lake: Lake, path: str) -> None:
        super().__init__()
        self._lake = lake
        self._path = path

    def __del__(self) -> None:
        """What was let go before it was closed is not whole, and is not kept."""

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            patient(self._lake.files.put, self._path, data)
