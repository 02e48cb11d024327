"""One contender of ``lake_merge``: ``python lake_merge.py <way>``, fed by ``common.serve``.

Everybody merges the same Parquet file of changed rows into the same Delta table by ``id``: rows
that are there take all values of the file, the others are added.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import serve

Run = Callable[[dict[str, Any]], Any]


def raypipe(how: Any) -> Run:
    import polars as pl

    import raypipe as rp

    def run(request: dict[str, Any]) -> list[int]:
        root = Path(request["table"])
        rows = pl.read_parquet(request["changes"])
        done = rp.Lake(str(root.parent)).table(root.name).merge(rows, on="id", how=how)
        return [done.updated, done.inserted]

    return run


def deltalake() -> Run:
    import polars as pl
    from deltalake import DeltaTable

    def run(request: dict[str, Any]) -> list[int]:
        rows = pl.read_parquet(request["changes"]).to_arrow(compat_level=pl.CompatLevel.oldest())
        merger = DeltaTable(request["table"]).merge(
            rows, "t.id = s.id", source_alias="s", target_alias="t"
        )
        done = merger.when_matched_update_all().when_not_matched_insert_all().execute()
        return [done["num_target_rows_updated"], done["num_target_rows_inserted"]]

    return run


WAYS: dict[str, Callable[[], Run]] = {
    "auto": lambda: raypipe("auto"),
    "rewrite": lambda: raypipe("rewrite"),
    "deltalake": deltalake,
}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]]())
