"""Source files in an object store: found, read as strictly as local ones, told by their URIs."""

from __future__ import annotations

import gzip
import re
import uuid
from typing import TYPE_CHECKING

import polars as pl
import pytest

from raypipe.core.errors import (
    ConfigError,
    EmptySourceError,
    MalformedSourceError,
    SourceError,
    SourceNotFoundError,
)
from raypipe.lake import Lake
from raypipe.lake.storage.store import open_store
from raypipe.lake.write.remote_files import _pattern, find
from tests.object_stores import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.object_stores import Place


def folder_with(place: Place, files: dict[str, bytes]) -> str:
    name = f"raw-{uuid.uuid4().hex[:8]}"
    store = open_store(place.root, place.options)
    for path, data in files.items():
        store.put(f"{name}/{path}", data)
    return f"{place.root}/{name}"


def test_files_of_every_format_become_a_table(
    place: Place, tmp_path: Path, lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    rows = pl.DataFrame({"a": [3], "s": ["z"]})
    rows.write_parquet(tmp_path / "c.parquet")
    raw = folder_with(
        place,
        {
            "a.csv": b'a,s\n1,"x\ny"\n',
            "b.csv.gz": gzip.compress(b"a,s\n2,y\n"),
            "c.parquet": (tmp_path / "c.parquet").read_bytes(),
            "sub/d.jsonl": b'{"a":4,"s":"w"}\n',
            ".e.csv": b"not,this\n",
            "large.csv": b"n\n" + b"1\n" * 50_000,
        },
    )
    lake = Lake(lake_root, place.options)  # in a folder, with the keys of the sources' place
    table = lake.table("t")
    done = table.append([f"{raw}/[ab]*.csv*", f"{raw}/c.parquet", f"{raw}/**/d.jsonl"])
    assert done.rows == 4
    assert table.at().frame()["s"].to_list() == ["x\ny", "y", "z", "w"]
    assert [p.label for p in find(f"{raw}/*.csv", place.options)] == [
        f"{raw}/a.csv", f"{raw}/large.csv",
    ]  # fmt: skip
    assert lake.table("n").append(f"{raw}/large.csv").rows == 50_000
    turned = lake.table("u").append(
        f"{raw}/c.parquet", transform=lambda r: r.select(pl.col("a") * 2)
    )
    assert turned.rows == 1
    assert lake.table("u").at().frame()["a"].to_list() == [6]


def test_a_lake_beside_its_sources(s3: Place) -> None:
    raw = folder_with(s3, {"a.csv": b"a\n1\n", "b.csv": b"a\n2.5\n"})
    lake = Lake(f"{raw}/lake", s3.options)
    lake.table("t").append(f"{raw}/*.csv", batch_id="one")
    assert lake.table("t").append(f"{raw}/*.csv", batch_id="one").applied_before
    assert lake.table("t").at().frame()["a"].to_list() == [1.0, 2.5]
    assert lake.table("t").check(f"{raw}/a.csv").rows == 1


def test_what_is_wrong_is_told_by_the_uri(s3: Place, lake_root: str) -> None:
    files = {"bad.csv": b"a,b\n1,2\n3\n", "bad.jsonl": b'{"a":1}\n{"a":}\n', "none.csv": b"a,b\n"}
    raw = folder_with(s3, {**files, "p.parquet": b"PAR1 not at all"})
    table = Lake(lake_root, s3.options).table("t")
    for name, line in (("bad.csv", ", line 3: "), ("bad.jsonl", ", line 2: "), ("p.parquet", "")):
        with pytest.raises(MalformedSourceError, match=re.escape(f"{raw}/{name}{line}")) as caught:
            table.append(f"{raw}/{name}")
        assert "raypipe-source" not in str(caught.value)
    with pytest.raises(EmptySourceError, match=r"none\.csv"):
        table.append(f"{raw}/none.csv")
    for gone in ("gone.csv", "*.orc", ""):
        with pytest.raises(SourceNotFoundError):
            table.append(f"{raw}/{gone}".rstrip("/"))
    with pytest.raises(SourceNotFoundError, match="a bucket"):
        table.append(s3.root)
    (part,) = find(f"{raw}/bad.csv", s3.options)
    open_store(s3.root, s3.options).delete([f"{raw.rpartition('/')[2]}/bad.csv"])
    with pytest.raises(SourceNotFoundError, match=r"bad\.csv"):
        part.read(None)
    assert not table.exists


def test_a_place_that_cannot_be_reached_shows_no_key(lake_root: str) -> None:
    options = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "x",
        "max_retries": "0",
    }  # fmt: skip
    table = Lake(lake_root, options).table("t")
    for path in ("s3://box/a.csv", "s3://box/*.csv"):
        with pytest.raises(SourceError, match="cannot be reached") as caught:
            table.append(path)
        assert "hunter2" not in repr(caught.value)
    with pytest.raises(ConfigError, match="credential") as refused:
        table.append("s3://k:hunter2@box/a.csv")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("a/*.csv", "a/b.csv", True),
        ("a/*.csv", "a/b/c.csv", False),
        ("a/*.csv", "a/.b.csv", False),
        ("a/**/*.csv", "a/b.csv", True),
        ("a/**/*.csv", "a/b/c/d.csv", True),
        ("a/b*.csv", "a/b.csv", True),
        ("*.csv", ".b.csv", False),
        ("a/?.csv", "a/b.csv", True),
        ("a/[!b].csv", "a/b.csv", False),
        ("a/[!b].csv", "a/c.csv", True),
        ("a/[0-9].csv", "a/7.csv", True),
        ("a.b/*", "aXb/c", False),
    ],
)
def test_globs(glob: str, name: str, fits: bool) -> None:
    assert (re.fullmatch(_pattern(glob), name) is not None) == fits
