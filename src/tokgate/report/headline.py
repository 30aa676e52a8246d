"""Headline: what a run comes to, in one word and one sentence."""

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
from tokgate.judge.hypothesis import explain_contradiction
from tokgate.judge.policy import Consequence, classify
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.report.badge import State, badge
from tokgate.report.trend import Turn
from tokgate.store.runs import RunRecord

SHOWN = 4
"""Findings named in the headline; the table has them all."""


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """title: one sentence. findings: what it stands on, the worst first. advice: what to do next, if anything."""

    state: State
    title: str
    findings: tuple[str, ...] = ()
    advice: str = ""


def headline(record: RunRecord, slower: Sequence[Turn] = ()) -> Headline:
    """What to say first of `record`. slower: changes of its history for the worse that are open.

    A finding counts more than a broken cell, as in the exit code: something that did not run takes
    nothing from what was found. A run that finds nothing, or has nothing to compare with, cannot clear its
    history. Of many boxes the worst speaks.
    """
    if record.boxes:
        return _of_boxes(record)
    for judge in (_findings, _broken, _empty):
        if (found := judge(record)) is not None:
            return found
    if slower:
        return _slipped(slower)
    if (found := _undecided(record)) is not None:
        return found
    gates = _gates(record)
    better = [one for one in gates if one.outcome is Outcome.IMPROVED]
    title = "Nothing got slower" if gates else "Every claim holds"
    if better:
        title += f", and {format_count(len(better), 'figure')} got better"
    return Headline(state=State.PASSED, title=f"{title}.", findings=_told(better))


def contradictions(record: RunRecord) -> tuple[tuple[Verdict, str], ...]:
    """Hypotheses whose verdict stands against what the record says of them, each with the sentence."""
    claims = {one.name: one for one in record.hypotheses}
    return tuple(
        (one, message)
        for one in record.verdicts
        if one.hypothesis in claims
        and (message := explain_contradiction(claims[one.hypothesis], one, run=record.run_id))
    )


def change(verdict: Verdict) -> str:
    """`12 % slower`, `3 % more`: the ratio in words, better or worse by the metric's direction."""
    if verdict.ratio is None:
        return ABSENT
    size = format_percent(abs(verdict.ratio - 1))
    if find_metric(verdict.metric).direction == "lower":
        return f"{size} longer" if verdict.ratio > 1 else f"{size} shorter"
    return f"{size} slower" if verdict.ratio < 1 else f"{size} faster"


def _findings(record: RunRecord) -> Headline | None:
    slower = [one for one in _gates(record) if classify(one) is Consequence.FINDING]
    against = [verdict for verdict, _ in contradictions(record)]
    if not slower and not against:
        return None
    parts = [f"{len(slower)} of {format_count(len(_gates(record)), 'figure')} got worse"] if slower else []
    parts += [f"{format_count(len(against), 'claim')} contradicted"] if against else []
    return Headline(
        state=State.REGRESSED if slower else State.CONTRADICTED,
        title=f"{' and '.join(parts)}.",
        findings=_told([*slower, *against]),
        advice="Look at what changed in the machine and at the host while it ran, both below; then "
        "measure again. If the new figure is right and accepted, make it the baseline."
        if slower
        else "Read the experiment's reason below; `tokgate hypothesis settle` puts it on record.",
    )


def _broken(record: RunRecord) -> Headline | None:
    invalid = [one for one in record.measurements if not one.valid]
    unjudged = [one for one in record.verdicts if classify(one) is Consequence.BROKEN]
    if record.ended is not None and not invalid and not unjudged:
        return None
    if record.ended is None:
        title = f"The run was cut off after {format_count(len(record.measurements), 'measurement')}."
    elif invalid:
        title = (
            f"{len(invalid)} of {format_count(len(record.measurements), 'measurement')} cannot be trusted."
        )
    else:
        title = f"{format_count(len(unjudged), 'verdict')} could not be given."
    found = [
        f"{one.server} {one.workload}, launch {one.launch}: {problem.rule}: {problem.detail}"
        for one in invalid
        for problem in one.problems[:1]
    ] or [f"{_about(one)}: {one.reason}" for one in unjudged]
    return Headline(
        state=State.BROKEN,
        title=title,
        findings=_first(found),
        advice="This says nothing about speed. Mend the cause, then run again.",
    )


def _empty(record: RunRecord) -> Headline | None:
    if record.measurements or record.verdicts:
        return None
    return Headline(
        state=State.EMPTY,
        title="Nothing was measured.",
        findings=record.not_checked[:SHOWN],
        advice="`tokgate doctor` says what this machine lacks.",
    )


def _slipped(slower: Sequence[Turn]) -> Headline:
    """Without findings: the changes stand beside it, wherever it is shown."""
    figures = {turn.about for turn in slower}
    since = min(turn.at for turn in slower)[:10]
    return Headline(
        state=State.SLIPPED,
        title="This run alone shows nothing slower, but its history does: "
        f"{format_count(len(figures), 'figure')}, since {since}.",
        advice="Look first at what else changed then: the suspects, beside each change under Trends.",
    )


def _undecided(record: RunRecord) -> Headline | None:
    alone = [one for one in record.verdicts if one.outcome is Outcome.NO_BASELINE]
    if len(alone) == len(record.verdicts):
        return Headline(
            state=State.UNDECIDED,
            title="Measured, but there is nothing to compare it with.",
            findings=_first(list(dict.fromkeys(one.reason for one in alone))),
            advice=f"`tokgate baseline accept {record.run_id}` makes this run the baseline.",
        )
    open_ = [one for one in record.verdicts if classify(one) is Consequence.UNDECIDED]
    if not open_:
        return None
    return Headline(
        state=State.UNDECIDED,
        title=f"Nothing is shown to be slower, but {len(open_)} of {format_count(len(record.verdicts), 'verdict')} cannot tell.",
        findings=_told(open_),
        advice="More launches would decide: each reason below says how many.",
    )


def _of_boxes(record: RunRecord) -> Headline:
    worst_first = list(State).index
    told = [(box.host, headline(box.record)) for box in record.boxes]
    told.sort(key=lambda one: worst_first(one[1].state))
    lost = [State.BROKEN] if record.not_checked or record.ended is None else []
    state = min([*lost, *(said.state for _, said in told)], key=worst_first)
    worst = [said for _, said in told if said.state is state]
    title = (
        f"On {len(worst)} of {format_count(len(told), 'host')}: {worst[0].title}"
        if worst
        else "Not every host came to its end."
    )
    findings = [f"{host}: {line}" for host, said in told for line in said.findings or (said.title,)]
    return Headline(
        state=state,
        title=title,
        findings=_first([*record.not_checked, *findings]),
        advice=worst[0].advice if worst else "The others are measured; see why, then run again.",
    )


def _gates(record: RunRecord) -> list[Verdict]:
    return [one for one in record.verdicts if one.kind == "gate"]


def _told(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Each as one line, the largest change first."""
    ordered = sorted(verdicts, key=lambda one: abs((one.ratio or 1) - 1), reverse=True)
    return _first([_line(one) for one in ordered])


def _line(verdict: Verdict) -> str:
    if verdict.ratio is None:
        return f"{_about(verdict)}: {badge(verdict.outcome).word}: {verdict.reason}"
    if verdict.kind == "hypothesis":
        found = f"ratio of {verdict.metric} {format_ratio(verdict.ratio)} ({format_interval(verdict.ci_low, verdict.ci_high)})"
        return f"{_about(verdict)}: {badge(verdict.outcome).word}: {found}"
    now, before = (format_figure(verdict.metric, value) for value in (verdict.current, verdict.baseline))
    return f"{_about(verdict)}: {change(verdict)} ({before} → {now})"


def _about(verdict: Verdict) -> str:
    return verdict.hypothesis or f"{verdict.server} {verdict.workload} {verdict.metric}"


def _first(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - SHOWN
    return (*lines[:SHOWN], f"and {more} more") if more > 0 else tuple(lines)
