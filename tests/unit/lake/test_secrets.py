"""Keys of an object store travel with the work, and are shown nowhere."""

from __future__ import annotations

import base64
import dataclasses
import pickle
import traceback
from collections.abc import Callable

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, LakeAccessError
from raypipe.core.uris import refuse_credentials
from raypipe.lake import Lake, expect
from raypipe.lake.write.ask import Ask
from tests.object_stores import Place

SECRET = "hunter2-hunter2"
KEYS = {"AWS_ACCESS_KEY_ID": f"id-{SECRET}", "AWS_SECRET_ACCESS_KEY": SECRET}
FRAME = pl.DataFrame({"a": [1, 2]})


def test_no_object_shows_the_storage_options(lake_root: str) -> None:
    lake = Lake(lake_root, KEYS)
    table = lake.table("t", expect=[expect.between("a", 1, 1, on_fail="quarantine")])
    table.append(FRAME)
    snapshot = table.at()
    part = snapshot.where(pl.col("a") > 0).parts()[0]
    ask = Ask.of("append", None, None, False, "local", None)
    from raypipe.lake.write.sources import resolve

    source, writer = resolve(snapshot), table._writer()
    job = writer.job(ask, source, writer.now())
    for one in (lake, lake.files, table, table._log, snapshot, part, job, source, writer, ask):
        assert SECRET not in repr(one)
        assert SECRET not in str(one)
    for known in (part, job):  # it is there, for whoever reads or writes elsewhere
        assert pickle.loads(pickle.dumps(known)).storage_options == KEYS


@pytest.mark.parametrize(
    ("root", "keys"),
    [
        ("s3://bucket/lake", {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "x"}),
        ("s3://bucket/lake", {**KEYS, "AWS_ALLOW_HTTP": SECRET}),
        ("az://box/lake", {"azure_storage_account_name": "a", "azure_storage_account_key": SECRET}),
        ("az://box/lake", {"azure_storage_account_name": "a", "azure_storage_sas_token": SECRET}),
        (
            "az://box/lake",
            {
                "azure_storage_account_name": "a",
                "azure_storage_sas_token": f"sv=1&sig={SECRET}",
                "azure_storage_endpoint": "http://127.0.0.1:9",
            },
        ),
        ("gs://bucket/lake", {"google_service_account_key": SECRET}),
    ],
)
def test_no_message_about_a_wrong_key_shows_it(root: str, keys: dict[str, str]) -> None:
    retries = {"max_retries": "0", "retry_timeout": "1s"}
    lake = Lake(root, {"AWS_ALLOW_HTTP": "true", "azure_allow_http": "true", **retries, **keys})
    acts: list[Callable[[], object]] = [
        lambda: lake.table("t").append(FRAME),
        lambda: lake.table("t").at(),
        lambda: lake.files.put("a", b""),
        lambda: lake.files.get("a"),
        lambda: lake.files.exists("a"),
        lambda: lake.files.list("a"),
        lambda: lake.files.delete("a"),
        lake.tables,
    ]
    for act in acts:
        with pytest.raises(LakeAccessError) as caught:
            act()
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(caught.value)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://user:{SECRET}@bucket/a.csv",
        f"http://user:{SECRET}@host/a.csv",
        f"az://box/a.csv?sv=2024-11-04&sig={SECRET}",
        f"abfss://box@a.dfs.core.windows.net/a.csv?sig={SECRET}",
        f"abfss://box:{SECRET}@a.dfs.core.windows.net/a.csv",
        f"s3://bucket/*.csv?X-Amz-Credential={SECRET}",
        f"gs://bucket/a.csv?X-Goog-Signature={SECRET}",
    ],
)
def test_a_uri_that_carries_a_key_is_refused_unseen(lake_root: str, uri: str) -> None:
    """A commit notes where its rows came from, and a lake shows its root."""
    acts: list[Callable[[], object]] = [
        lambda: Lake(lake_root).table("t").append(uri),
        lambda: Lake(lake_root).table("t").check(uri),
        lambda: Lake(uri),
    ]
    for act in acts:
        with pytest.raises(ConfigError, match="carries a credential") as caught:
            act()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_marks_of_a_glob_are_no_query() -> None:
    for uri in ("s3://bucket/p?=1/a?.csv", "az://box/day?.csv", "abfss://box@a.dfs.x.net/a?b=c"):
        refuse_credentials(uri, "a source", "data")


@pytest.mark.parametrize("keys", [SECRET, [("key", SECRET)], {"key": {"inner": SECRET}}])
def test_storage_options_of_another_kind_are_refused_unseen(lake_root: str, keys: object) -> None:
    with pytest.raises(ConfigError, match="storage_options") as caught:
        Lake(lake_root, keys)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_no_message_of_a_read_shows_a_signature(lake_root: str) -> None:
    """A signed URL is the key itself, and clients put URLs into their messages."""
    keys = {
        "azure_storage_account_name": "a",
        "azure_storage_sas_token": f"sv=1&sig={SECRET}",
        "azure_storage_endpoint": "http://127.0.0.1:9",
        "azure_allow_http": "true",
        "max_retries": "0",
    }
    table = Lake(lake_root).table("t")
    table.append(FRAME)
    part = table.at().parts()[0]
    away = dataclasses.replace(part, uri="az://box/t/part.parquet", storage_options=keys)
    with pytest.raises(LakeAccessError) as caught:
        away.read()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_refuses_a_key_is_told_apart_from_one_that_is_away(azure: Place) -> None:
    wrong = base64.b64encode(SECRET.encode()).decode()
    keys = {
        "azure_storage_account_name": "devstoreaccount1",
        "azure_storage_account_key": wrong,
        "azure_storage_endpoint": f"http://127.0.0.1:{azure.port}/devstoreaccount1",
        "azure_allow_http": "true",
    }
    lake = Lake("az://box/lake", keys)
    with pytest.raises(LakeAccessError, match=r"access denied|status 403") as caught:
        lake.table("t").append(FRAME)
    assert "keys in storage_options" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert wrong not in shown
