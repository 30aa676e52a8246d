"""View: all that a report shows of a run, ready to be laid out. Pure; Markdown and HTML show the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import quote

import msgspec

from tokgate.config.words import ABSENT, format_duration, format_figure, format_time
from tokgate.judge.conclusion import drawn
from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import Weight
from tokgate.measure.measurement import Measurement
from tokgate.report.badge import Badge, badge
from tokgate.report.boxes import Across, across
from tokgate.report.headline import Headline, headline
from tokgate.report.host import Host, host
from tokgate.report.latency import Latency, latencies
from tokgate.report.rows import Experiment, Row, experiments, rows
from tokgate.report.trend import Mark, Trend, Turn, all_turns, marks, since_last, trends
from tokgate.report.trust import Trust, trusted
from tokgate.store.history import Series
from tokgate.store.runs import RECORD, Box, RunRecord, list_runs

_FILES = (RECORD, "junit.xml", "benchmark.json")


class Count(msgspec.Struct, frozen=True):
    """How often an outcome was given."""

    badge: Badge
    count: int


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. figures: its gated metrics; log: the link to its server's log, empty if none."""

    server: str
    workload: str
    launch: int
    valid: bool
    problems: tuple[str, ...]
    figures: str
    startup: str
    engine: str
    log: str


class BoxReport(msgspec.Struct, frozen=True, kw_only=True):
    """One box of a run over many. key: its place in the page; place: where its own record lies."""

    key: str
    host: str
    place: str
    report: Report


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run as its report shows it.

    conclusions: what follows from the experiments together.
    turns: the change points of all trends, the open ones first.
    marks: what changed in machine or servers between the runs of the trends, by time.
    machine: the fingerprint as (key, value, what a difference in it means); changed: since the run before.
    not_checked: (what, why). files: (name, link) of what lies beside the record.
    boxes: of a run over many, each as its own report shows it; across: them side by side, where there are two.
    """

    run_id: str
    started: str
    took: str
    profile: str
    command: str
    state: Badge
    headline: Headline
    counts: tuple[Count, ...]
    rows: tuple[Row, ...]
    experiments: tuple[Experiment, ...]
    conclusions: tuple[str, ...]
    trust: tuple[Trust, ...]
    trends: tuple[Trend, ...]
    turns: tuple[Turn, ...]
    marks: tuple[Mark, ...]
    changed: tuple[str, ...]
    latencies: tuple[Latency, ...]
    host: Host
    launches: tuple[Launch, ...]
    not_checked: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str, str], ...]
    files: tuple[tuple[str, str], ...]
    boxes: tuple[BoxReport, ...] = ()
    across: Across | None = None


def view(
    record: RunRecord,
    history: Sequence[Series] = (),
    *,
    folder: str | None = "",
    unread: Sequence[str] = (),
) -> Report:
    """What to show of `record`.

    history: series that may hold this run; folder: the way from the report to the run's folder, for links
    (empty: they lie side by side; None: it is on another machine); unread: records of the history that cannot be
    read, each with why.
    """
    seen = Counter(one.outcome for run in list_runs(record) for one in run.verdicts)
    watched = host(record.measurements)
    series, unsearched = trends(record, history)
    turns = all_turns(series)
    said = headline(record, [turn for turn in turns if turn.open])
    return Report(
        run_id=record.run_id,
        started=format_time(record.started) + " UTC",
        took=_took(record),
        profile=record.profile,
        command=" ".join(record.command),
        state=badge(said.state),
        headline=said,
        counts=tuple(Count(badge(outcome), seen[outcome]) for outcome in Outcome if seen[outcome]),
        rows=rows(record),
        experiments=experiments(record),
        conclusions=drawn(record.conclusions, record.verdicts),
        trust=trusted(record.measurements),
        trends=series,
        turns=turns,
        marks=marks(series),
        changed=since_last(record, history),
        latencies=latencies(record.measurements),
        host=watched,
        launches=tuple(_launch(one, folder) for one in record.measurements),
        not_checked=_not_checked(record, watched, unsearched, unread),
        machine=tuple(
            (key, "unknown" if fact.value is None else str(fact.value), _MEANS[fact.weight])
            for key, fact in record.fingerprint.facts.items()
        ),
        files=() if folder is None else tuple((name, link(folder, name)) for name in _FILES),
        boxes=tuple(
            BoxReport(
                key=f"box{at}-",
                host=box.host,
                place=box.place,
                report=view(box.record, history, folder=_within(folder, box)),
            )
            for at, box in enumerate(record.boxes, start=1)
        ),
        across=across(record),
    )


_MEANS = {
    Weight.MUST_MATCH: "another value is another machine",
    Weight.MAY_DIFFER: "a suspect when it changes",
    Weight.TOLD: "for information",
}


def link(folder: str, *parts: str) -> str:
    """A relative link that is a path and can be nothing else, whatever the names hold."""
    steps = [step for step in PurePosixPath(folder, *parts).parts if step.strip("/")]
    return "./" + quote("/".join(steps))


def _took(record: RunRecord) -> str:
    if record.ended is None:
        return "was cut off"
    seconds = (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()
    if seconds < 0:
        return "ended before it began, by a clock that was set back"
    return f"took {format_duration(seconds)}"


def _within(folder: str | None, box: Box) -> str | None:
    """The way to a box's own run: an engine's of this machine lies in the run's folder."""
    if folder is None or box.place.startswith("ssh://"):
        return None
    return str(PurePosixPath(folder, box.record.run_id))


def _launch(one: Measurement, folder: str | None) -> Launch:
    facts = one.facts
    log = PurePosixPath(facts.log_path).name if facts.log_path else ""
    return Launch(
        server=one.server,
        workload=one.workload,
        launch=one.launch,
        valid=one.valid,
        problems=tuple(f"{problem.rule}: {problem.detail}" for problem in one.problems),
        figures=", ".join(f"{name} {format_figure(name, value)}" for name, value in one.gated.items()),
        startup=ABSENT if facts.startup_s is None else format_duration(facts.startup_s),
        engine=" ".join(filter(None, (facts.engine, facts.engine_version))),
        log=link(folder, "logs", log) if log and folder is not None else "",
    )


def _not_checked(
    record: RunRecord, watched: Host, unsearched: str, unread: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """What this run does not vouch for, and why."""
    found = [(what, why) for told in record.not_checked for what, _, why in (told.partition(": "),)]
    found += _undecided(record)
    tested = {one.hypothesis for one in record.verdicts}
    found += [
        (f"hypothesis {one.name}", "declared, not tested in this run")
        for one in record.hypotheses
        if one.name not in tested
    ]
    if watched.unknown:
        found.append(("host sensors: " + ", ".join(watched.unknown), "this machine does not show them"))
    if not record.boxes and not any(one.roofline for one in record.measurements):
        why = "the profile names no chip, or no server says how many bytes a token reads"
        found.append(("share of the roofline", why))
    if unsearched:
        found.append(("change points of the trends", unsearched))
    found += [("a record of the history", why) for why in unread]
    return tuple(found)


def _undecided(record: RunRecord) -> list[tuple[str, str]]:
    """What was measured and yet not checked, together where the reason is the same or stands with the verdict."""
    groups: dict[tuple[Outcome, str], list[str]] = {}
    for one in record.verdicts:
        if one.outcome in (Outcome.NO_BASELINE, Outcome.INCONCLUSIVE, Outcome.INVALID):
            why = one.reason if one.outcome is Outcome.NO_BASELINE else ""
            about = one.hypothesis or f"{one.server} {one.workload} {one.metric}"
            groups.setdefault((one.outcome, why), []).append(about)
    return [
        (f"{badge(outcome).word}: {', '.join(names)}", why or "the reason stands with each verdict")
        for (outcome, why), names in groups.items()
    ]
