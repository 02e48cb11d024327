"""How fast do CSV and JSON lines become a Delta table?

    make peers && python benchmarks/lake_ingest.py [--scale 1] [--kind csv] [--only raypipe,polars]

TPC-H lineitem (scale 0.2 by default) in 8 files of each format, made once. raypipe checks what it
always checks: quotes, numbers of fields, UTF-8, types by every value. Each way runs in a process of
its own; the rows of what it wrote are counted. Prints a table for each format and writes
``benchmarks/results/lake_ingest.json``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import common
import polars as pl

SCRIPT = Path(__file__).parent / "peers" / "lake_ingest.py"
BASE = "polars scan and sink_delta"
WAYS = [
    ("raypipe local", "local", True),
    ("raypipe local with types to find", "local-first", True),
    ("raypipe on Ray", "ray", True),
    (BASE, "polars", False),
    ("DuckDB and write_deltalake", "duckdb", False),
    ("Ray Data", "ray_data", False),
]


def json_lines(scale: float) -> list[str]:
    """The CSV files again, as lines of JSON objects."""
    target = common.CACHE / f"sf{scale:g}-jsonl-8"
    if not target.is_dir():
        making = target.with_name(f".{target.name}.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        for path in sorted(common.lineitem(scale, kind="csv").glob("*.csv")):
            pl.scan_csv(path).sink_ndjson(making / f"{path.stem}.jsonl")
        making.rename(target)
    return sorted(str(path) for path in target.glob("*.jsonl"))


def main() -> None:
    parser = common.parser(__doc__)
    parser.set_defaults(scale=0.2)
    parser.add_argument("--kind", choices=["csv", "jsonl", "both"], default="both")
    args = parser.parse_args()
    common.need_peers()
    contenders = [
        common.Contender(name, SCRIPT, (way,), common.OURS if ours else common.PEERS)
        for name, way, ours in WAYS
    ]
    found: dict[str, Any] = {"scale": args.scale, "rounds": args.rounds}
    for kind in ("csv", "jsonl") if args.kind == "both" else (args.kind,):
        if kind == "csv":
            files = sorted(str(p) for p in common.lineitem(args.scale, kind="csv").glob("*.csv"))
        else:
            files = json_lines(args.scale)
        size = sum(Path(path).stat().st_size for path in files)
        scan = pl.scan_csv if kind == "csv" else pl.scan_ndjson
        rows = scan(files).select(pl.len()).collect().item()
        folder = Path(tempfile.mkdtemp(prefix="raypipe-bench-"))

        def request(
            name: str,
            number: int,
            folder: Path = folder,
            files: list[str] = files,
            kind: str = kind,
        ) -> dict[str, Any]:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            return {"files": files, "kind": kind, "out": str(folder / "written")}

        def check(name: str, number: int, _: Any, folder: Path = folder, rows: int = rows) -> None:
            have = pl.scan_delta(str(folder / "written")).select(pl.len()).collect().item()
            if have != rows:
                raise AssertionError(f"{name} wrote {have} rows of {rows}")

        try:
            runs = common.race(
                common.chosen(contenders, args.only), args.rounds, request, after=check
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found[kind] = {"bytes": size, "ways": common.rows(runs, BASE)}
        title = f"lineitem SF{args.scale:g} as {kind}, {size / 1e6:,.0f} MB"
        print(common.show(title, found[kind]["ways"], BASE) + "\n", flush=True)
    print(f"written to {common.save('lake_ingest', found)}")


if __name__ == "__main__":
    main()
