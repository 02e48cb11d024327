"""Places where a lake of these tests may lie."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

from raypipe.lake import Lake
from tests.object_stores import Place, azure_missing, azure_place, s3_place

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An S3 bucket for the whole run."""
    with s3_place(tmp_path_factory.mktemp("s3")) as place:
        yield place


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An Azure container for the whole run; its address is in the environment meanwhile, which is
    the only place where the clients look for it.
    """
    why = azure_missing()
    if why:
        pytest.skip(why)
    with azure_place(tmp_path_factory.mktemp("azure")) as place:
        before = {name: os.environ.get(name) for name in place.environment}
        os.environ.update(place.environment)
        yield place
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(params=["s3", "azure"])
def place(request: pytest.FixtureRequest) -> Place:
    """One object store after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.fixture
def remote(place: Place) -> Lake:
    """An empty lake in an object store."""
    return Lake(f"{place.root}/{uuid.uuid4().hex[:8]}/lake", place.options)
