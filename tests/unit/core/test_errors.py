"""Every error keeps its class, its message and its fields, wherever it is caught."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from raypipe.core import errors
from raypipe.core.errors import RaypipeError, RequestError

ALL = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, RaypipeError)
]
FIELDS = ("what", "got", "act", "field", "fault", "retryable", "status")


def _make(kind: type[RaypipeError]) -> RaypipeError:
    return kind("it broke", 41.5, "Mend it.", "column")


def _state(error: BaseException) -> dict[str, object]:
    return {"text": str(error), **{name: getattr(error, name, None) for name in FIELDS}}


@pytest.mark.parametrize("kind", ALL)
def test_an_error_survives_pickle_and_copy(kind: type[RaypipeError]) -> None:
    error = _make(kind)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert _state(twin) == _state(error)


def test_every_error_crosses_a_ray_process_boundary(ray_session: None) -> None:
    import ray

    @ray.remote(max_retries=0)
    def fail(error: RaypipeError) -> None:
        raise error

    for kind in ALL:
        error = _make(kind)
        with pytest.raises(kind) as caught:
            ray.get(fail.remote(error))
        # Ray raises a class of its own that is also this one; the error itself is its cause.
        original = caught.value.cause
        assert type(original) is kind
        assert _state(original) == _state(error)
        for name in FIELDS:
            assert getattr(caught.value, name, None) == getattr(error, name, None)
        assert str(error) in str(caught.value)


@pytest.mark.parametrize("kind", ALL)
def test_the_tree_names_every_class_below_its_parent(kind: type[RaypipeError]) -> None:
    tree = (errors.__doc__ or "").splitlines()
    (line,) = [line for line in tree if re.search(rf"\b{kind.__name__}\b", line)]
    parent = kind.__bases__[0]
    if kind is RaypipeError:
        return
    above = tree[: tree.index(line)]
    depth = len(re.match(r"[│├└─ ]*", line)[0])  # type: ignore[index]
    nearest = next(
        other
        for other in reversed(above)
        if len(re.match(r"[│├└─ ]*", other)[0]) < depth  # type: ignore[index]
    )
    assert parent.__name__ in nearest
    builtins = [base.__name__ for base in kind.__bases__[1:]]
    assert all(f"({name})" in line for name in builtins)


@pytest.mark.parametrize("kind", ALL)
def test_a_name_ends_with_error_and_tells_whose_fault_it_was(kind: type[RaypipeError]) -> None:
    assert kind.__name__.endswith("Error")
    assert kind.__doc__
    assert kind.fault in ("user", "system")
    assert kind.retryable in (True, False)


def test_a_message_says_what_it_got_and_the_next_act() -> None:
    assert str(RaypipeError("no such column", "'disance'", "Did you mean 'distance'?")) == (
        "no such column: got 'disance'. Did you mean 'distance'?"
    )
    assert str(RaypipeError("no such column")) == "no such column"
    assert str(RaypipeError("bad", 5)) == "bad: got 5"


def test_a_request_error_has_a_status() -> None:
    assert RequestError("too large", status=413).status == 413
    assert pickle.loads(pickle.dumps(RequestError("too large", status=413))).status == 413
