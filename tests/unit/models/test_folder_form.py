"""A folder that functions of the user's own load and score with, as one file."""

from __future__ import annotations

import gc
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raypipe as rp
from raypipe.core.errors import ConfigError, IntegrityError
from raypipe.models.forms import scorer
from raypipe.models.forms.folder import from_bytes, to_bytes


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.text("abc/", min_size=1).filter(lambda p: p.strip("/")), st.binary()))
def test_equal_files_give_equal_bytes_and_come_back(files: dict[str, bytes]) -> None:
    files = {path.strip("/").replace("//", "/"): data for path, data in files.items()}
    files = {path: data for path, data in files.items() if "//" not in path}
    model = to_bytes(files, "a:b", None)
    assert to_bytes(dict(reversed(files.items())), "a:b", None) == model
    assert from_bytes(model) == (files, {"load": "a:b", "predict": None})


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out", "a\\b", ""])
def test_a_file_that_would_lie_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(IntegrityError, match="outside of its folder"):
        from_bytes(to_bytes({path: b"x"}, None, None))


def test_a_model_that_cannot_predict_says_so() -> None:
    with pytest.raises(ConfigError, match=r"how it predicts.*load= and predict="):
        scorer("model.zip", to_bytes({"a": b""}, None, None))
    whole = to_bytes({"a": b"x" * 99}, None, None)
    without = io.BytesIO()
    zipfile.ZipFile(without, "w").close()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("loop.json", '{"load": null, "predict": null}')
        archive.writestr("files/bomb", bytes(10**6))
    deep = io.BytesIO()
    with zipfile.ZipFile(deep, "w") as archive:
        archive.writestr("loop.json", "[" * 100_000)
    locked = changed(whole, 8, 1)  # a flag: encrypted
    wide = changed(changed(whole, 20, 99, 0xFF), 24, 99, 0xFF)  # sizes: as large as it can be
    made = (without.getvalue(), packed.getvalue(), deep.getvalue(), locked, wide)
    for damaged in (b"", b"PK", whole[:-30], *made):
        with pytest.raises(IntegrityError):
            scorer("model.zip", damaged)


def changed(archive: bytes, at: int, *values: int) -> bytes:
    """With other bytes in each entry of the archive's directory."""
    made, found = bytearray(archive), archive.find(b"PK\x01\x02")
    while found >= 0:
        made[found + at : found + at + len(values)] = bytes(values)
        found = archive.find(b"PK\x01\x02", found + 4)
    return bytes(made)


def strange_scores(model: Any, rows: Any) -> Any:
    return ["a"] * len(rows) if model == "text" else np.zeros(len(rows) + 1)


def text_of(folder: str) -> str:
    return Path(folder, "kind").read_text()


@pytest.mark.parametrize("kind", ["text", "long"])
def test_scores_that_are_none_are_refused(kind: str) -> None:
    rp.trust(strange_scores, text_of)
    name = f"{__name__}:"
    model = to_bytes({"kind": kind.encode()}, f"{name}text_of", f"{name}strange_scores")
    with pytest.raises(ConfigError, match="must give one number"):
        scorer("model.zip", model).score(np.zeros((3, 2), np.float32))


def test_the_folder_of_a_loaded_model_goes_with_it() -> None:
    rp.trust(path_of, strange_scores)
    name = f"{__name__}:"
    model = to_bytes({"a/b": b"x"}, f"{name}path_of", f"{name}strange_scores")
    made: Any = scorer("model.zip", model)
    folder = Path(made.native)
    assert (folder / "a" / "b").read_bytes() == b"x"
    del made
    gc.collect()
    assert not folder.exists()


def path_of(folder: str) -> str:
    return folder
