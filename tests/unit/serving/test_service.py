"""The service on a real Ray Serve: one deployment for the whole module."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from raypipe.core.errors import ConfigError, PortInUseError, RequestError, ServingError
from raypipe.serving import Service, predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def deployed(
    ray_session: None, kit: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    lake, registry = kit.two_versions(str(tmp_path_factory.mktemp("service") / "lake"))
    service = Service(lake, kit.model, port=free_port(), max_body_bytes=200_000, max_rows=600)
    with socket.socket() as other:
        other.bind((service.host, service.port))
        other.listen()
        with pytest.raises(PortInUseError, match=str(service.port)):
            service.deploy()
    service.deploy()
    yield SimpleNamespace(lake=lake, registry=registry, service=service)
    service.stop()
    assert not service.ready()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((service.host, service.port))
    service.stop()


def raw(service: Service, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(service.host, service.port, timeout=120)
    data = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    sent = {"Content-Type": "application/json"} | headers
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Hammer:
    """Clients that ask without pause until they are stopped."""

    def __init__(self, service: Service, rows: list[dict[str, Any]], clients: int) -> None:
        self.answers: list[Any] = []
        self.failures: list[BaseException] = []
        self._service, self._rows = service, rows
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]

    def _run(self, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            try:
                row = self._rows[count % len(self._rows)]
                self.answers.append(self._service.predict([row], id=f"{id(self)}-{number}-{count}"))
            except Exception as error:  # noqa: BLE001 - the test shows all of them
                self.failures.append(error)
            count += 1

    def __enter__(self) -> Hammer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_it_answers_with_the_version_s_own_scores(
    deployed: SimpleNamespace, kit: SimpleNamespace
) -> None:
    service, rows = deployed.service, kit.rows(500)
    answer = service.predict(rows, id="first")
    assert (answer.model, answer.version, answer.id) == (kit.model, 1, "first")
    assert list(answer.scores) == kit.train(5).predict(rows).tolist()
    assert service.version() == 1
    assert service.ready()
    logged = predictions(deployed.lake, kit.model).collect()
    assert set(answer.ids) <= set(logged["prediction_id"])
    assert service.predict(rows, id="first") == answer
    assert predictions(deployed.lake, kit.model).collect().height == logged.height


def test_the_inference_protocol_over_http(deployed: SimpleNamespace, kit: SimpleNamespace) -> None:
    service = deployed.service
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/delays/ready"):
        assert raw(service, "GET", path, b"")[0] == 200
    _, model = raw(service, "GET", "/v2/models/delays", b"")
    rows = kit.rows(2)
    inputs = [
        {
            "name": i["name"],
            "shape": [2],
            "datatype": i["datatype"],
            "data": [row[i["name"]] for row in rows],
        }
        for i in model["inputs"]
    ]
    status, answer = raw(service, "POST", "/v2/models/delays/versions/2/infer", {"inputs": inputs})
    assert (status, answer["model_version"]) == (200, "2")
    assert answer["outputs"][0]["data"] == kit.train(8).predict(rows).tolist()


def test_each_bad_input_is_a_4xx_with_the_field_s_name(
    deployed: SimpleNamespace, kit: SimpleNamespace
) -> None:
    service, row = deployed.service, kit.rows(1)[0]
    for change, status, field in (
        ({"distance": "far"}, 400, "distance"),
        ({"temp": float("nan")}, 400, "temp"),
        ({"tmp": 1.0}, 422, "tmp"),
    ):
        with pytest.raises(RequestError) as caught:
            service.predict([row | change])
        assert (caught.value.status, caught.value.field) == (status, field)
    with pytest.raises(RequestError) as caught:
        service.predict([{k: v for k, v in row.items() if k != "origin"}])
    assert (caught.value.status, caught.value.field) == (422, "origin")
    for path, body, wanted, field in (
        ("/predict/other", [row], 404, "model"),
        ("/v2/models/delays/versions/77/infer", {}, 404, "version"),
        ("/predict/delays", b'{"rows": [', 400, None),
        ("/predict/delays", b" " * 200_001, 413, None),
        ("/predict/delays", [{}] * 601, 413, "rows"),
        ("/nowhere", b"{}", 404, None),
    ):
        status, answer = raw(service, "POST", path, body)
        assert (status, answer["error"]["field"]) == (wanted, field)
    assert raw(service, "DELETE", "/predict/delays", b"")[0] == 405


def test_no_request_fails_when_versions_change(
    deployed: SimpleNamespace, kit: SimpleNamespace
) -> None:
    service, registry = deployed.service, deployed.registry
    took = []
    with Hammer(service, kit.rows(50), clients=4) as hammer:
        hammer.until(lambda: len(hammer.answers) > 8)
        for move, version in (
            (lambda: registry.promote(kit.model, 2), 2),
            (lambda: registry.rollback(kit.model), 1),
        ):
            move()
            start = time.monotonic()
            service.wait_for(version)
            took.append(time.monotonic() - start)
            before = len(hammer.answers)
            hammer.until(lambda: len(hammer.answers) > before + 8)  # noqa: B023
            assert hammer.answers[-1].version == version
    assert hammer.failures == []
    assert {answer.version for answer in hammer.answers} == {1, 2}
    print(f"{len(hammer.answers)} requests, switched in {took[0]:.2f} s, back in {took[1]:.2f} s")


def listening(pid: int) -> set[str]:
    """The addresses (hexadecimal, as in /proc) at which a process accepts connections."""
    folder = Path("/proc") / str(pid)
    inodes = set()
    for link in (folder / "fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in (folder / "net" / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].rpartition(":")[0])
    return found


def test_its_processes_listen_on_loopback_only(deployed: SimpleNamespace) -> None:
    assert replica_pids("ray::ServeReplica")
    assert replica_pids("ray::ProxyActor")
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    for title in ("ray::ServeReplica", "ray::ProxyActor", "ray::ServeController"):
        for pid in replica_pids(title):
            assert listening(pid) <= loopback, title


def replica_pids(wanted: str = "ray::ServeReplica:raypipe-delays") -> list[int]:
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title = (folder / "cmdline").read_bytes()
                mine = _descends_from(int(folder.name), os.getpid())
            except OSError:
                continue
            if mine and title.startswith(wanted.encode()):
                pids.append(int(folder.name))
    return pids


def _descends_from(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = int((Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])
        if pid == ancestor:
            return True
    return False


def test_a_killed_replica_loses_no_answer_and_logs_each_once(
    deployed: SimpleNamespace, kit: SimpleNamespace
) -> None:
    service = deployed.service
    with Hammer(service, kit.rows(50), clients=4) as hammer:
        hammer.until(lambda: len(hammer.answers) > 8)
        (pid,) = replica_pids()
        os.kill(pid, signal.SIGKILL)
        killed, before = time.monotonic(), len(hammer.answers)
        hammer.until(lambda: len(hammer.answers) > before + 20)
        back = time.monotonic() - killed
    assert hammer.failures == []
    assert pid not in replica_pids()
    logged = predictions(deployed.lake, kit.model).collect()
    times = Counter(logged["prediction_id"])
    scores = dict(logged.select("prediction_id", "score").iter_rows())
    versions = dict(logged.select("prediction_id", "version").iter_rows())
    for answer in hammer.answers:
        (name,), (score,) = answer.ids, answer.scores
        assert times[name] == 1
        assert (scores[name], versions[name]) == (score, answer.version)
    print(f"{len(hammer.answers)} requests, the replica was back after {back:.1f} s")


def test_deployed_again_nothing_happens(deployed: SimpleNamespace) -> None:
    pids = replica_pids()
    deployed.service.deploy(wait=timedelta(seconds=30))
    assert replica_pids() == pids


def test_another_port_is_refused_while_serve_listens(deployed: SimpleNamespace) -> None:
    service = deployed.service
    with pytest.raises(ConfigError, match=str(service.port)):
        Service(deployed.lake, service.name, port=free_port()).deploy()


def test_a_second_model_is_served_beside_the_first(
    deployed: SimpleNamespace, kit: SimpleNamespace
) -> None:
    lake, registry = deployed.lake, deployed.registry
    registry.register("other", kit.run(id="other-8", bundle=kit.train(8))).promote()
    with pytest.raises(ServingError, match="prefix"):
        Service(lake, "other", port=deployed.service.port).deploy()
    service = Service(
        lake, "other", port=deployed.service.port, prefix="/b", token="t", log="off"
    ).deploy()
    rows = kit.rows(2)
    assert list(service.predict(rows).scores) == kit.train(8).predict(rows).tolist()
    assert raw(service, "POST", "/b/predict/other", rows)[0] == 401
    assert raw(service, "GET", "/b/v2/health/ready", b"")[0] == 200
    service.stop()
    assert deployed.service.predict(rows).version == 1
