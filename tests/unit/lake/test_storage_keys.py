"""One mapping of storage options for three clients."""

from __future__ import annotations

from datetime import timedelta

import pytest

from raypipe.core.errors import ConfigError
from raypipe.lake.storage.keys import for_delta, for_obstore, for_polars

GIVEN = {
    "AWS_ENDPOINT_URL": "http://here",
    "AWS_ALLOW_HTTP": "true",
    "timeout": "5s",
    "MAX_RETRIES": "4",
    "retry_timeout": "1m 30s",
    "backoff_config.init_backoff": "250ms",
}


def test_obstore_wants_them_apart() -> None:
    found = for_obstore(GIVEN)
    assert found.store == {"aws_endpoint_url": "http://here"}
    assert found.connection == {"allow_http": "true", "timeout": "5s"}
    assert found.retries["max_retries"] == 4
    assert found.retries["retry_timeout"] == timedelta(seconds=90)
    assert found.retries["backoff"] == {
        "init_backoff": timedelta(milliseconds=250),
        "max_backoff": timedelta(seconds=5),
        "base": 3,
    }
    assert "here" not in repr(found)


def test_the_connection_of_the_environment_holds_where_no_option_is_given() -> None:
    outside = {"AWS_ALLOW_HTTP": "true", "AWS_TIMEOUT": "9s", "AWS_REGION": "r", "timeout": "1s"}
    found = for_obstore({"timeout": "5s"}, outside)
    assert found.connection == {"allow_http": "true", "timeout": "5s"}
    assert not found.store


def test_polars_wants_numbers_for_retries() -> None:
    found = for_polars(GIVEN)
    assert found == {
        "AWS_ENDPOINT_URL": "http://here",
        "AWS_ALLOW_HTTP": "true",
        "timeout": "5s",
        "max_retries": 4,
        "retry_timeout_ms": 90_000,
        "retry_init_backoff_ms": 250,
        "retry_max_backoff_ms": 5000,
        "retry_base_multiplier": 3.0,
    }
    assert for_polars(None) is None


def test_deltalake_takes_text_and_waits_as_long() -> None:
    found = for_delta("s3://box/t", GIVEN)
    assert found is not None
    assert found.items() >= GIVEN.items()
    assert "max_retries" not in found
    assert found["backoff_config.max_backoff"] == "5s"
    assert for_delta("s3://box/t", None)
    assert for_delta("/folder/t", GIVEN) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_retries", "often"), ("retry_timeout", "soon"), ("retry_timeout", "3 s or so")],
)
def test_what_is_no_number_is_refused_without_being_shown(name: str, value: str) -> None:
    for reads in (for_obstore, for_polars):
        with pytest.raises(ConfigError, match=name) as caught:
            reads({name: value})
        assert value not in str(caught.value)
