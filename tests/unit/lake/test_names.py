"""Names of tables and models: what they may be, and what is raypipe's own."""

from __future__ import annotations

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.core.uris import check_name
from raypipe.lake import Lake


@pytest.mark.parametrize("name", ["runs", "models", "demo"])
def test_folders_of_raypipe_are_no_tables(lake_root: str, name: str) -> None:
    with pytest.raises(ConfigError, match="reserved") as caught:
        Lake(lake_root).table(name)
    assert caught.value.got == name
    assert "demo, models, runs" in str(caught.value)


@pytest.mark.parametrize("name", ["registry", "runs_of_2013", "a" * 100])
def test_other_names_are_free(lake_root: str, name: str) -> None:
    assert Lake(lake_root).table(name).append(pl.DataFrame({"a": [1]})).rows == 1


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a/b", "a" * 101, "a\n", "ä", 7])
def test_names_that_are_none(lake_root: str, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a table"):
        Lake(lake_root).table(name)


def test_the_tables_of_the_longest_model_name_can_be_named() -> None:
    model = check_name("model", "m" * 70)
    for suffix in ("predictions", "labels", "drift", "alerts", "retrainings"):
        assert check_name("table", f"{model}__{suffix}")
    with pytest.raises(ConfigError, match="up to 69"):
        check_name("model", "m" * 71)


@pytest.mark.parametrize("ending", ["__quarantine", "__checks"])
def test_companions_of_a_table_are_written_by_raypipe_only(lake_root: str, ending: str) -> None:
    table = Lake(lake_root).table(f"t{ending}")
    with pytest.raises(ConfigError, match="by raypipe only"):
        table.append(pl.DataFrame({"a": [1]}))
    assert not table.exists


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_a_column_that_no_reader_could_name(lake_root: str, name: str) -> None:
    """Arrow's C interface ends a name there: such a table was written and never read again."""
    table = Lake(lake_root).table("rows")
    with pytest.raises(SchemaError, match="null character") as caught:
        table.append(pl.DataFrame({name: [1]}))
    assert caught.value.field == name
    with pytest.raises(SchemaError, match="null character"):
        table.append(pl.DataFrame({"a": [{name: 1}]}))
    table.append(pl.DataFrame({"a": [1]}))
    with pytest.raises(SchemaError):
        Lake(lake_root).table("rows", evolve="add").append(pl.DataFrame({"a": [1], name: [1]}))
    assert table.at().count() == 1
