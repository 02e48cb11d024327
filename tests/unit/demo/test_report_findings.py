"""The sentences: right in good years and in bad ones."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from raypipe.demo.report import (
    DriftCell,
    Finding,
    Report,
    Retraining,
    TableFigures,
    WeekFigures,
    findings,
)
from raypipe.demo.report.findings import alarms, data, quality, requests, retrainings

FIRST = date(2013, 4, 1)


def day(number: int) -> date:
    return FIRST + timedelta(weeks=number)


def weeks(*figures: tuple[float | None, float | None], version: int = 2) -> list[WeekFigures]:
    return [
        WeekFigures(
            week_start=day(i), rows=100, auc_first=first, auc_loop=loop, version_in_service=version
        )
        for i, (first, loop) in enumerate(figures)
    ]


def retraining(
    number: int, to: int | None, *, promoted: bool = True, reason: str = ""
) -> Retraining:
    return Retraining(
        cause="drift",
        week=day(number),
        from_version=1,
        to_version=to,
        promoted=promoted,
        reason=reason,
    )


def texts(found: list[Finding]) -> list[str]:
    return [one.text.replace("\u00a0", " ") for one in found]


def test_a_gain_is_told_with_its_bad_weeks() -> None:
    made = weeks((0.70, 0.74), (0.70, 0.69), (0.70, 0.70))
    made[0] = replace(made[0], version_in_service=1)

    assert texts(quality(made)) == [
        (
            "Over 3 weeks the mean AUC, weighted by rows, was 0.710 under the loop and 0.700 under "
            "the first version: the loop gained 0.010."
        ),
        (
            "The loop was better in 1 week, worse in 1, the same in 1. In 1 week version 1 was "
            "itself what served."
        ),
        (
            "Best week: 2013-04-01, 0.740 under the loop against 0.700 (+0.040), with version 1 in "
            "service."
        ),
        (
            "Worst week: 2013-04-08, 0.690 under the loop against 0.700 (\u22120.010), with "
            "version 2 in service."
        ),
    ]
    assert [one.tone for one in quality(made)] == ["good", "plain", "good", "bad"]


def test_a_loss_is_called_a_loss() -> None:
    found = quality(weeks((0.70, 0.69), (0.70, 0.66)))

    assert texts(found)[0].endswith("the loop lost 0.025.")
    assert found[0].tone == found[1].tone == "bad"
    assert "better in 0 weeks, worse in 2, the same in 0." in texts(found)[1]
    assert texts(found)[2] == "In no week was the loop better."


def test_no_difference_is_called_none() -> None:
    found = quality(weeks((0.70, 0.70), (0.70, 0.7003)))

    assert texts(found)[0].endswith("the loop made no difference that three decimals show.")
    assert texts(found)[1:] == [
        (
            "The loop was better in 0 weeks, worse in 0, the same in 2. Version 2 served in every "
            "one of them."
        ),
        "In no week was the loop better.",
        "In no week was the loop worse.",
    ]
    assert {one.tone for one in found} == {"plain"}


def test_the_mean_is_weighted_by_rows() -> None:
    made = weeks((0.60, 0.70), (0.60, 0.60))
    made[0] = replace(made[0], rows=300)
    none = [replace(one, rows=0) for one in made]

    assert "was 0.675 under the loop" in texts(quality(made))[0]
    assert "was 0.650 under the loop" in texts(quality(none))[0]


def test_weeks_without_an_auc_are_left_out_and_said_so() -> None:
    assert texts(quality(weeks((None, 0.7), (0.7, None)))) == [
        (
            "No week has an AUC for both the first version and the loop, so nothing can be said "
            "about what the loop gained."
        )
    ]
    found = texts(quality(weeks((0.7, 0.71), (0.7, None))))
    assert found == [
        (
            "In the one week that can be compared, the AUC was 0.710 under the loop and 0.700 "
            "under the first version: the loop gained 0.010."
        ),
        "1 week without an AUC for both is left out of these figures.",
    ]


def test_the_static_baseline_may_win() -> None:
    made = [replace(one, auc_static_baseline=0.75) for one in weeks((0.7, 0.72), (0.7, 0.74))]
    last = quality(made)[-1]

    assert last.tone == "bad"
    assert "over the 2 weeks that have both" in last.text
    assert "(\u22120.020)" in last.text


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_every_week_is_counted_once(figures: list[tuple[float, float]]) -> None:
    words = texts(quality(weeks(*figures)))[1]
    numbers = re.match(
        r"The loop was better in (\d+) weeks?, worse in (\d+), the same in (\d+)", words
    )

    assert numbers is not None
    assert sum(map(int, numbers.groups())) == len(figures)


def test_no_retraining() -> None:
    assert texts(retrainings([], weeks((0.7, 0.7), version=1))) == [
        "There was no retraining, and one version served throughout: any difference above is noise."
    ]
    assert texts(retrainings([], [])) == ["There was no retraining."]


def test_retrainings_that_were_not_promoted_are_named() -> None:
    refused = Retraining(
        cause="performance",
        week=day(1),
        from_version=1,
        to_version=2,
        promoted=False,
        reason="below the champion",
        auc_champion=0.72,
        auc_candidate=0.71,
    )
    lost = retraining(3, None, promoted=False, reason="the run failed")

    assert texts(retrainings([refused, lost], [])) == [
        "There were 2 retrainings, none promoted.",
        (
            "Version 2 (performance, week of 2013-04-08) was not promoted: AUC 0.710 against 0.720 "
            "of version 1 (below the champion)."
        ),
        (
            "A retraining that gave no version (drift, week of 2013-04-22) was not promoted (the "
            "run failed)."
        ),
    ]
    assert texts(retrainings([lost], []))[0] == (
        "There was one retraining, and it was not promoted."
    )


def test_a_promoted_version_that_did_not_help_is_told() -> None:
    worse, same = weeks((0.70, 0.66), (0.70, 0.68)), weeks((0.7, 0.7))

    assert texts(retrainings([retraining(0, 2)], worse)) == [
        "There was one retraining, and it was promoted.",
        (
            "Version 2 was promoted, yet over its 2 weeks in service it was below the first "
            "version (\u22120.030 on average)."
        ),
    ]
    assert texts(retrainings([retraining(0, 2)], same))[1] == (
        "Version 2 was promoted, yet over its 1 week in service it did no better than the first "
        "version."
    )
    assert texts(retrainings([retraining(0, 9)], same))[1] == (
        "Version 9 was promoted, but no week in which it served has an AUC to judge it by."
    )


def test_promoted_versions_that_helped() -> None:
    better = weeks((0.70, 0.72))
    also = [replace(one, version_in_service=3, week_start=day(5)) for one in better]

    assert texts(retrainings([retraining(0, 2)], better))[1] == (
        "The promoted version was better than the first one, on average over the weeks in service."
    )
    both = retrainings([retraining(0, 2), retraining(4, 3)], better + also)
    assert texts(both) == [
        "There were 2 retrainings, all promoted.",
        (
            "All 2 promoted versions were better than the first one, on average over the weeks in "
            "service."
        ),
    ]
    mixed = [retraining(0, 2), retraining(4, 3, promoted=False)]
    assert texts(retrainings(mixed, better))[0] == (
        "There were 2 retrainings, of which 1 was promoted."
    )


def cell(number: int, column: str = "temp", *, raised: bool = True) -> DriftCell:
    return DriftCell(week_start=day(number), column=column, psi=0.2, raised=raised)


def test_alarms_without_harm_are_called_false() -> None:
    made = weeks((0.7, 0.70), (0.7, 0.71), (0.7, 0.60), (0.7, 0.60))
    found = alarms([cell(1), cell(1, "dewp"), cell(2)], [retraining(2, 2, promoted=False)], made)

    assert texts(found) == [
        (
            "Drift alarms were raised in 2 weeks, for dewp and temp; a retraining started in 1 of "
            "them."
        ),
        "1 alarm led to a retraining that brought no version into service.",
        (
            "Of 2 weeks with an alarm that can be judged, 1 showed no harm (the AUC was not below "
            "its mean of the 4 weeks before): by that measure 1 false alarm."
        ),
    ]
    assert found[-1].tone == "bad"


def test_alarms_that_were_right_and_alarms_that_nobody_can_judge() -> None:
    made = weeks((0.7, 0.70), (0.7, 0.65))

    right = alarms([cell(1)], [retraining(1, 2)], made)
    assert texts(right) == [
        "Drift alarms were raised in 1 week, for temp; a retraining started then.",
        (
            "In the one week with an alarm that can be judged, the AUC had fallen below its mean "
            "of the 4 weeks before: no alarm was false."
        ),
    ]
    assert right[-1].tone == "good"
    first = alarms([cell(0)], [], made)
    assert texts(first)[0].endswith("no retraining started then.")
    assert texts(first)[1].startswith("Whether the alarms were false cannot be told")


def test_no_alarm_and_no_monitor() -> None:
    assert texts(alarms([cell(0, raised=False)], [], [])) == ["No drift alarm was raised."]
    assert alarms([], [], []) == []


def test_requests_and_rows() -> None:
    (one,) = weeks((0.7, 0.7))
    good = replace(one, requests=1000, p99_ms=5.25)
    bad = replace(good, failed=1, p99_ms=None)

    assert texts(requests([good])) == [
        "None of 1,000 requests failed.",
        "The slowest week by 99th percentile was 2013-04-01, with 5.25 ms.",
    ]
    assert texts(requests([bad])) == ["1 of 1,000 requests failed (0.1 %)."]
    assert requests([one]) == []
    assert texts(data([TableFigures(name="t", rows_in=10, rows=10)])) == [
        "No row of 10 was quarantined."
    ]
    assert texts(data([TableFigures(name="t", rows_in=10, rows=8, quarantined=2)])) == [
        "2 of 10 rows were quarantined (20.0 %)."
    ]


def test_an_empty_report_says_only_what_is_so() -> None:
    empty = Report(title="t", created=datetime(2026, 1, 1), lake="l", machine="m")

    assert len(findings(empty)) == 2
