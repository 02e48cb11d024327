"""Large files are cut where they may be: the pieces together are the whole file, lines are true."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.orc as orc
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from raypipe.core.errors import MalformedSourceError, SchemaError
from raypipe.lake import Lake
from raypipe.lake.write import sources
from raypipe.lake.write.cuts import csv_spans, json_spans, row_spans
from raypipe.lake.write.readers import meet_of_pieces, read_file

TEXTS = st.text(alphabet='ab",\n\r 5é', max_size=6)
HERE = settings(
    max_examples=200, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


@HERE
@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 99), TEXTS), min_size=1, max_size=30),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.integers(1, 80),
)
def test_pieces_of_a_csv_are_the_whole(
    tmp_path: Path, rows: list[object], quoting: int, end: str, bom: str, size: int
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerows([("x\ny" if quoting == csv.QUOTE_ALL else "x", "n", "z"), *rows])
    path = tmp_path / "a.csv"
    path.write_bytes((bom + out.getvalue()).encode())
    total = path.stat().st_size
    spans = csv_spans(str(path), total, size)
    assert [a for a, _ in spans[1:]] == [b for _, b in spans[:-1]]
    assert (spans[0][0], spans[-1][1]) == (0, total)
    types = {"x": pl.String(), "x\ny": pl.String(), "n": pl.Int64(), "z": pl.String()}
    try:
        whole = read_file(str(path), types)
    except MalformedSourceError:  # a bare carriage return, which the writer does not quote
        reject()
    pieces = [read_file(str(path), types, span) for span in spans]
    assert pl.concat([piece for piece in pieces if piece.height] or [whole]).equals(whole)
    found = meet_of_pieces(str(path), [read_file(str(path), None, s).schema for s in spans])
    if len(spans) > 1:
        assert found == dict(read_file(str(path)).schema)


@HERE
@given(st.text(alphabet='",\nx', max_size=40), st.integers(1, 12))
def test_a_cut_is_never_inside_quotes(tmp_path: Path, text: str, size: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    spans = csv_spans(str(path), len(text), size)
    pieces = [text[a:b] for a, b in spans]
    assert "".join(pieces) == text
    try:
        whole = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error:
        return
    assert [row for piece in pieces for row in csv.reader(io.StringIO(piece), strict=True)] == whole


@HERE
@given(
    st.lists(
        st.fixed_dictionaries(
            {"a": st.integers(0, 9), "s": st.text(max_size=5) | st.none()},
            optional={"o": st.fixed_dictionaries({"t": st.text(alphabet='{}"\n', max_size=4)})},
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 60),
    st.booleans(),
)
def test_pieces_of_json_lines_are_the_whole(
    tmp_path: Path, rows: list[dict[str, object]], size: int, spread: bool
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, indent=1 if spread else None) for row in rows))
    spans = json_spans(str(path), path.stat().st_size, size)
    assert "".join(path.read_text()[a:b] for a, b in spans) == path.read_text()
    if spread:
        parsed = [json.loads(f"[{path.read_text()[a:b].replace('}' + chr(10) + '{', '},{')}]")
                  for a, b in spans]  # fmt: skip
        assert [row for piece in parsed for row in piece] == rows
        return
    heights = [read_file(str(path), None, span).height for span in spans]
    assert sum(heights) == len(rows)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100)), max_size=8), st.integers(1, 60))
def test_row_ranges_cover_each_row_once(groups: list[tuple[int, int]], size: int) -> None:
    spans = row_spans([r for r, _ in groups], [b for _, b in groups], size)
    rows = [n for a, b in spans for n in range(a, b)]
    assert rows == list(range(sum(r for r, _ in groups)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PART_BYTES", 100)
    monkeypatch.setattr(sources, "PARQUET_PART_BYTES", 2000)


def test_a_large_file_is_several_parts_of_one_write(
    small: None, lake_root: str, tmp_path: Path
) -> None:
    rows = pl.DataFrame({"a": range(200), "s": [f"{n}\n," for n in range(200)]})
    rows.write_csv(tmp_path / "a.csv")
    rows.write_ndjson(tmp_path / "a.jsonl")
    rows.write_parquet(tmp_path / "a.parquet", row_group_size=20)
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        table = Lake(lake_root).table(name.replace(".", "_"))
        table.append(str(tmp_path / name))
        assert len(table.at().parts()) > 1, name
        assert table.at().frame().equals(rows)
        assert table.history()[0]["sources"] == [str(tmp_path / name)]


def test_errors_of_a_piece_name_the_line_of_the_file(
    small: None, lake_root: str, tmp_path: Path
) -> None:
    lines = ["a,s", *(f'{n},"x\ny"' for n in range(100))]
    path = tmp_path / "a.csv"
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"a": [1], "s": ["x"]}))
    for bad, error, match in [
        ("oops,z", SchemaError, r"'oops' in line 202"),
        ("1,2,3", MalformedSourceError, r"line 202: 3 fields"),
        ('1,"x"y', MalformedSourceError, r"line 202: text stands after a closing quote"),
    ]:
        path.write_text("\n".join([*lines, bad, "7,z", ""]))
        assert len(sources.resolve(str(path)).parts) > 3 or '"y' in bad
        with pytest.raises(error, match=match):
            table.append(str(path))
    objects = [json.dumps({"a": n, "s": "x"}) for n in range(100)]
    (tmp_path / "a.jsonl").write_text("\n".join([*objects, '{"a":"x","s":"x"}', '{"a":1}']))
    with pytest.raises(MalformedSourceError, match=r"line 10\d: 'a' is a"):
        table.append(str(tmp_path / "a.jsonl"))
    assert table.version() == 1


def test_a_whole_number_beyond_64_bits_is_not_rounded(lake_root: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"a,b\n1,1\n{2**63},2\n")
    lake = Lake(lake_root)
    with pytest.raises(SchemaError, match=f"beyond 64 bits.*'{2**63}' in line 3"):
        lake.table("t").append(str(path))
    lake.table("s", schema={"a": pl.String(), "b": pl.Int64()}).append(str(path))
    assert lake.table("s").at().frame()["a"].to_list() == ["1", str(2**63)]
    path.write_text("a,b\n1e300,1\n1.5,2\n")
    lake.table("f").append(str(path))
    assert lake.table("f").at().frame()["a"].to_list() == [1e300, 1.5]


def test_two_types_in_two_files_name_the_line(lake_root: str, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a\n1\n2\n")
    (tmp_path / "2.csv").write_text("a\n1\nx\n")
    for order in (["1.csv", "2.csv"], ["2.csv", "1.csv"]):
        with pytest.raises(SchemaError) as caught:
            Lake(lake_root).table("t").append([str(tmp_path / name) for name in order])
        for part in ("'a'", "Int64", "String", "'x' in line 3", "2.csv"):
            assert part in str(caught.value)


def test_orc_and_arrow_files(lake_root: str, tmp_path: Path) -> None:
    rows = pl.DataFrame({"a": [1, 2], "s": ["x", None]})
    orc.write_table(pa.table({"a": [1, 2], "s": ["x", None]}), str(tmp_path / "a.orc"))
    rows.write_ipc(tmp_path / "a.arrow")
    rows.write_ipc(tmp_path / "a.feather")
    for name in ("a.orc", "a.arrow", "a.feather"):
        table = Lake(lake_root).table(name.replace(".", "_"))
        table.append(str(tmp_path / name))
        assert table.at().frame().equals(rows)
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(MalformedSourceError, match=name):
            table.append(str(tmp_path / name))
