"""Exit codes, messages and JSON of the commands; what they call is tested in its room."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from raypipe.cli import main as cli
from raypipe.cli import models, output, tables
from raypipe.core.errors import EngineError, TableNotFoundError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    def fail_with(error: BaseException) -> None:
        def rows(_: str) -> Any:
            raise error

        monkeypatch.setattr(tables, "rows", rows)

    return fail_with


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TableNotFoundError("no table", "'x'", "Write it first."), 2),
        (EngineError("no cluster", "10.0.0.1:1"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    failing: Any, error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error)
    assert cli.main(["tables"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"raypipe: {str(error) or 'interrupted'}\n"


def test_what_a_ctrl_c_leaves_is_told(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    error = KeyboardInterrupt()
    error.add_note("Run 1 is kept.")
    failing(error)
    assert cli.main(["tables"]) == 130
    assert capsys.readouterr().err == "raypipe: interrupted\nraypipe: Run 1 is kept.\n"


def test_debugging_shows_the_error_itself(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYPIPE_DEBUG", "1")
    failing(EngineError("no cluster"))
    with pytest.raises(EngineError):
        cli.main(["tables"])


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["x"],
        ["promote", "m"],
        ["promote", "m", "x"],
        ["submit", "--env", "=", "s"],
        ["tables", "--", "x"],
        ["submit"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2


def test_every_command_has_json_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = [a for a in cli.build_parser()._actions if a.dest == "command"]
    assert set(commands.choices) == {
        "demo", "tables", "models", "promote", "rollback", "status", "doctor", "submit",
    }  # fmt: skip
    for parser in commands.choices.values():
        assert "--json" in parser.format_help()
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(line in text for line in ("0    done", "130  interrupted"))


def test_tables_prints_a_table_or_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        {"name": "flights", "version": 11, "rows": 336776},
        {"name": "planes", "version": 0, "rows": 3322},
    ]
    monkeypatch.setattr(tables, "rows", lambda _: found)
    monkeypatch.setattr(models, "rows", lambda _: [])
    assert cli.main(["tables", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    cli.main(["tables"])
    assert capsys.readouterr().out.splitlines() == [
        "name     version     rows",
        "flights       11  336,776",
        "planes         0    3,322",
    ]
    assert cli.main(["status", "--lake", "here", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tables"] == found
    cli.main(["status"])
    assert "2, 340,098 rows" in capsys.readouterr().out


def test_the_demo_keeps_standard_output_for_the_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Any] = {}

    class Summary:
        def to_dict(self) -> dict[str, Any]:
            return {"requests": 3}

        def table(self) -> str:
            return "a table"

    def run_demo(lake: str, **options: Any) -> Summary:
        seen.update(lake=lake, **options)
        print("a stage", file=options["out"])
        return Summary()

    module = ModuleType("raypipe.demo")
    module.run_demo = run_demo  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "raypipe.demo", module)
    assert cli.main(["demo", "--json", "--kill-worker", "--lake", "l", "--port", "8001"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"requests": 3}
    assert err == "a stage\n"
    assert (seen["lake"], seen["kill_worker"], seen["port"], seen["report"]) == (
        "l", True, 8001, None,
    )  # fmt: skip
    cli.main(["demo"])
    assert capsys.readouterr().out == "a stage\na table\n"


def test_doctor_tells_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["cores"] >= 1
    assert value["memory_gib"] > 0
    assert value["ray"].startswith("2.")
    assert "ray_start_s" not in value


def test_cells_are_readable() -> None:
    assert [output._text(v) for v in (None, True, 1234, 0.5, "x")] == [
        "-",
        "yes",
        "1,234",
        "0.5",
        "x",
    ]
