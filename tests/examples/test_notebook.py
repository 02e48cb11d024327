"""The notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import raypipe as rp

NOTEBOOK = Path(__file__).parents[2] / "examples" / "flights.ipynb"


def _shown(cell: Any) -> str:
    """What a cell printed and displayed."""
    parts = []
    for output in cell.get("outputs", ()):
        parts.append(output.get("text", ""))
        parts += [str(value) for value in output.get("data", {}).values()]
    return "\n".join(parts)


def test_no_output_is_stored() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.timeout(900)
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(tmp_path / "lake")
    monkeypatch.setenv("RAYPIPE_LAKE", root)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = {cell.source: _shown(cell) for cell in notebook.cells if cell.cell_type == "code"}
    everything = "\n".join(shown.values())
    for week, version in (("01", 1), ("08", 1), ("15", 2)):
        assert f"week of 2013-02-{week}: version {version}, ROC AUC 0." in everything
    assert "RequestError" in everything
    assert "inputs drifted" in everything
    for source in ("flights", "run", "service", "lake", "recipe"):
        cell = next(text for code, text in shown.items() if code.endswith(f"\n{source}"))
        assert "<table" in cell, source  # people see tables, not angle brackets
    assert [v.version for v in rp.Registry(rp.Lake(root)).versions("delays")] == [1, 2]
