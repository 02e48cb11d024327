"""The whole loop on New York flights, January and February 2013, in public names.

python flights.py [LAKE]                  with a local Ray, started and stopped here
raypipe submit flights.py -- LAKE         as a job on a running cluster
ray job submit --working-dir . -- python flights.py LAKE

The lake is the argument, else RAYPIPE_LAKE, else ./flights-lake. Run again on the same lake it
changes nothing: every batch, request and promotion has a name, and counts once.
"""

import os
import socket
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

import raypipe as rp
from raypipe.demo.flights import write_raw_files

WEEK = timedelta(days=7)
FEBRUARY = datetime(2013, 2, 1, 5)  # midnight in New York; times are UTC
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
lake = rp.Lake((sys.argv[1:] or [os.environ.get("RAYPIPE_LAKE", "flights-lake")])[0])

# 1. Raw files, one a month, become tables. Rows that break an expectation are set aside.
flights = lake.table(
    "flights",
    expect=[
        rp.expect.not_null("time_hour", "origin", "dest", "carrier"),
        rp.expect.matches("tailnum", "^N[0-9A-Z]+$", on_fail="quarantine"),
    ],
)
weather = lake.table(
    "weather", expect=[rp.expect.between("wind_speed", 0, 150, on_fail="quarantine")]
)
with tempfile.TemporaryDirectory() as folder:
    write_raw_files(Path(folder))
    for table in (flights, weather):
        for month in ("2013-01", "2013-02"):
            done = table.append(f"{folder}/{table.name}-{month}.csv", batch_id=month)
            print(f"{table.name} {month}: {done.rows} rows, {done.quarantined} in quarantine")

# 2. Each flight with the last weather observed before its scheduled departure, never a later one.
departures = flights.at().frame()
departures = departures.select(
    "carrier",
    "origin",
    "dest",
    "distance",
    "arr_delay",
    sched_dep=pl.col("time_hour") + pl.duration(minutes=pl.col("minute")),
    sched_local=pl.datetime("year", "month", "day", "hour", "minute"),
)
joined = rp.point_in_time(
    departures, weather.at(), on="origin", time="sched_dep", feature_time="time_hour",
    tolerance=timedelta(hours=6), columns=WEATHER,
)  # fmt: skip
features = lake.table("flights_features")
features.append(joined.sort("sched_dep", maintain_order=True), batch_id="2013-01 and 2013-02")

# 3. From a row to numbers. Features are what the transforms name, and nothing else.
t = rp.transforms
recipe = rp.Recipe(
    t.derive(late=pl.col("arr_delay") > 15),
    t.date_parts("sched_local", ["weekday", "hour"]),
    t.select("distance"),
    t.impute(*WEATHER, strategy="median"),
    t.one_hot("origin", "carrier"),
    t.target_encode("dest", smoothing=50.0),
)


# 4. Training on what is known at a time: a label arrives a week after its flight.
def train(lake: rp.Lake, now: datetime) -> rp.Run:
    rows, time = lake.table("flights_features").at(), pl.col("sched_dep")
    known, split = now - WEEK, now - 2 * WEEK
    trainer = rp.Trainer(
        recipe, label="late", learner=rp.XGBoost(rounds=30, max_depth=5), num_workers=2
    )
    return trainer.fit(rows.where(time < split), rows.where((time >= split) & (time < known)))


# 5. The first version has to be better than nothing; then it is registered and promoted.
registry = rp.Registry(lake)
first = registry.register(
    "delays",
    train(lake, FEBRUARY),
    gate=[
        rp.Gate(rp.metrics.roc_auc, at_least=0.60),
        rp.Gate(rp.metrics.log_loss, beats="baseline"),
    ],
)
first.promote(cause="first")  # a cause promotes once, so a second run does not take version 2 back
print(f"version {first.version}: ROC AUC {first.metrics['roc_auc']:.4f} in validation")

# 6. In service over HTTP, and watched. An alert starts a retraining once its labels are there.
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
service = rp.Service(lake, "delays", port=port).deploy()
monitor = rp.Monitor(lake, "delays", window=WEEK, label_delay=WEEK)
monitor.start(
    on_drift=rp.Retrain(
        train, gate=rp.Gate(rp.metrics.roc_auc, beats="champion"), settle=WEEK, budget=1
    ),
    poll_every=None,
    since=FEBRUARY,
)

# 7. Three weeks go by: flights are scored, labels of the week before arrive, the monitor looks.
labels, time = lake.table("delays__labels"), pl.col("sched_dep")
late: list[pl.DataFrame] = []
try:
    for start in (FEBRUARY, FEBRUARY + WEEK, FEBRUARY + 2 * WEEK):
        end = start + WEEK
        rows = features.at().where((time >= start) & (time < end)).frame()
        answer = service.predict(
            rows.select(*first.bundle.recipe.inputs),
            id=f"{start:%Y-%m-%d}",
            time=rows["sched_dep"].to_list(),
        )
        outcome = rows.select(
            prediction_id=pl.Series(answer.ids),
            score=pl.Series(answer.scores),
            label=(pl.col("arr_delay") > 15).cast(pl.Float64),
            at=time + WEEK,
        ).drop_nulls("label")  # a cancelled flight never gets one
        auc = rp.metrics.roc_auc(outcome["label"].to_numpy(), outcome["score"].to_numpy())
        print(f"week of {start:%Y-%m-%d}: version {answer.version}, ROC AUC {auc:.4f}")
        if late:
            labels.append(late[-1].drop("score"), batch_id=f"{start - WEEK:%Y-%m-%d}")
        late.append(outcome)
        for alert in monitor.poll(until=end):
            print(f"alert: {alert.message}")
        service.wait_for(registry.champion("delays").version)
finally:
    monitor.stop()
    service.stop()

for version in registry.versions("delays"):
    print(f"version {version.version}: {version.manifest['rows']} rows, hash {version.hash[:12]}")
print(f"version {registry.champion('delays').version} is in service")
