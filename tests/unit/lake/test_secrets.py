"""Keys of an object store travel with the work, and are shown nowhere."""

from __future__ import annotations

import base64
import dataclasses
import pickle
import traceback
from collections.abc import Callable

import polars as pl
import pytest

from raypipe.core.errors import LakeAccessError
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
