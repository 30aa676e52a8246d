"""View: everything a report shows about a run, ready to be laid out, for Markdown and HTML alike. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import quote

import msgspec

from tokgate.config.words import ABSENT, format_count, format_duration, format_figures, format_time
from tokgate.judge.conclusion import draw_conclusions
from tokgate.judge.coverage import plan_hypothesis
from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import Weight
from tokgate.measure.measurement import Measurement
from tokgate.report.badge import Badge, make_badge
from tokgate.report.boxes import Across, compare_boxes
from tokgate.report.headline import Headline, make_headline
from tokgate.report.host import HostActivity, collect_host_activity
from tokgate.report.latency import Latency, collect_latencies
from tokgate.report.later import describe_last
from tokgate.report.roofline import collect_rooflines, describe_bandwidth_shares, describe_limits
from tokgate.report.rows import (
    HYPOTHESIS_COLUMNS,
    VERDICT_COLUMNS,
    ExperimentRow,
    Row,
    make_experiment_rows,
    make_verdict_rows,
)
from tokgate.report.trend import Mark, Trend, Turn, collect_marks, collect_trends, collect_turns, list_changes
from tokgate.report.trust import TRUST_COLUMNS, TrustRow
from tokgate.store.history import Series
from tokgate.store.runs import RECORD, Box, RunRecord, group_launches, list_runs

COLUMNS = {"verdicts": VERDICT_COLUMNS, "hypotheses": HYPOTHESIS_COLUMNS, "trust": TRUST_COLUMNS}
"""The columns of each table that HTML and Markdown show."""

_FILES = (RECORD, "junit.xml", "benchmark.json")


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not checked, and why. items: of several things with one reason, their names."""

    what: str
    why: str
    items: tuple[str, ...] = ()


class LaunchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. figures: its gated metrics; log: the link to its server's log, empty if none."""

    run: Measurement
    figures: str
    startup: str
    engine: str
    log: str


class BoxReport(msgspec.Struct, frozen=True, kw_only=True):
    """One box of a run over many. key: its place in the page; place: the path of its own record."""

    key: str
    host: str
    place: str
    report: Report


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run as its report shows it.

    counts: the number of verdicts with each outcome.
    limits: what the roofline columns of `rows` are shares of.
    conclusions: what follows from the experiments together.
    turns: the change points of all trends, the open ones first.
    marks: what changed in machine or servers between the runs of the trends, by time.
    machine: the fingerprint as (key, value, what a difference in it means); changed: since the run before.
    files: (name, link) of the files next to the record.
    boxes: of a run on several boxes, each as its own report shows it; across: them side by side, if there are two.
    """

    run_id: str
    started: str
    took: str
    profile: str
    command: str
    state: Badge
    headline: Headline
    counts: tuple[tuple[Badge, int], ...]
    rows: tuple[Row, ...]
    limits: tuple[str, ...]
    experiments: tuple[ExperimentRow, ...]
    conclusions: tuple[str, ...]
    trust: tuple[TrustRow, ...]
    trends: tuple[Trend, ...]
    turns: tuple[Turn, ...]
    marks: tuple[Mark, ...]
    changed: tuple[str, ...]
    latencies: tuple[Latency, ...]
    host: HostActivity
    launches: tuple[LaunchRow, ...]
    not_checked: tuple[Gap, ...]
    machine: tuple[tuple[str, str, str], ...]
    files: tuple[tuple[str, str], ...]
    boxes: tuple[BoxReport, ...] = ()
    across: Across | None = None


def build_view(
    record: RunRecord,
    history: Sequence[Series] = (),
    *,
    folder: str | None = "",
    unread: Sequence[str] = (),
    running: bool = False,
) -> Report:
    """What to show about `record`.

    history: series that may hold this run. folder: the path from the report to the run's folder, for links (empty:
    the report is in that folder; None: the run is on another machine). unread: records of the history that cannot be
    read, each with the reason. running: whether the run is still in progress.
    """
    counts = Counter(verdict.outcome for run in list_runs(record) for verdict in run.verdicts)
    activity = collect_host_activity(record.measurements)
    series, unsearched = collect_trends(record, history)
    turns = collect_turns(series)
    first = make_headline(record, [turn for turn in turns if turn.open], running=running)
    return Report(
        run_id=record.run_id,
        started=format_time(record.started) + " UTC",
        took="running, so far" if running else _describe_time(record),
        profile=record.profile,
        command=" ".join(record.command),
        state=make_badge(first.state),
        headline=first,
        counts=tuple((make_badge(outcome), counts[outcome]) for outcome in Outcome if counts[outcome]),
        rows=make_verdict_rows(record),
        limits=(*describe_limits(collect_rooflines(record)), *describe_bandwidth_shares(record)),
        experiments=make_experiment_rows(record),
        conclusions=draw_conclusions(record.conclusions, record.verdicts),
        trust=tuple(TrustRow(*case) for case in group_launches(record.measurements).items()),
        trends=series,
        turns=turns,
        marks=collect_marks(series),
        changed=list_changes(record, history),
        latencies=collect_latencies(record.measurements),
        host=activity,
        launches=tuple(_make_launch_row(run, folder) for run in record.measurements),
        not_checked=_list_gaps(record, activity, unsearched, unread),
        machine=tuple(
            (key, "unknown" if fact.value is None else str(fact.value), _MEANS[fact.weight])
            for key, fact in record.fingerprint.facts.items()
        ),
        files=() if folder is None else tuple((name, make_link(folder, name)) for name in _FILES),
        boxes=tuple(
            BoxReport(
                key=f"box{at}-",
                host=box.host,
                place=box.place,
                report=build_view(box.record, history, folder=_within(folder, box)),
            )
            for at, box in enumerate(record.boxes, start=1)
        ),
        across=compare_boxes(record),
    )


_MEANS = {
    Weight.MUST_MATCH: "a different value means a different machine",
    Weight.MAY_DIFFER: "may explain a change",
    Weight.INFORMATION: "for information",
}


def make_link(folder: str, *parts: str) -> str:
    """A relative link that can only be a path, whatever the names contain."""
    steps = [step for step in PurePosixPath(folder, *parts).parts if step.strip("/")]
    return "./" + quote("/".join(steps))


def _describe_time(record: RunRecord) -> str:
    if record.ended is None:
        return "cut off"
    seconds = (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()
    if seconds < 0:
        return "ended before it began: the clock was set back"
    return f"took {format_duration(seconds)}"


def _within(folder: str | None, box: Box) -> str | None:
    """The path to a box's own run: that of a daemon on this machine is in the run's folder."""
    if folder is None or box.place.startswith("ssh://"):
        return None
    return str(PurePosixPath(folder, box.record.run_id))


def _make_launch_row(run: Measurement, folder: str | None) -> LaunchRow:
    facts = run.facts
    log = PurePosixPath(facts.log_path).name if facts.log_path else ""
    return LaunchRow(
        run=run,
        figures=format_figures(run.gated),
        startup=ABSENT if facts.startup_s is None else format_duration(facts.startup_s),
        engine=" ".join(filter(None, (facts.engine, facts.engine_version))),
        log=make_link(folder, "logs", log) if log and folder is not None else "",
    )


def _list_gaps(record: RunRecord, activity: HostActivity, unsearched: str, unread: Sequence[str]) -> tuple[Gap, ...]:
    """What this run does not vouch for, and why."""
    gaps = [Gap(what=what, why=why) for text in record.not_checked for what, _, why in (text.partition(": "),)]
    gaps += _list_undecided(record)
    if record.later:
        items = tuple(f"{later.name}: {describe_last(later, record.started)}" for later in record.later)
        why = "the budget had no time for it; a later run measures it"
        gaps.append(Gap(what="left for later", why=why, items=items))
    listed = {verdict.hypothesis for verdict in record.verdicts} | {later.name for later in record.later}
    missing = {each.name for each in record.missing}
    untested = tuple(
        each.name
        for each in record.hypotheses
        if each.name not in listed and plan_hypothesis(each.name).name not in missing
    )
    if untested:
        gaps.append(Gap(what="hypotheses", why="declared, but not tested in this run", items=untested))
    if activity.unknown:
        gaps.append(Gap(what="host sensors", why="this machine does not provide them", items=activity.unknown))
    if not record.boxes and not any(run.roofline for run in record.measurements):
        why = "the profile names no chip, or no server's YAML states `bytes_per_token`"
        gaps.append(Gap(what="share of the roofline", why=why))
    if unsearched:
        gaps.append(Gap(what="change points of the trends", why=unsearched))
    gaps += [Gap(what="a record in the history", why=why) for why in unread]
    return tuple(gaps)


def _list_undecided(record: RunRecord) -> list[Gap]:
    """What was measured but not checked, together where the reason is the same or is given with the verdict."""
    groups: dict[tuple[Outcome, str], list[str]] = {}
    for verdict in record.verdicts:
        if verdict.outcome in (Outcome.NO_BASELINE, Outcome.INCONCLUSIVE, Outcome.INVALID):
            why = verdict.reason if verdict.outcome is Outcome.NO_BASELINE else ""
            about = verdict.hypothesis or f"{verdict.server} {verdict.workload} {verdict.metric}"
            groups.setdefault((verdict.outcome, why), []).append(about)
    return [
        Gap(
            what=f"{format_count(len(names), 'figure')} without a baseline"
            if outcome is Outcome.NO_BASELINE
            else format_count(len(names), f"{outcome} verdict"),
            why=why or "see the reason of each verdict",
            items=tuple(names),
        )
        for (outcome, why), names in groups.items()
    ]
