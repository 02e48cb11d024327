from __future__ import annotations

import pytest

from raypipe.core.errors import RequestError
from raypipe.serving.routes import Route, check_content, check_method, find_route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/predict/m", Route(kind="predict")),
        ("/v2", Route(kind="server")),
        ("/v2/", Route(kind="server")),
        ("/v2/health/live", Route(kind="live")),
        ("/v2/health/ready", Route(kind="ready")),
        ("/v2/models/m", Route(kind="model")),
        ("/v2/models/m/ready", Route(kind="model_ready")),
        ("/v2/models/m/infer", Route(kind="infer")),
        ("/v2/models/m/versions/3", Route(kind="model", version=3)),
        ("/v2/models/m/versions/3/ready", Route(kind="model_ready", version=3)),
        ("/v2/models/m/versions/3/infer", Route(kind="infer", version=3)),
    ],
)
def test_each_question_has_a_path(path: str, route: Route) -> None:
    assert find_route(path, "m") == route


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/", None),
        ("/v2/models", None),
        ("/predict", None),
        ("/predict/m/x", None),
        ("/v2/models/m/versions", None),
        ("/v2/models/m/train", None),
        ("/predict/other", "model"),
        ("/v2/models/other/infer", "model"),
        ("/v2/models/m/versions/0", "version"),
        ("/v2/models/m/versions/²", "version"),
        ("/v2/models/m/versions/latest/infer", "version"),
    ],
)
def test_another_path_is_404(path: str, field: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        find_route(path, "m")
    assert (caught.value.status, caught.value.field) == (404, field)


def test_another_method_is_405() -> None:
    check_method(Route(kind="predict"), "POST")
    for kind, method in (("predict", "GET"), ("model", "POST"), ("infer", "PUT")):
        with pytest.raises(RequestError) as caught:
            check_method(Route(kind=kind), method)  # type: ignore[arg-type]
        assert caught.value.status == 405


def test_another_type_of_content_is_415() -> None:
    for accepted in (
        None,
        "application/json",
        "application/json; charset=utf-8",
        "application/x+json",
    ):
        check_content(accepted, None)
    for kind, encoding in (
        ("text/plain", None),
        ("application/octet-stream", None),
        (None, "gzip"),
    ):
        with pytest.raises(RequestError) as caught:
            check_content(kind, encoding)
        assert caught.value.status == 415
