"""A folder of files that functions of the user's own load and score with, as one file.

It is a zip whose entries are sorted, not compressed and without times, so equal files give equal
bytes. ``loop.json`` names the functions, ``files/`` is the folder. What the files hold is the
user's business; nothing here unpickles.
"""

from __future__ import annotations

import io
import json
import weakref
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.core.errors import ConfigError, IntegrityError
from raypipe.engine.folders import OwnedFolder
from raypipe.models.trusting import function_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_NAMES = "loop.json"
_FILES = "files/"
_LONGEST_AGO = (1980, 1, 1, 0, 0, 0)
# What is encrypted, what zipfile cannot read and JSON that is too deep are RuntimeErrors.
_DAMAGED = (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, RuntimeError)


def to_bytes(files: Mapping[str, bytes], load: str | None, predict: str | None) -> bytes:
    """The archive of files by path, and of the functions' names."""
    out = io.BytesIO()
    names = json.dumps({"load": load, "predict": predict}).encode()
    entries = [(_NAMES, names), *((f"{_FILES}{path}", files[path]) for path in sorted(files))]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name, _LONGEST_AGO), data)
    return out.getvalue()


def from_bytes(model: bytes) -> tuple[dict[str, bytes], dict[str, str | None]]:
    """The files by path, and the functions' names (``load``, ``predict``).

    Raises:
        IntegrityError: the bytes are no such archive, or a path in it would leave its folder.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            entries = archive.infolist()
            if any(one.compress_type != zipfile.ZIP_STORED for one in entries):
                raise IntegrityError("the model's archive is compressed, which none of ours is")
            if sum(one.file_size for one in entries) > len(model):
                raise IntegrityError("files of the model's archive lie in each other")
            names = json.loads(archive.read(_NAMES))
            files = {
                one.removeprefix(_FILES): archive.read(one)
                for one in archive.namelist()
                if one.startswith(_FILES)
            }
        told = {name: names[name] for name in ("load", "predict")}
    except _DAMAGED as error:
        raise IntegrityError(
            "the model's bytes are no folder of files", type(error).__name__
        ) from error
    for path in files:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
            raise IntegrityError("a file of the model would lie outside of its folder", path)
    return files, told


class FolderScorer:
    """A model that a function of the user's own loads from a folder, and another scores with.

    Raises:
        IntegrityError: the bytes are no such model.
        ConfigError: the run named no functions, they are not trusted here, or cannot be imported.
    """

    def __init__(self, model: bytes) -> None:
        files, names = from_bytes(model)
        load, predict = names["load"], names["predict"]
        if load is None or predict is None:
            raise ConfigError(
                "nothing says how this model is loaded and how it predicts",
                None,
                "Give the loop load= and predict=, and train again.",
            )
        loaded = function_named(load)
        self._predict, self._name = function_named(predict), predict
        owned = OwnedFolder.create()
        # until nobody scores any more: a library may read its files when it needs them
        weakref.finalize(self, owned.remove)
        folder = Path(owned.path, "model")
        folder.mkdir()
        for path, data in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        self.native: Any = loaded(str(folder))

    def score(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """What the user's function gives for the rows.

        Raises:
            ConfigError: it is not one number, or one for each class, for each row.
        """
        made = np.asarray(self._predict(self.native, rows))
        if made.ndim not in (1, 2) or len(made) != len(rows) or made.dtype.kind not in "fiub":
            raise ConfigError(
                f"{self._name} must give one number, or one for each class, for each row",
                f"{made.dtype} of shape {made.shape} for {len(rows)} rows",
                "See predict= of TrainLoop.",
            )
        return np.asarray(made, dtype=np.float64)

    def one_thread(self) -> None:
        """Threads are the business of the user's function."""
