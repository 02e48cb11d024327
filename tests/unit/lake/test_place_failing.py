"""A store that fails for a while, for good, or loses an answer on its way."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import polars as pl
import pytest

from raypipe.core.errors import LakeAccessError
from raypipe.lake import Lake
from tests.flaky import Flaky, flaky
from tests.object_stores import Place, s3_options

FRAME = pl.DataFrame({"a": [1, 2]})
DOWN_S = 2.0


@pytest.fixture
def proxy(s3: Place) -> Iterator[Flaky]:
    with flaky(s3.port) as proxy:
        yield proxy


def through(proxy: Flaky, **options: str) -> Lake:
    return Lake(f"s3://box/{uuid.uuid4().hex[:8]}", {**s3_options(proxy.port), **options})


def test_a_store_that_is_away_for_a_while_is_waited_for(proxy: Flaky) -> None:
    table = through(proxy).table("t")
    table.append(FRAME, batch_id="one")

    def back() -> None:
        time.sleep(DOWN_S)
        proxy.down = False

    for act in (
        lambda: table.append(FRAME, batch_id="two").rows,
        lambda: table.at().frame().height,
    ):
        proxy.down = True
        again = threading.Thread(target=back)
        start = time.monotonic()
        again.start()
        assert act() > 1
        again.join()
        assert time.monotonic() - start >= DOWN_S
    assert table.at().count() == 4


def test_a_store_that_stays_away_is_an_error_in_stated_time(proxy: Flaky) -> None:
    lake = through(proxy, max_retries="3", retry_timeout="2s")
    table = lake.table("t")
    table.append(FRAME)
    snapshot = table.at()
    proxy.down = True
    for act in (
        lambda: table.append(FRAME),
        lambda: Lake(lake.root, lake.storage_options).table("t").at(),
        lambda: lake.files.put("x", b""),
        lambda: lake.files.get("x"),
        lake.tables,
        table.version,
        snapshot.frame,
    ):
        start = time.monotonic()
        with pytest.raises(LakeAccessError, match=r"again|reached"):
            act()
        assert time.monotonic() - start < 60  # the store's clients by themselves take minutes
    proxy.down = False
    assert table.at().count() == 2
    assert len([f for f in lake.files.list("t") if "part-" in f]) == 1


@pytest.mark.parametrize("what", ["00000001.json", "part-"])
def test_a_lost_answer_counts_once(proxy: Flaky, what: str) -> None:
    table = through(proxy).table("t")
    table.append(FRAME.clear(), allow_empty=True)
    proxy.lose = what.replace("1.json", "2.json").encode()
    table.append(FRAME)
    assert len(proxy.lost) == 1
    assert proxy.lost[0].startswith(b"PUT")
    assert table.at().frame().rows() == FRAME.rows()
    assert table.version() == 2
