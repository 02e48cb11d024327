"""The house's own rules: which room may know which, what an import may load, how long a file is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import raypipe

ROOT = Path(raypipe.__file__).parent
ENGINES = {"ray", "polars", "pyarrow", "numpy", "xgboost", "deltalake", "pandas", "rich"}


def _loaded_by(code: str) -> set[str]:
    report = "import sys; print('LOADED', *{m.partition('.')[0] for m in sys.modules})"
    program = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(program.stdout.rpartition("LOADED")[2].split())


def test_every_import_goes_downwards() -> None:
    check = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT.parent,
        env={"PYTHONPATH": str(ROOT.parent), "PATH": ""},
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_import_raypipe_loads_no_engine() -> None:
    assert not _loaded_by("import raypipe; dir(raypipe)") & ENGINES


def test_help_loads_no_engine() -> None:
    help_of = "import raypipe.cli.main as m\ntry: m.main({})\nexcept SystemExit: pass"
    for arguments in (["--help"], ["submit", "--help"], ["demo", "--help"]):
        assert not _loaded_by(help_of.format(arguments)) & ENGINES


@pytest.mark.parametrize("name", raypipe.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(raypipe, name) is not None
    assert name in dir(raypipe)
    home = raypipe._MODULES.get(name) or raypipe._HOMES[name]
    module = importlib.import_module(home)
    assert getattr(raypipe, name) is (module if name in raypipe._MODULES else getattr(module, name))


def test_the_lists_of_names_agree() -> None:
    assert sorted(raypipe.__all__) == sorted([*raypipe._HOMES, *raypipe._MODULES])


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Tabel"):
        raypipe.Tabel  # noqa: B018


def test_no_file_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == {}


def test_every_room_is_typed() -> None:
    assert (ROOT / "py.typed").exists()
