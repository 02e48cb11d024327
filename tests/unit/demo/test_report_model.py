"""The report's records: JSON and back, and what they refuse."""

from __future__ import annotations

import json
import math
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError
from raypipe.demo.report import (
    LineageEdge,
    LineageNode,
    Report,
    Retraining,
    Stage,
    VersionFigures,
    WeekFigures,
)

CREATED = datetime(2026, 11, 22, 14, 5, 0, 123456)


def report(**parts: object) -> Report:
    return Report(title="t", created=CREATED, lake="lake", machine="m", **parts)


def week(auc: float | None, number: int = 1) -> WeekFigures:
    return WeekFigures(
        week_start=date(2013, 4, 1),
        rows=10,
        auc_first=auc,
        auc_loop=0.7,
        version_in_service=number,
    )


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1), st.just(math.nan)), max_size=4),
    st.text(max_size=20),
    st.dates(),
)
def test_a_report_comes_back_from_json_as_it_was(
    aucs: list[float | None], name: str, day: date
) -> None:
    made = report(
        weeks=tuple(week(one) for one in aucs),
        retrainings=(
            Retraining(
                cause=name,
                columns=(name, "b"),
                week=day,
                from_version=1,
                to_version=None,
                promoted=False,
            ),
        ),
        nodes=(LineageNode(id="a", kind="table", label=name),),
        edges=(LineageEdge(source="a", target="a"),),
    )

    assert Report.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False))) == made


def test_not_a_number_is_not_known() -> None:
    assert week(math.nan) == week(None)
    assert week(math.inf).auc_first is None


def test_a_figure_that_must_be_there_must_be_finite() -> None:
    with pytest.raises(ConfigError, match=r"Stage\.seconds is not a finite number") as caught:
        Stage(name="s", seconds=math.nan)
    assert caught.value.field == "seconds"


def test_a_moment_in_a_field_for_days_becomes_its_day() -> None:
    version = VersionFigures(
        version=1,
        trained_from=datetime(2013, 1, 1, 5),
        trained_until=date(2013, 3, 31),
        rows=1,
        model_hash="00",
        in_service_from=datetime(2013, 4, 1, 8, 30),
    )

    assert version.trained_from == date(2013, 1, 1)
    assert version.in_service_from == date(2013, 4, 1)
    assert report().created == CREATED


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"weeks": 3}, "weeks"),
        ({"weeks": [3]}, "weeks[0]"),
        ({"weeks": [week(0.5).to_dict() | {"rows": "many"}]}, "weeks[0].rows"),
        ({"weeks": [week(0.5).to_dict() | {"rows": True}]}, "weeks[0].rows"),
        ({"weeks": [week(0.5).to_dict() | {"rows": None}]}, "weeks[0].rows"),
        ({"weeks": [week(0.5).to_dict() | {"week_start": "monday"}]}, "weeks[0].week_start"),
        ({"weeks": [week(0.5).to_dict() | {"week_start": 5}]}, "weeks[0].week_start"),
        ({"weeks": [{"rows": 1}]}, "weeks[0].week_start"),
        ({"nodes": [{"id": "a", "kind": "cloud", "label": ""}]}, "nodes[0].kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_not_a_report_is_refused_by_its_path(change: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Report.from_dict(report().to_dict() | change)
    assert caught.value.field == field


def test_a_whole_number_may_stand_for_a_figure() -> None:
    assert Stage.from_dict({"name": "s", "seconds": 3}).seconds == 3.0


def test_edges_need_their_nodes_and_nodes_their_own_ids() -> None:
    node = LineageNode(id="a", kind="run", label="a")
    with pytest.raises(ConfigError, match="names a node that is not there: got b"):
        report(nodes=(node,), edges=(LineageEdge(source="a", target="b"),))
    with pytest.raises(ConfigError, match="share an id: got a"):
        report(nodes=(node, node))
