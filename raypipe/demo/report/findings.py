"""What the figures say, in sentences computed from them, whether they please or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from raypipe.demo.report.figures import SAME_AUC, auc, count, many, millis, share, signed
from raypipe.demo.report.model import DriftCell, Report, Retraining, TableFigures, WeekFigures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

#: Weeks before an alarm with whose mean AUC the week of the alarm is compared.
LOOK_BACK = 4

Tone = Literal["good", "bad", "plain"]
#: A week with its AUC under the first version and under the loop, both known.
Pair = tuple[WeekFigures, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One sentence or two, and whether it speaks for the loop, against it, or neither."""

    tone: Tone
    text: str


def findings(report: Report) -> list[Finding]:
    """All findings, the overall gain first.

    Two AUC count as the same when they differ by less than `figures.SAME_AUC`. Means over weeks are
    weighted by rows.
    """
    weeks = sorted(report.weeks, key=lambda week: week.week_start)
    return [
        *quality(weeks),
        *retrainings(report.retrainings, weeks),
        *alarms(report.drift, report.retrainings, weeks),
        *requests(weeks),
        *data(report.tables),
    ]


def quality(weeks: Sequence[WeekFigures]) -> list[Finding]:
    """Gain of the loop over the first version: overall, by count of weeks, at best and worst."""
    pairs = _pairs(weeks)
    if not pairs:
        return [
            _plain(
                "No week has an AUC for both the first version and the loop, so nothing can be "
                "said about what the loop gained."
            )
        ]
    first = _mean([(week.rows, one) for week, one, _ in pairs])
    loop = _mean([(week.rows, two) for week, _, two in pairs])
    gain = loop - first
    if len(pairs) == 1:
        opening = "In the one week that can be compared, the AUC was"
    else:
        opening = f"Over {len(pairs)} weeks the mean AUC, weighted by rows, was"
    opening += f" {auc(loop)} under the loop and {auc(first)} under the first version: "
    if _same(gain):
        found = [_plain(opening + "the loop made no difference that three decimals show.")]
    elif gain > 0:
        found = [_good(opening + f"the loop gained {auc(gain)}.")]
    else:
        found = [_bad(opening + f"the loop lost {auc(-gain)}.")]
    if len(pairs) > 1:
        found += _by_week(pairs)
    left_out = len(weeks) - len(pairs)
    if left_out:
        verb = "is" if left_out == 1 else "are"
        words = (
            f"{many(left_out, 'week')} without an AUC for both {verb} left out of these figures."
        )
        found.append(_plain(words))
    return found + _baseline(weeks)


def _by_week(pairs: Sequence[Pair]) -> list[Finding]:
    gains = [two - one for _, one, two in pairs]
    same = sum(_same(gain) for gain in gains)
    better = sum(gain > 0 and not _same(gain) for gain in gains)
    worse = len(gains) - same - better
    words = f"The loop was better in {many(better, 'week')}, worse in {worse}, the same in {same}."
    start = min(week.version_in_service for week, _, _ in pairs)
    own = sum(week.version_in_service == start for week, _, _ in pairs)
    if own == len(pairs):
        words += f" Version {start} served in every one of them."
    elif own:
        words += f" In {many(own, 'week')} version {start} was itself what served."
    tone: Tone = "plain" if better == worse else "good" if better > worse else "bad"
    best = max(range(len(pairs)), key=lambda i: gains[i])
    worst = min(range(len(pairs)), key=lambda i: gains[i])
    found = [Finding(tone=tone, text=words)]
    if better:
        found.append(_good(f"Best week: {_week(pairs[best])}."))
    else:
        found.append(_plain("In no week was the loop better."))
    if worse:
        found.append(_bad(f"Worst week: {_week(pairs[worst])}."))
    else:
        found.append(_plain("In no week was the loop worse."))
    return found


def _week(pair: Pair) -> str:
    week, first, loop = pair
    return (
        f"{week.week_start}, {auc(loop)} under the loop against {auc(first)} "
        f"({signed(loop - first)}), with version {week.version_in_service} in service"
    )


def _baseline(weeks: Sequence[WeekFigures]) -> list[Finding]:
    known = [
        (week.rows, week.auc_static_baseline, week.auc_loop)
        for week in weeks
        if week.auc_static_baseline is not None and week.auc_loop is not None
    ]
    if not known:
        return []
    base = _mean([(rows, one) for rows, one, _ in known])
    loop = _mean([(rows, two) for rows, _, two in known])
    gain = loop - base
    words = (
        f"Against the static baseline, over the {many(len(known), 'week')} that have both: "
        f"{auc(loop)} under the loop, {auc(base)} under the baseline ({signed(gain)})."
    )
    return [Finding(tone="plain" if _same(gain) else "good" if gain > 0 else "bad", text=words)]


def retrainings(made: Sequence[Retraining], weeks: Sequence[WeekFigures]) -> list[Finding]:
    """How many there were, which were not promoted, and which promoted ones did not help."""
    if not made:
        words = "There was no retraining"
        if len({week.version_in_service for week in weeks}) == 1:
            words += ", and one version served throughout: any difference above is noise"
        return [_plain(words + ".")]
    promoted = [one for one in made if one.promoted]
    start = "There was one retraining" if len(made) == 1 else f"There were {len(made)} retrainings"
    if len(made) == 1:
        words = f"{start}, and it was {'promoted' if promoted else 'not promoted'}."
    elif len(promoted) in (0, len(made)):
        words = f"{start}, {'all' if promoted else 'none'} promoted."
    else:
        words = f"{start}, of which {len(promoted)} {_were(len(promoted))} promoted."
    found = [_plain(words)]
    found += [_refused(one) for one in made if not one.promoted]
    return found + _after(promoted, weeks)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _refused(one: Retraining) -> Finding:
    subject = (
        "A retraining that gave no version"
        if one.to_version is None
        else f"Version {one.to_version}"
    )
    words = f"{subject} ({one.cause}, week of {one.week}) was not promoted"
    if one.auc_champion is not None and one.auc_candidate is not None:
        words += f": AUC {auc(one.auc_candidate)} against {auc(one.auc_champion)} of version "
        words += f"{one.from_version}"
    return _plain(words + (f" ({one.reason})." if one.reason else "."))


def _after(promoted: Sequence[Retraining], weeks: Sequence[WeekFigures]) -> list[Finding]:
    """Each promoted version against the first one, over the weeks in which it served."""
    found: list[Finding] = []
    judged = 0
    for one in promoted:
        served = [pair for pair in _pairs(weeks) if pair[0].version_in_service == one.to_version]
        if not served:
            found.append(
                _plain(
                    f"Version {one.to_version} was promoted, but no week in which it served has "
                    "an AUC to judge it by."
                )
            )
            continue
        judged += 1
        gain = _mean([(week.rows, loop - first) for week, first, loop in served])
        if gain < 0 and not _same(gain):
            found.append(
                _bad(
                    f"Version {one.to_version} was promoted, yet over its {_served(served)} it was "
                    f"below the first version ({signed(gain)} on average)."
                )
            )
        elif _same(gain):
            found.append(
                _bad(
                    f"Version {one.to_version} was promoted, yet over its {_served(served)} it did "
                    "no better than the first version."
                )
            )
    if judged and not any(one.tone == "bad" for one in found):
        subject = "The promoted version was" if judged == 1 else f"All {judged} promoted versions"
        verb = " " if judged == 1 else " were "
        found.append(
            _good(
                f"{subject}{verb}better than the first one, on average over the weeks in service."
            )
        )
    return found


def _served(pairs: Sequence[Pair]) -> str:
    return many(len(pairs), "week in service", "weeks in service")


def alarms(
    cells: Sequence[DriftCell], made: Sequence[Retraining], weeks: Sequence[WeekFigures]
) -> list[Finding]:
    """Which weeks had an alarm, which started a retraining, and which were false or of no use.

    An alarm is called false here when the AUC under the loop was not below its mean over the
    `LOOK_BACK` weeks before: the data had moved, and the answers had not suffered.
    """
    if not cells:
        return []
    raised = sorted({cell.week_start for cell in cells if cell.raised})
    if not raised:
        words = "No drift alarm was raised."
        return [_plain(words)]
    columns = sorted({cell.column for cell in cells if cell.raised})
    asked = {one.week for one in made}
    started = sum(week in asked for week in raised)
    words = f"Drift alarms were raised in {many(len(raised), 'week')}, for {_list(columns)}; "
    words += f"{_started(started, len(raised))}."
    found = [_plain(words)]
    useless = [one for one in made if not one.promoted and one.week in set(raised)]
    if useless:
        found.append(
            _plain(
                f"{many(len(useless), 'alarm')} led to a retraining that brought no version into "
                "service."
            )
        )
    return found + _false(raised, weeks)


def _false(raised: Sequence[date], weeks: Sequence[WeekFigures]) -> list[Finding]:
    known = [(week.week_start, week.auc_loop) for week in weeks if week.auc_loop is not None]
    judged, unharmed = 0, 0
    for day in raised:
        now = [value for start, value in known if start == day]
        before = [value for start, value in known if start < day][-LOOK_BACK:]
        if not now or not before:
            continue
        judged += 1
        unharmed += now[0] >= sum(before) / len(before)
    if not judged:
        return [_plain("Whether the alarms were false cannot be told: no week has an AUC for it.")]
    if not unharmed:
        return [
            _good(
                f"In {'the one week' if judged == 1 else f'all {judged} weeks'} with an alarm that "
                f"can be judged, the AUC had fallen below its mean of the {LOOK_BACK} weeks "
                "before: no alarm was false."
            )
        ]
    return [
        _bad(
            f"Of {many(judged, 'week')} with an alarm that can be judged, {unharmed} showed no "
            f"harm (the AUC was not below its mean of the {LOOK_BACK} weeks before): by that "
            f"measure {many(unharmed, 'false alarm')}."
        )
    ]


def requests(weeks: Sequence[WeekFigures]) -> list[Finding]:
    """Requests answered and failed, and the slowest week."""
    total = sum(week.requests for week in weeks)
    if not total:
        return []
    failed = sum(week.failed for week in weeks)
    if failed:
        found = [
            _bad(f"{count(failed)} of {many(total, 'request')} failed ({share(failed / total)}).")
        ]
    else:
        found = [_good(f"None of {many(total, 'request')} failed.")]
    slow = [(week.p99_ms, week.week_start) for week in weeks if week.p99_ms is not None]
    if slow:
        worst, day = max(slow)
        found.append(
            _plain(f"The slowest week by 99th percentile was {day}, with {millis(worst)}.")
        )
    return found


def data(tables: Sequence[TableFigures]) -> list[Finding]:
    """Rows that broke an expectation and were set aside."""
    came = sum(table.rows_in for table in tables)
    aside = sum(table.quarantined for table in tables)
    if not came:
        return []
    if not aside:
        return [_plain(f"No row of {count(came)} was quarantined.")]
    words = f"{count(aside)} of {many(came, 'row')} {_were(aside)} quarantined"
    return [_plain(f"{words} ({share(aside / came)}).")]


def _pairs(weeks: Sequence[WeekFigures]) -> list[Pair]:
    return [
        (week, week.auc_first, week.auc_loop)
        for week in weeks
        if week.auc_first is not None and week.auc_loop is not None
    ]


def _mean(weighted: Sequence[tuple[int, float]]) -> float:
    """The mean by weight; the plain one when no weight is known."""
    total = sum(weight for weight, _ in weighted)
    if not total:
        return sum(value for _, value in weighted) / len(weighted)
    return sum(weight * value for weight, value in weighted) / total


def _same(gain: float) -> bool:
    return abs(gain) < SAME_AUC


def _started(part: int, whole: int) -> str:
    if whole == 1:
        return "a retraining started then" if part else "no retraining started then"
    if part in (0, whole):
        return f"a retraining started in {'all' if part else 'none'} of them"
    return f"a retraining started in {part} of them"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"


def _good(text: str) -> Finding:
    return Finding(tone="good", text=text)


def _bad(text: str) -> Finding:
    return Finding(tone="bad", text=text)


def _plain(text: str) -> Finding:
    return Finding(tone="plain", text=text)
