"""Keys of an object store travel with the work, and are shown nowhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import polars as pl
import pytest

from raypipe.core.errors import LakeAccessError
from raypipe.lake import Lake, expect
from raypipe.lake.write.ask import Ask

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
