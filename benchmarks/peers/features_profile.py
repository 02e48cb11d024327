"""One contender of ``features_profile``: ``python features_profile.py <way>``, by ``common.serve``.

Each answers with how many columns it told of and a median, for checking.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import serve

Run = Callable[[dict[str, Any]], Any]
warnings.simplefilter("ignore")


def names(request: dict[str, Any]) -> tuple[list[str], list[str]]:
    numbers = [f"x{number:02}" for number in range(request["numbers"])]
    return numbers, [f"c{number}" for number in range(request["categories"])]


def raypipe() -> Run:
    import polars as pl

    import raypipe as rp

    def run(request: dict[str, Any]) -> Any:
        numbers, categories = names(request)
        recipe = rp.Recipe(rp.transforms.select(*numbers), rp.transforms.ordinal(*categories))
        profile = recipe.fit(pl.scan_parquet(request["path"]), "label").profile
        return [len(profile.columns), round(profile.columns["x00"].edges[15], 2)]

    return run


def evidently(*, parts: int = 4, summary: bool = False) -> Run:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import MissingValueCount, QuantileValue, UniqueValueCount
    from evidently.presets import DataSummaryPreset

    def run(request: dict[str, Any]) -> Any:
        numbers, categories = names(request)
        frame = pd.read_parquet(request["path"], columns=[*numbers, *categories])
        asked: list[Any] = [MissingValueCount(column=name) for name in [*numbers, *categories]]
        for k in range(1, parts):
            asked += [QuantileValue(column=name, quantile=k / parts) for name in numbers]
        asked += [UniqueValueCount(column=name) for name in categories]
        kinds = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        data = Dataset.from_pandas(frame, data_definition=kinds)
        found = Report([DataSummaryPreset()] if summary else asked).run(data, None).dict()
        return [len(found["metrics"])]

    return run


def whylogs() -> Run:
    import pandas as pd
    import whylogs as why

    def run(request: dict[str, Any]) -> Any:
        numbers, categories = names(request)
        frame = pd.read_parquet(request["path"], columns=[*numbers, *categories])
        view = why.log(pandas=frame).view()
        spread = view.get_column("x00").get_metric("distribution").kll.value
        return [len(view.get_columns()), round(spread.get_quantiles([0.5])[0], 2)]

    return run


def ydata() -> Run:
    import pandas as pd
    from ydata_profiling import ProfileReport

    def run(request: dict[str, Any]) -> Any:
        numbers, categories = names(request)
        frame = pd.read_parquet(request["path"], columns=[*numbers, *categories])
        told = ProfileReport(frame, minimal=True, progress_bar=False).get_description()
        return [len(told.variables), round(told.variables["x00"]["50%"], 2)]

    return run


WAYS: dict[str, Callable[[], Run]] = {
    "raypipe": raypipe,
    "evidently": evidently,
    "evidently_same": lambda: evidently(parts=32),
    "evidently_summary": lambda: evidently(summary=True),
    "whylogs": whylogs,
    "ydata": ydata,
}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]]())
