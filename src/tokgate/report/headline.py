"""Headline: the result of a run in one word and one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate.config.metric import find_metric
from tokgate.config.words import (
    ABSENT,
    format_count,
    format_figure,
    format_interval,
    format_percent,
    format_ratio,
)
from tokgate.judge.coverage import describe_missing
from tokgate.judge.hypothesis import explain_contradiction
from tokgate.judge.policy import Consequence, classify
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.report.badge import State, make_badge
from tokgate.report.trend import Turn
from tokgate.store.runs import RunRecord

SHOWN = 4
"""Findings named in the headline: more do not fit a phone's first screen, and the table has them all."""


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """title: one sentence. findings: what it is based on, the worst first. advice: what to do next, if anything."""

    state: State
    title: str
    findings: tuple[str, ...] = ()
    advice: str = ""


def make_headline(record: RunRecord, slower: Sequence[Turn] = (), *, running: bool = False) -> Headline:
    """What to say first about `record`.

    slower: changes for the worse in its history that are open. running: whether the run is still in progress.
    A finding counts more than a broken cell, as in the exit code: what did not run takes nothing from what was
    found. A run that finds nothing, or has nothing to compare with, cannot clear its history. Of several boxes
    the worst one decides.
    """
    if record.boxes:
        return _judge_boxes(record, running=running)
    if running:
        return _report_progress(record)
    for judge in (_find_regressions, _find_broken, _find_nothing):
        if (result := judge(record)) is not None:
            return result
    if slower:
        return _find_slips(slower)
    if (result := _find_undecided(record)) is not None:
        return result
    gates = _gates(record)
    better = [verdict for verdict in gates if verdict.outcome is Outcome.IMPROVED]
    title = "Every claim holds" if _count_claims(record) else "The models answer correctly"
    if gates:
        title = "Nothing got slower"
    if record.missing:
        title += " in what was selected"
    if better:
        title += f", and {format_count(len(better), 'figure')} got better"
    return Headline(state=State.PASSED, title=f"{title}.", findings=_list_verdicts(better))


def find_contradictions(record: RunRecord) -> tuple[tuple[Verdict, str], ...]:
    """Hypotheses whose verdict contradicts what is on record about them, each with the sentence."""
    claims = {hypothesis.name: hypothesis for hypothesis in record.hypotheses}
    return tuple(
        (verdict, message)
        for verdict in record.verdicts
        if verdict.hypothesis in claims
        and (message := explain_contradiction(claims[verdict.hypothesis], verdict, run=record.run_id))
    )


def describe_change(verdict: Verdict) -> str:
    """`12 % slower`, `3 % longer`: the ratio as a percentage, with its direction."""
    if verdict.ratio is None:
        return ABSENT
    size = format_percent(abs(verdict.ratio - 1))
    if find_metric(verdict.metric).direction == "lower":
        return f"{size} longer" if verdict.ratio > 1 else f"{size} shorter"
    return f"{size} slower" if verdict.ratio < 1 else f"{size} faster"


def _find_regressions(record: RunRecord) -> Headline | None:
    slower = [verdict for verdict in _gates(record) if classify(verdict) is Consequence.FINDING]
    against = [verdict for verdict, _ in find_contradictions(record)]
    if not slower and not against:
        return None
    parts = [f"{len(slower)} of {format_count(len(_gates(record)), 'figure')} got worse"] if slower else []
    parts += [f"{format_count(len(against), 'claim')} contradicted"] if against else []
    return Headline(
        state=State.REGRESSED if slower else State.CONTRADICTED,
        title=f"{' and '.join(parts)}.",
        findings=_list_verdicts([*slower, *against]),
        advice="Check below what changed on the machine and what else it was doing; then run again. "
        "If the new figure is right and acceptable, make it the baseline."
        if slower
        else "Read the reason of the experiment below; `tokgate hypothesis settle` puts the result on record.",
    )


def _find_broken(record: RunRecord) -> Headline | None:
    invalid = [run for run in record.measurements if not run.valid]
    unjudged = [verdict for verdict in record.verdicts if classify(verdict) is Consequence.BROKEN]
    prevented = [each for each in record.missing if not each.deselected]
    if record.ended is not None and not invalid and not unjudged and not prevented:
        return None
    measurements = format_count(len(record.measurements), "measurement")
    if record.ended is None:
        title = f"The run was cut off after {measurements}."
    elif invalid:
        title = f"{len(invalid)} of {measurements} cannot be trusted."
    else:
        title = f"No verdict on {format_count(len(unjudged) + len(prevented), 'figure')}."
    findings = [
        f"{run.server} {run.workload}, launch {run.launch}: {problem.rule}: {problem.detail}"
        for run in invalid
        for problem in run.problems[:1]
    ] or [
        *(f"{_about(verdict)}: {verdict.reason}" for verdict in unjudged),
        *describe_missing(prevented),
    ]
    return Headline(
        state=State.BROKEN,
        title=title,
        findings=_shorten(findings),
        advice="This says nothing about speed. Fix the cause and run again.",
    )


def _report_progress(record: RunRecord) -> Headline:
    """So far: what is already decided as findings."""
    decided = [verdict for verdict in _gates(record) if classify(verdict) is Consequence.FINDING]
    return Headline(
        state=State.RUNNING,
        title=f"Still running: {format_count(len(record.measurements), 'measurement')} and "
        f"{format_count(len(record.verdicts), 'verdict')} so far.",
        findings=_list_verdicts(decided),
        advice="Open the report again when the run has ended.",
    )


def _find_nothing(record: RunRecord) -> Headline | None:
    if record.measurements or record.verdicts:
        return None
    return Headline(
        state=State.EMPTY,
        title="Nothing was measured.",
        findings=record.not_checked[:SHOWN],
        advice="`tokgate doctor` says what this machine lacks.",
    )


def _find_slips(slower: Sequence[Turn]) -> Headline:
    """Without findings: the changes are listed beside it wherever it is shown."""
    figures = {turn.about for turn in slower}
    since = min(turn.at for turn in slower)[:10]
    return Headline(
        state=State.SLIPPED,
        title="This run alone shows nothing slower, but its history does: "
        f"{format_count(len(figures), 'figure')}, since {since}.",
        advice="Check first what else changed then: the suspects next to each change under Trends.",
    )


def _find_undecided(record: RunRecord) -> Headline | None:
    if not record.verdicts:
        return Headline(
            state=State.UNDECIDED,
            title="Measured, but nothing was judged.",
            findings=_shorten(list(record.not_checked)),
            advice="Run `pytest -m perf` without selecting tests.",
        )
    gates = _gates(record)
    alone = [verdict for verdict in gates if verdict.outcome is Outcome.NO_BASELINE]
    if alone and len(alone) == len(gates):
        claims = _count_claims(record)
        done = f"Measured, and {format_count(claims, 'claim')} tested" if claims else "Measured"
        return Headline(
            state=State.UNDECIDED,
            title=f"{done}, but there is nothing to compare the speed with yet.",
            findings=_shorten(list(dict.fromkeys(verdict.reason for verdict in alone))),
            advice=f"`tokgate baseline accept {record.run_id}` makes this run the baseline, or compare two servers in "
            "one run: `pytest -m perf --tokgate-against WHAT`.",
        )
    undecided = [verdict for verdict in record.verdicts if classify(verdict) is Consequence.UNDECIDED]
    if not undecided:
        return None
    worst = max(undecided, key=_loss)
    share = f"{len(undecided)} of {format_count(len(record.verdicts), 'verdict')} cannot tell"
    return Headline(
        state=State.UNDECIDED,
        title=f"Cannot tell yet: {_about(worst)} looks {describe_change(worst)}{_need(worst)} ({share})."
        if _loss(worst) > find_metric(worst.metric).tolerance
        else f"Nothing looks slower, but {share}.",
        findings=_list_verdicts(undecided),
        advice="The reason of each verdict says how many launches would decide.",
    )


def _loss(verdict: Verdict) -> float:
    """The drop (fraction of the speed) that a verdict of the gate would be if its estimate were true."""
    if verdict.kind != "gate" or not verdict.ratio:
        return 0.0
    speed = 1 / verdict.ratio if find_metric(verdict.metric).direction == "lower" else verdict.ratio
    return 1 - speed


def _need(verdict: Verdict) -> str:
    """`; needs 4 more launches`, or nothing where that is not known."""
    more = (verdict.launches_to_decide or 0) - verdict.launches
    return f"; needs {format_count(more, 'more launch')}" if more > 0 else ""


def _judge_boxes(record: RunRecord, *, running: bool) -> Headline:
    worst_first = list(State).index
    results = [(box.host, make_headline(box.record)) for box in record.boxes]
    results.sort(key=lambda result: worst_first(result[1].state))
    lost = [State.BROKEN] if record.not_checked or (record.ended is None and not running) else []
    state = min([*lost, *(result.state for _, result in results)], key=worst_first)
    worst = [result for _, result in results if result.state is state]
    title = (
        f"On {len(worst)} of {format_count(len(results), 'box')}: {worst[0].title}"
        if worst
        else "Not every box finished."
    )
    findings = [f"{host}: {line}" for host, result in results for line in result.findings or (result.title,)]
    return Headline(
        state=state,
        title=title,
        findings=_shorten([*record.not_checked, *findings]),
        advice=worst[0].advice if worst else "The other boxes are measured; fix the cause and run again.",
    )


def _gates(record: RunRecord) -> list[Verdict]:
    return [verdict for verdict in record.verdicts if verdict.kind == "gate"]


def _count_claims(record: RunRecord) -> int:
    return sum(verdict.kind == "hypothesis" for verdict in record.verdicts)


def _list_verdicts(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """A line for each, the largest change first."""
    ordered = sorted(verdicts, key=lambda verdict: abs((verdict.ratio or 1) - 1), reverse=True)
    return _shorten([_describe(verdict) for verdict in ordered])


def _describe(verdict: Verdict) -> str:
    if verdict.ratio is None:
        return f"{_about(verdict)}: {make_badge(verdict.outcome).word}: {verdict.reason}"
    if verdict.kind == "hypothesis":
        interval = format_interval(verdict.ci_low, verdict.ci_high)
        result = f"ratio of {verdict.metric} {format_ratio(verdict.ratio)} ({interval})"
        return f"{_about(verdict)}: {make_badge(verdict.outcome).word}: {result}"
    now, before = (format_figure(verdict.metric, value) for value in (verdict.current, verdict.baseline))
    return f"{_about(verdict)}: {describe_change(verdict)} ({before} → {now})"


def _about(verdict: Verdict) -> str:
    return verdict.hypothesis or f"{verdict.server} {verdict.workload} {verdict.metric}"


def _shorten(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - SHOWN
    return (*lines[:SHOWN], f"and {more} more") if more > 0 else tuple(lines)
