"""A part's memory is bounded: large files of a table are read in pieces, and sent from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import LakeAccessError
from raypipe.lake import Lake
from raypipe.lake.write import encode, sources
from raypipe.lake.write.encode import Place, write_frame


def numbers(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows), "b": [i % 7 / 8 for i in range(rows)]})


def test_a_large_file_of_a_snapshot_is_written_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(tmp_path))
    rows = numbers(400_000)
    lake.table("one").append(rows)
    source = lake.table("one").at()
    (part,) = source.parts()
    monkeypatch.setattr(sources, "PARQUET_PART_BYTES", part.nbytes)
    pieces = sources.resolve(source.where(pl.col("a") >= 395_000)).parts
    assert len(pieces) == 1, "row groups without a row of the filter are left out"
    pieces = sources.resolve(source).parts
    assert len(pieces) > 2
    assert sum(piece.nbytes for piece in pieces) == pytest.approx(part.nbytes, abs=10)
    done = lake.table("two").append(source)
    assert done.rows == rows.height
    assert len(lake.table("two").at().parts()) == len(pieces)
    assert lake.table("two").at().frame().equals(rows)


class Sent:
    """A store that keeps what was sent, and how."""

    def __init__(self) -> None:
        self.put_, self.uploaded = {}, {}  # type: dict[str, bytes], dict[str, bytes]

    def put(self, path: str, data: bytes) -> None:
        self.put_[path] = data

    def upload(self, path: str, source: Path) -> int:
        self.uploaded[path] = source.read_bytes()
        return len(self.uploaded[path])


def test_large_rows_go_to_an_object_store_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: Any = Sent()
    monkeypatch.setattr(encode, "open_store", lambda *_: sent)
    monkeypatch.setattr(encode, "_IN_MEMORY_BYTES", 100_000)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    place = Place(folder="s3://bucket/t", storage_options=None)
    (small,) = write_frame(place, numbers(100), "small")
    (large,) = write_frame(place, numbers(50_000), "large")
    assert list(sent.put_) == ["small.parquet"]
    assert list(sent.uploaded) == ["large.parquet"]
    assert (small.size_bytes, large.size_bytes) == (
        len(sent.put_["small.parquet"]),
        len(sent.uploaded["large.parquet"]),
    )
    assert pl.read_parquet(sent.uploaded["large.parquet"]).equals(numbers(50_000))
    assert not list(tmp_path.iterdir()), "the temporary file is gone"


def test_no_room_for_the_file_to_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Any = Sent()

    def full(frame: pl.DataFrame, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encode, "open_store", lambda *_: sent)
    monkeypatch.setattr(encode, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(encode, "_encode", full)
    with pytest.raises(LakeAccessError, match="No space left on device"):
        write_frame(Place(folder="s3://bucket/t", storage_options=None), numbers(9), "x")
    assert not sent.put_
    assert not sent.uploaded


def test_row_groups_stay_below_the_size_at_which_dictionaries_are_tried(tmp_path: Path) -> None:
    (file,) = write_frame(Place(folder=str(tmp_path), storage_options=None), numbers(250_000), "x")
    footer = pq.read_metadata(tmp_path / file.path)
    assert max(footer.row_group(i).num_rows for i in range(footer.num_row_groups)) < 100_000
