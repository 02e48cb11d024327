"""The replica without Ray: requests as Serve hands them over, answers as bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from starlette.requests import Request

from raypipe.core.errors import LakeAccessError, ModelNotFoundError, ServiceUnavailableError
from raypipe.core.times import utc_now
from raypipe.lake import Lake
from raypipe.serving.log_table import predictions
from raypipe.serving.protocol import Limits
from raypipe.serving.replica import Replica, ReplicaConfig

if TYPE_CHECKING:
    from types import SimpleNamespace

    from starlette.responses import Response

    from raypipe.registry import Registry

TOKEN = "not a secret"


def config(**changes: Any) -> ReplicaConfig:
    settings: dict[str, Any] = {
        "model": "delays",
        "limits": Limits(max_body_bytes=100_000, max_rows=20),
        "log": "durable",
        "linger": timedelta(milliseconds=1),
        "poll": timedelta(milliseconds=20),
        "keep_versions": 2,
        "token_sha256": None,
        "release": "0",
        "fingerprint": "f",
    }
    return ReplicaConfig(**(settings | changes))


def make_request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Request:
    sent = {"content-type": "application/json", **(headers or {})}
    chunks = [body[i : i + 1000] for i in range(0, len(body), 1000)] or [b""]

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
    }
    return Request(scope, receive)


async def ask(
    replica: Replica, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any, Response]:
    data = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    response = await replica(make_request(method, path, data, named))
    return response.status_code, json.loads(bytes(response.body)), response


def post(replica: Replica, body: Any, path: str = "/predict/delays", **headers: str) -> Any:
    status, answer, _ = asyncio.run(ask(replica, "POST", path, body, **headers))
    assert status == 200, answer
    return answer


def refused(replica: Replica, body: Any, path: str = "/predict/delays", **headers: str) -> Any:
    status, answer, _ = asyncio.run(ask(replica, "POST", path, body, **headers))
    return status, answer["error"]["field"]


def get(replica: Replica, path: str) -> tuple[int, Any]:
    status, answer, _ = asyncio.run(ask(replica, "GET", path))
    return status, answer


Maker = Callable[..., Replica]


@pytest.fixture
def make() -> Iterator[Maker]:
    made: list[Replica] = []

    def one(lake: Lake, **changes: Any) -> Replica:
        made.append(Replica(lake, config(**changes)))
        return made[-1]

    yield one
    for replica in made:
        replica.__del__()


@pytest.fixture
def replica(small: tuple[Lake, Registry], make: Maker) -> Replica:
    return make(small[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_both_protocols_give_the_model_s_own_scores(replica: Replica, kit: SimpleNamespace) -> None:
    rows = kit.rows(5)
    expected = kit.train(5).predict(rows).tolist()
    plain = post(replica, {"rows": rows, "id": "a"})
    assert plain == {
        "model": "delays",
        "version": 1,
        "id": "a",
        "predictions": [{"id": f"a:{i}", "score": s} for i, s in enumerate(expected)],
    }
    kinds = {"origin": "BYTES", "time_hour": "BYTES", "temp": "FP64", "distance": "INT64"}
    inputs = [
        {"name": n, "shape": [5], "datatype": kind, "data": [r[n] for r in rows]}
        for n, kind in kinds.items()
    ]
    answer = post(replica, {"inputs": inputs, "id": "b"}, "/v2/models/delays/infer")
    assert (answer["model_name"], answer["model_version"]) == ("delays", "1")
    assert answer["outputs"][0] == {
        "name": "score",
        "shape": [5],
        "datatype": "FP64",
        "data": expected,
    }
    assert answer["outputs"][1]["data"] == [f"b:{i}" for i in range(5)]
    pinned = post(replica, {"inputs": inputs}, "/v2/models/delays/versions/2/infer")
    assert pinned["model_version"] == "2"
    assert pinned["outputs"][0]["data"] == kit.train(8).predict(rows).tolist()


def test_each_bad_input_has_a_status_and_a_field(replica: Replica, kit: SimpleNamespace) -> None:
    row = json.loads(json.dumps(kit.rows(1)[0], default=str))
    assert refused(replica, [row | {"distance": "far"}]) == (400, "distance")
    assert refused(replica, [row | {"distance": None}]) == (400, "distance")
    assert refused(replica, json.dumps([row | {"temp": float("nan")}]).encode()) == (400, "temp")
    assert refused(replica, [{k: v for k, v in row.items() if k != "temp"}]) == (422, "temp")
    assert refused(replica, [row | {"tmp": 1}]) == (422, "tmp")
    assert refused(replica, b"{") == (400, None)
    assert refused(replica, b" " * 100_001) == (413, None)
    assert refused(replica, [row] * 21) == (413, "rows")
    assert refused(replica, [row], "/predict/other") == (404, "model")
    assert refused(replica, [row], "/v2/models/delays/versions/9/infer") == (404, "version")
    assert refused(replica, [row], content_type="text/csv") == (415, "Content-Type")
    assert refused(replica, [row], content_length="100001") == (413, None)
    status, _, response = asyncio.run(ask(replica, "GET", "/predict/delays"))
    assert (status, response.headers["allow"]) == (405, "POST")
    assert predictions_count(replica) == 0


def predictions_count(replica: Replica) -> int:
    table = replica._log._table
    return table.at().count() if table.exists else 0


def test_it_describes_itself(replica: Replica) -> None:
    assert get(replica, "/v2/health/live") == (200, {"live": True})
    assert get(replica, "/v2/health/ready") == (200, {"ready": True})
    assert get(replica, "/v2")[1]["name"] == "raypipe"
    assert get(replica, "/v2/models/delays/ready")[1]["ready"] is True
    assert get(replica, "/v2/models/delays/versions/2/ready")[1]["version"] == "2"
    status, model = get(replica, "/v2/models/delays")
    assert status == 200
    assert model["versions"] == ["1", "2"]
    assert model["parameters"]["in_service"] == 1
    temp = next(i for i in model["inputs"] if i["name"] == "temp")
    assert temp == {
        "name": "temp",
        "datatype": "FP64",
        "shape": [-1],
        "parameters": {"type": "float64", "nullable": True},
    }
    replica.check_health()


def test_a_token_is_asked_for_but_not_by_the_health_questions(
    small: tuple[Lake, Registry], make: Maker, kit: SimpleNamespace
) -> None:
    replica = make(small[0], token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest())
    assert get(replica, "/v2/health/ready")[0] == 200
    for header in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN):
        status, answer, response = asyncio.run(
            ask(replica, "POST", "/predict/delays", kit.rows(1), authorization=header)
        )
        assert status == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in json.dumps(answer)
    post(replica, kit.rows(1), authorization=f"Bearer {TOKEN}")


def test_the_rows_of_an_answer_are_in_the_lake(
    small: tuple[Lake, Registry], replica: Replica, kit: SimpleNamespace
) -> None:
    rows = kit.rows(3)
    answer = post(replica, {"rows": rows, "id": "x", "time": "2013-07-01T02:00:00+02:00"})
    logged = predictions(small[0], "delays").collect()
    assert logged["prediction_id"].to_list() == ["x:0", "x:1", "x:2"]
    assert logged["score"].to_list() == [p["score"] for p in answer["predictions"]]
    assert logged["version"].to_list() == [1, 1, 1]
    assert logged["event_time"].to_list() == [datetime(2013, 7, 1)] * 3
    assert logged.select(sorted(rows[0])).equals(
        pl.DataFrame(rows, schema_overrides={"time_hour": pl.Datetime("us")}).select(
            sorted(rows[0])
        )
    )


def test_a_probe_is_scored_and_not_logged(replica: Replica, kit: SimpleNamespace) -> None:
    rows = kit.rows(2)
    probe = post(replica, {"rows": rows, "log": False})
    assert predictions_count(replica) == 0
    scores = [p["score"] for p in probe["predictions"]]
    assert scores == [p["score"] for p in post(replica, rows)["predictions"]]
    assert predictions_count(replica) == 2


def test_the_same_id_gives_the_same_answer_and_is_logged_once(
    small: tuple[Lake, Registry], make: Maker, kit: SimpleNamespace
) -> None:
    lake, registry = small
    body = {"rows": kit.rows(2), "id": "x"}
    first_replica = make(lake)

    async def twice() -> tuple[Any, Any]:
        one = ask(first_replica, "POST", "/predict/delays", body)
        other = ask(first_replica, "POST", "/predict/delays", body)
        return await asyncio.gather(one, other)

    one, other = asyncio.run(twice())
    assert one[:2] == other[:2]
    # another replica, with another version in service, finds the answer in the log
    registry.promote("delays", 2)
    second_replica = make(lake)
    again = post(second_replica, body, raypipe_attempt="2")
    assert again == one[1]
    # and, alone in its commit as before, even if the client does not say that it asks again
    third_replica = make(lake)
    assert post(third_replica, body) == one[1]
    assert predictions_count(first_replica) == 2


def test_an_id_that_comes_with_other_rows_is_a_conflict(
    small: tuple[Lake, Registry], make: Maker, kit: SimpleNamespace
) -> None:
    lake, _ = small
    replica = make(lake)
    one, two = kit.rows(2)

    async def both() -> tuple[Any, Any]:
        first = await ask(replica, "POST", "/predict/delays", {"rows": [one], "id": "x"})
        second = await ask(replica, "POST", "/predict/delays", {"rows": [two], "id": "x"})
        return first, second

    first, second = asyncio.run(both())
    assert (first[0], second[0], second[1]["error"]["field"]) == (200, 409, "id")
    other = make(lake)
    assert refused(other, {"rows": [two], "id": "x"}, raypipe_attempt="3") == (409, "id")
    assert refused(other, {"rows": [one, two], "id": "x"}, raypipe_attempt="3") == (409, "id")


def test_a_client_that_leaves_finds_its_answer(replica: Replica, kit: SimpleNamespace) -> None:
    body = {"rows": kit.rows(1), "id": "left"}

    async def leave_and_return() -> int:
        task = asyncio.ensure_future(ask(replica, "POST", "/predict/delays", body))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        status, _, _ = await ask(replica, "POST", "/predict/delays", body)
        return status

    assert asyncio.run(leave_and_return()) == 200
    assert predictions_count(replica) == 1


def test_a_client_without_an_id_that_leaves_stops_nothing(
    small: tuple[Lake, Registry], make: Maker, kit: SimpleNamespace
) -> None:
    replica = make(small[0], linger=timedelta(milliseconds=100))

    async def leave() -> tuple[int, bool]:
        request = make_request("POST", "/predict/delays", json.dumps(rows, default=str).encode())
        task = asyncio.ensure_future(replica._answer(request))
        while not replica._log._waiting:
            await asyncio.sleep(0.001)
        task.cancel()
        status, _, _ = await ask(replica, "POST", "/predict/delays", rows)
        return status, task.cancelled()

    rows = kit.rows(1)
    assert asyncio.run(leave()) == (200, True)
    replica.check_health()
    post(replica, rows)
    assert predictions_count(replica) == 3


def test_an_answer_of_long_ago_is_found_when_its_commit_is_met(
    small: tuple[Lake, Registry], make: Maker, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, registry = small
    body = {"rows": kit.rows(1), "id": "old"}
    with monkeypatch.context() as past:
        past.setattr("raypipe.serving.replica.utc_now", lambda: utc_now() - timedelta(days=2))
        first = post(make(lake), body)
    registry.promote("delays", 2)
    replica = make(lake)
    looked: list[Any] = []
    find = replica._log.find

    def watched(parsed: Any, since: datetime | None = None) -> Any:
        looked.append((since, find(parsed, since)))
        return looked[-1][1]

    monkeypatch.setattr(replica._log, "find", watched)
    assert post(replica, body, raypipe_attempt="2") == first
    (since, bounded), (unbounded, found) = looked
    assert bounded is None
    assert timedelta(hours=23) < utc_now() - since < timedelta(hours=25)
    assert unbounded is None
    assert found is not None


def test_the_pointer_moves_and_moves_back(
    small: tuple[Lake, Registry], replica: Replica, kit: SimpleNamespace
) -> None:
    _, registry = small
    assert post(replica, kit.rows(1))["version"] == 1
    registry.promote("delays", 2)
    until(lambda: post(replica, kit.rows(1))["version"] == 2)
    registry.rollback("delays")
    until(lambda: post(replica, kit.rows(1))["version"] == 1)


def test_a_version_that_cannot_be_loaded_is_not_taken(
    small: tuple[Lake, Registry], replica: Replica, kit: SimpleNamespace
) -> None:
    lake, registry = small
    lake.files.put("models/delays/run-8/model.ubj", b"other bytes")
    registry.promote("delays", 2)
    until(lambda: get(replica, "/v2/models/delays")[1]["parameters"]["error"] is not None)
    state = get(replica, "/v2/models/delays")[1]["parameters"]
    assert "IntegrityError" in state["error"]
    assert state["in_service"] == 1
    assert post(replica, kit.rows(1))["version"] == 1
    assert state["refused"] == 2
    registry.rollback("delays")
    until(lambda: get(replica, "/v2/models/delays")[1]["parameters"]["error"] is None)
    assert get(replica, "/v2/models/delays")[1]["parameters"]["refused"] is None


def test_without_a_version_in_service_there_is_no_replica(lake_root: str, make: Maker) -> None:
    with pytest.raises(ModelNotFoundError):
        make(Lake(lake_root))


def test_a_lake_that_refuses_the_log_means_no_answer(
    replica: Replica, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no space left at /secret/lake")

    monkeypatch.setattr(replica._log._table, "append", refuse)
    status, answer, response = asyncio.run(ask(replica, "POST", "/predict/delays", kit.rows(1)))
    assert status == 503
    assert answer["error"]["type"] == ServiceUnavailableError.__name__
    assert "OSError" not in json.dumps(answer)
    assert response.headers["retry-after"] == "1"


def test_a_fault_of_ours_is_500_and_tells_nothing(
    replica: Replica, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("inner detail")

    monkeypatch.setattr(replica._models.current, "score", fail)
    status, answer, _ = asyncio.run(ask(replica, "POST", "/predict/delays", kit.rows(1)))
    assert status == 500
    assert "inner detail" not in json.dumps(answer)


def test_an_error_of_the_lake_does_not_tell_a_client_where_it_is(
    replica: Replica, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LakeAccessError("cannot be reached", "/secret/lake", field="secret")

    monkeypatch.setattr(replica._log, "find", fail)
    body = {"rows": kit.rows(1), "id": "x"}
    status, answer, _ = asyncio.run(
        ask(replica, "POST", "/predict/delays", body, raypipe_attempt="2")
    )
    assert (status, answer["error"]["type"]) == (500, "LakeAccessError")
    assert "secret" not in json.dumps(answer)
    assert set(answer["error"]) == {"type", "message", "field", "row"}
