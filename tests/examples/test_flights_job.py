"""The flights script runs unchanged as a job on a cluster that is not ours, by both commands."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import raypipe as rp
from tests import ray_head
from tests.ray_head import BIN, PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", autouse=True)
def token() -> Iterator[None]:
    with ray_head.token():
        yield


@pytest.fixture(scope="module")
def head(token: None) -> Iterator[str]:
    with ray_head.head(PATH) as address:
        yield address


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake on a folder that every node has; both submissions use it."""
    return str(tmp_path_factory.mktemp("shared") / "lake")


def _run(command: list[str], limit_s: float) -> tuple[int, str, list[float]]:
    """Exit code and output of a command, and when each line of it came (seconds from its start)."""
    began, lines, times = time.monotonic(), [], []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=EXAMPLES.parent, env={**os.environ, **PATH},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        end = threading.Timer(limit_s, process.kill)
        end.start()
        try:
            for line in process.stdout:
                lines.append(line)
                times.append(time.monotonic() - began)
        finally:
            end.cancel()
            end.join()
        return process.wait(120), "".join(lines), times


def _check(output: str, root: str) -> None:
    for week, version in (("01", 1), ("08", 1), ("15", 2)):
        assert f"week of 2013-02-{week}: version {version}, ROC AUC 0." in output
    assert "version 2 is in service" in output
    lake = rp.Lake(root)
    assert lake.table("flights").at().count() == 27_004 + 24_950
    assert lake.table("flights").quarantine().at().count() == 1
    kinds = lake.table("delays__retrainings").at().frame()["kind"]
    assert sorted(kinds) == ["promoted", "started"]
    ids = lake.table("delays__predictions").at().frame()["prediction_id"]
    assert ids.n_unique() == len(ids)


@pytest.mark.timeout(600)
def test_raypipe_submit(head: str, shared_lake: str) -> None:
    code, output, times = _run(
        [
            str(BIN / "raypipe"), "submit", "examples/flights.py",
            "--address", head, "--", shared_lake,
        ],
        540,
    )  # fmt: skip
    assert code == 0, output
    _check(output, shared_lake)
    # the driver's output comes while it runs, not at its end
    first = next(
        i for i, line in enumerate(output.splitlines()) if "flights 2013-01: 27004" in line
    )
    assert times[first] < times[-1] - 5


@pytest.mark.timeout(600)
def test_plain_ray_job_submit_on_the_same_lake(head: str, shared_lake: str) -> None:
    code, output, _ = _run(
        [
            str(BIN / "ray"), "job", "submit", "--address", head, "--working-dir", "examples",
            "--", "python", "flights.py", shared_lake,
        ],
        540,
    )  # fmt: skip
    assert code == 0, output
    _check(output, shared_lake)


@pytest.mark.timeout(600)
def test_a_script_that_fails_gives_its_exit_code(head: str, tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text(
        "import sys\nimport raypipe as rp\n"
        "try:\n    rp.Lake(sys.argv[1]).table('flights').append('2013-*.csv')\n"
        "except rp.errors.SourceNotFoundError as error:\n    print(error)\n    sys.exit(7)\n"
    )
    code, output, _ = _run(
        [str(BIN / "raypipe"), "submit", str(script), "--address", head, "--", str(tmp_path)], 300
    )
    assert code == 7, output
    assert "no file matches: got 2013-*.csv" in output
