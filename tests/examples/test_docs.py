"""What the documents show runs, and what they point at is there."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import raypipe
import raypipe as rp

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
BIN = Path(sys.executable).parent
_BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _blocks(kind: str) -> list[object]:
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match[1] == kind:
                line = text[: match.start()].count("\n") + 1
                found.append(pytest.param(match[2], id=f"{name}:{line}"))
    return found


def _env() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAYPIPE_", "RAY_"))}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env=_env(), capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.timeout(600)
@pytest.mark.parametrize("code", _blocks("python"))
def test_a_python_block_runs(code: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:  # port 8000 may be in use here
        port = probe.getsockname()[1]
    code = re.sub(r"Service\((.*?)\)", rf"Service(\1, port={port})", code)
    (tmp_path / "block.py").write_text(code, encoding="utf-8")
    done = _run([sys.executable, "block.py"], tmp_path)
    if "print(" in code:
        assert done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("code", _blocks("bash"))
def test_a_shell_block_runs(code: str, tmp_path: Path) -> None:
    """Each line by itself; of ``make`` only what it would do is looked at."""
    (tmp_path / ".venv").symlink_to(BIN.parent)
    trips = pl.DataFrame({"km": [1], "city": ["Oslo"], "late": [False]})
    rp.Lake(tmp_path / "first-lake").table("trips").append(trips)  # the first notebook's lake
    for line in code.strip().splitlines():
        if line.startswith("make "):
            _run(["make", "-n", *shlex.split(line)[1:]], ROOT)
        else:
            _run(["bash", "-euo", "pipefail", "-c", line], tmp_path)


def test_each_target_that_is_named_is_there() -> None:
    for name in DOCUMENTS:
        for target in re.findall(r"`make ([a-z_-]+)`", (ROOT / name).read_text(encoding="utf-8")):
            _run(["make", "-n", target], ROOT)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_link_leads_somewhere(name: str) -> None:
    links = _LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert links
    for link in links:
        if not link.startswith(("http://", "https://", "#")):
            assert (ROOT / link.partition("#")[0]).exists(), link


def test_the_layers_that_are_drawn_are_those_that_hold() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| (.*?) \|", text, re.MULTILINE)
    drawn = [sorted(re.findall(r"`(\w+)/`", row)) for row in rows]
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"^layers = \[(.*?)^\]", config, re.MULTILINE | re.DOTALL)
    assert layers is not None
    held = [sorted(line.split(" | ")) for line in re.findall(r'"([^"]+)"', layers[1])]
    assert drawn == held


def test_each_command_is_in_the_table() -> None:
    from raypipe.cli.main import build_parser

    shown = set(re.findall(r"`raypipe ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    listed = set(re.findall(r"^    ([a-z]+) ", build_parser().format_help(), re.MULTILINE))
    assert listed
    assert listed == shown


def _modules_with_examples() -> list[str]:
    found = []
    for info in pkgutil.walk_packages(raypipe.__path__, "raypipe."):
        path = ROOT.joinpath(*info.name.split("."))
        source = path / "__init__.py" if info.ispkg else path.with_suffix(".py")
        if ">>> " in source.read_text(encoding="utf-8"):
            found.append(info.name)
    return found


@pytest.mark.parametrize("name", _modules_with_examples())
def test_examples_in_docstrings_run(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert result.attempted
    assert result.failed == 0
