"""Personal data: masked before the first byte is written, and shown nowhere."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import pickle
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import (
    ConfigError,
    ExpectationError,
    MalformedSourceError,
    RaypipeError,
    SchemaError,
)
from raypipe.lake import Lake, expect, masks
from raypipe.lake.quality.tags import masks_for

KEY = b"0123456789abcdef-quality"
OTHER = b"another key of 16 bytes and more"
HASH = masks.keyed_hash(KEY)
RAW = ["anna.raw@example.org", "bert.raw@example.org", "carl.raw@example.org"]
PEOPLE = pl.DataFrame(
    {
        "email": [*RAW, None],
        "phone": ["0049170555001", "0049170555002", "0049170555003", None],
        "born": [date(1971, 5, 17), date(1982, 6, 18), date(1993, 7, 19), None],
        "iban": ["DE0099887766", "DE0099887755", "DE0099887744", "DE0099887733"],
        "n": [1, 2, 3, 4],
    }
)
PII = {
    "email": HASH,
    "phone": masks.truncate(5),
    "born": masks.generalize("year"),
    "iban": masks.drop(),
}
SECRETS = [*RAW, "170555001", "170555002", "1971-05-17", "1982-06-18", "DE0099887766", KEY.decode()]


def bytes_below(root: str) -> bytes:
    files = [path for path in Path(root).rglob("*") if path.is_file()]
    # Compressed pages would hide a value from a search.
    plain = b"".join(
        repr(pl.read_parquet(path).to_dicts()).encode()
        for path in files
        if path.suffix == ".parquet"
    )
    return plain + b"".join(str(path).encode() + path.read_bytes() for path in files)


def refuse_secrets(text: bytes | str) -> None:
    data = text.encode() if isinstance(text, str) else text
    assert [one for one in SECRETS if one.encode() in data] == []


def chain(error: BaseException) -> str:
    """All that a traceback or a pickle of an error would show."""
    seen, texts = error, []
    while seen is not None:
        texts.append(f"{seen!r} {seen} {getattr(seen, '__notes__', '')}")
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return " ".join(texts) + str(pickle.dumps(error))


@pytest.mark.parametrize(
    ("values", "mask", "want"),
    [
        (["abc", "a", None], masks.truncate(2), ["ab", "a", None]),
        ([17, -1, None], masks.generalize(5), [15, -5, None]),
        ([1.5, -0.1, None], masks.generalize(0.5), [1.5, -0.5, None]),
        ([date(2020, 5, 17), None], masks.generalize("month"), [date(2020, 5, 1), None]),
        (
            [datetime(2020, 5, 17, 3, 4), None],
            masks.generalize("hour"),
            [datetime(2020, 5, 17, 3), None],
        ),
        (["x", None], masks.drop(), [None, None]),
        ([-128, 127], masks.generalize(100), [-200, 100]),
    ],
)
def test_what_masks_make_of_values(values: list[object], mask: masks.Mask, want: object) -> None:
    assert masks.apply(pl.DataFrame({"a": values}), {"a": mask})["a"].to_list() == want


def test_rounding_down_stays_in_its_type() -> None:
    frame = pl.DataFrame({"a": pl.Series([-128, 127, None], dtype=pl.Int8)})
    assert masks.apply(frame, {"a": masks.generalize(100)})["a"].to_list() == [-128, 100, None]


def test_a_hash_is_hmac_of_the_text_and_the_same_for_whatever_type() -> None:
    want = hmac.new(KEY, b"7", hashlib.sha256).hexdigest()
    for values in ([7], ["7"], pl.Series([7], dtype=pl.Int16)):
        frame = pl.DataFrame({"a": values})
        assert masks.apply(frame, {"a": HASH})["a"].to_list() == [want]
    when = datetime(2020, 5, 17, 3)
    ms, us = (pl.Series([when], dtype=pl.Datetime(unit)) for unit in ("ms", "us"))
    assert len({masks.apply(pl.DataFrame({"a": s}), {"a": HASH})["a"][0] for s in (ms, us)}) == 1


def test_repeated_and_different_values_hash_alike() -> None:
    many = pl.DataFrame({"a": ["x", "y", None] * 100})
    few = masks.apply(pl.DataFrame({"a": ["x", "y", None]}), {"a": HASH})["a"].to_list()
    assert masks.apply(many, {"a": HASH})["a"].to_list() == few * 100


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: masks.keyed_hash(b"short"),
        lambda: masks.keyed_hash("not a name"),
        lambda: masks.truncate(0),
        lambda: masks.generalize(0),
        lambda: masks.generalize("week"),  # type: ignore[arg-type]
        lambda: Lake("x").table("t", pii={"a": "keyed_hash"}),  # type: ignore[dict-item]
        lambda: Lake("x").table("t", pii=["a"]),  # type: ignore[arg-type]
    ],
)
def test_masks_that_cannot_be_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]


@pytest.mark.parametrize("text", ["correct_horse_battery", "Abcdefghijklmnop0", "c2VjcmV0IQ==", ""])
def test_a_text_that_may_be_a_key_is_no_name_and_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="as bytes") as caught:
        masks.keyed_hash(text)
    assert not text or text not in f"{caught.value} {caught.value!r} {caught.value.got}"
    assert masks.keyed_hash("MY_KEY_2").variable == "MY_KEY_2"


def test_no_raw_value_lies_anywhere_below_the_lake(
    lake_root: str, caplog: pytest.LogCaptureFixture
) -> None:
    lake = Lake(lake_root)
    rules = [
        expect.between("n", 1, 3, on_fail="quarantine"),
        expect.matches("email", ".*@example.org", on_fail="warn"),
        expect.in_set("phone", ["0049"], on_fail="warn"),
    ]
    table = lake.table("people", pii=PII, expect=rules, partition_by="phone")
    with caplog.at_level(logging.DEBUG):
        done = table.append(PEOPLE)
    assert (done.rows, done.quarantined) == (3, 1)
    frame = table.at().frame()
    assert set(frame["phone"]) == {"00491"}
    assert frame["iban"].null_count() == 3
    assert sorted(d.isoformat() for d in frame["born"]) == [
        "1971-01-01",
        "1982-01-01",
        "1993-01-01",
    ]
    assert table.quarantine().at().frame()["iban"].to_list() == [None]
    refuse_secrets(bytes_below(lake_root))
    refuse_secrets(caplog.text + repr(table.history()) + repr(table) + table._repr_html_())


def test_a_filter_on_masked_values_finds_them(lake_root: str) -> None:
    table = Lake(lake_root).table("people", pii=PII)
    table.append(PEOPLE)
    hashed = masks.apply(PEOPLE, {"email": HASH})["email"][1]
    assert table.at().where(pl.col("email") == hashed).frame()["n"].to_list() == [2]


def test_who_does_not_name_the_mask_masks_all_the_same(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(lake_root)
    lake.table("people", pii=PII).append(PEOPLE)
    with pytest.raises(ConfigError, match="RAYPIPE_PII_KEY is not set"):
        lake.table("people").append(PEOPLE)
    monkeypatch.setenv("RAYPIPE_PII_KEY", KEY.decode())
    lake.table("people").append(PEOPLE)
    frame = lake.table("people").at().frame()
    assert frame["email"].to_list()[:4] == frame["email"].to_list()[4:]
    refuse_secrets(bytes_below(lake_root))


def test_another_key_or_mask_is_noticed_before_anything_is_written(
    lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(lake_root)
    lake.table("people", pii=PII).append(PEOPLE)
    before = bytes_below(lake_root)
    monkeypatch.setenv("RAYPIPE_PII_KEY", OTHER.decode())
    for pii in (None, {"email": masks.keyed_hash(OTHER)}, {"email": masks.keyed_hash()}):
        with pytest.raises(ConfigError, match="another key") as error:
            lake.table("people", pii=pii).append(PEOPLE)
        assert OTHER.decode() not in chain(error.value)
    with pytest.raises(ConfigError, match="masked otherwise"):
        lake.table("people", pii={"email": masks.drop()}).append(PEOPLE)
    with pytest.raises(ConfigError, match="stored as it is"):
        lake.table("people", pii={**PII, "n": masks.drop()}).append(PEOPLE)
    assert bytes_below(lake_root) == before


def test_the_tag_tells_the_mask_and_no_key(lake_root: str) -> None:
    table = Lake(lake_root).table("people", pii=PII)
    table.append(PEOPLE)
    with table._log.newest() as opened:
        tags = {n: json.loads(t) for n, t in table._log.spec(opened).tags.items()}
    assert {n: t["mask"] for n, t in tags.items()} == {n: m.kind for n, m in PII.items()}
    assert tags["phone"]["amount"] == 5
    assert set(tags["email"]) == {"mask", "variable", "salt", "check"}
    # Another salt, another check: it is no fingerprint of the key by which tables could be linked.
    other = Lake(lake_root).table("again", pii={"email": HASH})
    other.append(PEOPLE)
    with other._log.newest() as opened:
        again = json.loads(other._log.spec(opened).tags["email"])
    assert again["check"] != tags["email"]["check"]


def test_keys_travel_but_are_not_shown() -> None:
    table = Lake("x").table("t", pii={"a": HASH})
    for one in (HASH, table, table._options, str(HASH)):
        assert KEY.decode() not in repr(one)
    assert pickle.loads(pickle.dumps(HASH)).key == KEY
    assert masks_for({"a": HASH}, None, "t")["a"].key == KEY
    assert rp.masks is masks


def test_errors_about_bad_values_do_not_show_them(lake_root: str, tmp_path: Path) -> None:
    pii = {"age": masks.generalize(10), "email": HASH}
    table = Lake(lake_root).table("t", pii=pii)
    table.append(pl.DataFrame({"age": [44], "email": ["x@y"], "n": [1]}))
    bad = tmp_path / "bad.csv"
    bad.write_text("age,email,n\n31,a@b,1\nseventy-seven-raw,a@b,2\n")
    with pytest.raises(SchemaError, match="line 3") as error:
        table.append(str(bad))
    assert "seventy-seven-raw" not in chain(error.value)
    bad.write_text("age,email,n\n31,a@b,1\n41,secret-raw-value,2,3\n")
    with pytest.raises(MalformedSourceError, match=r"bad\.csv") as broken:
        table.append(str(bad))
    assert "secret-raw-value" not in chain(broken.value)
    with pytest.raises(SchemaError) as typed:
        table.append(pl.DataFrame({"age": ["raw-age"], "email": ["x@y"], "n": [1]}))
    assert "raw-age" not in chain(typed.value)
    plain = Lake(lake_root).table("t", pii=pii, expect=[expect.in_set("email", ["ok"])])
    with pytest.raises(ExpectationError) as failed:
        plain.append(pl.DataFrame({"age": [1], "email": ["raw-mail"], "n": [1]}))
    assert "raw-mail" not in chain(failed.value)
    bad.write_text("age,email,n\n31,a@b,zz\n")
    with pytest.raises(SchemaError, match="'zz' in line 2"):  # others may show their values
        table.append(str(bad))


def test_errors_of_a_function_of_the_caller_do_not_show_values(
    lake_root: str, tmp_path: Path
) -> None:
    table = Lake(lake_root).table("t", pii={"age": masks.generalize(10)})
    table.append(pl.DataFrame({"k": [1], "age": [44]}))
    bad = tmp_path / "bad.csv"
    bad.write_text("k,age\n1,31\n2,raw-age\n")
    rows = pl.read_csv(bad)
    number = pl.col("age").cast(pl.Int64)
    for fails in (
        lambda: table.merge(str(bad), on="k"),
        lambda: table.merge(rows, on="k", delete_when=number > 40),
        lambda: table.append(rows, transform=lambda every: every.with_columns(number)),
    ):
        with pytest.raises(SchemaError) as error:
            fails()
        assert "raw-age" not in chain(error.value)


def test_types_that_no_mask_takes_are_refused(lake_root: str) -> None:
    for pii, frame in (
        ({"a": masks.truncate(3)}, pl.DataFrame({"a": [1]})),
        ({"a": HASH}, pl.DataFrame({"a": [1.5]})),
        ({"a": masks.generalize("month")}, pl.DataFrame({"a": ["2020"]})),
        ({"b": HASH}, pl.DataFrame({"a": ["2020"]})),
    ):
        with pytest.raises(RaypipeError):
            Lake(lake_root).table("t", pii=pii).append(frame)
    assert not Lake(lake_root).table("t").exists


def test_leading_zeros_count_from_the_first_write(lake_root: str, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("phone\n0049\n")
    table = Lake(lake_root).table("t", pii={"phone": HASH})
    table.append(str(file))
    table.append(pl.DataFrame({"phone": ["0049"]}))
    assert table.at().frame()["phone"].n_unique() == 1


@pytest.mark.parametrize("how", ["append", "overwrite", "merge", "copy"])
def test_what_is_hashed_already_is_not_hashed_again(lake_root: str, how: str) -> None:
    lake = Lake(lake_root)
    table = lake.table("people", pii={"email": HASH, "phone": masks.truncate(5)})
    table.append(PEOPLE)
    hashes = table.at().frame()["email"]
    if how == "append":
        table.append(table.at().where(pl.col("n") < 3))
    elif how == "overwrite":
        table.overwrite(table.at().select("n", "email", "phone", "born", "iban"))
    elif how == "merge":
        table.merge(table.at(), on="n")
    else:
        table = lake.table("copy", pii={"email": HASH})
        table.append(lake.table("people").at())
        table.append(PEOPLE.head(1))  # the copy's own salt, and the same key
    assert set(table.at().frame()["email"]) == set(hashes)


def test_hashes_of_another_key_or_behind_a_transform_are_refused(lake_root: str) -> None:
    lake = Lake(lake_root)
    table = lake.table("people", pii={"email": HASH})
    table.append(PEOPLE)
    other = lake.table("other", pii={"email": masks.keyed_hash(OTHER)})
    with pytest.raises(ConfigError, match="'email' of the data is hashed already") as caught:
        other.append(table.at())
    refuse_secrets(str(caught.value))
    with pytest.raises(ConfigError, match="transform"):
        table.append(table.at(), transform=lambda rows: rows.filter(pl.col("n") > 1))
    assert table.version() == 1
    computed = table.at().select("n", email=pl.col("n").cast(pl.String))
    lake.table("numbers", pii={"email": HASH}).append(computed)
    assert lake.table("numbers").at().frame()["email"].str.len_chars().to_list() == [64] * 4
