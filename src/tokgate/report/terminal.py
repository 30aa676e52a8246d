"""A run as tables and sentences for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from tokgate._printable import escape_line
from tokgate.config.words import format_count, format_duration, format_figure, format_number
from tokgate.judge.conclusion import draw_conclusions
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.measure.measurement import Measurement
from tokgate.measure.roofline import compute_use
from tokgate.report.badge import make_badge
from tokgate.report.headline import make_headline
from tokgate.report.later import summarize_later
from tokgate.report.roofline import collect_rooflines, describe_bandwidth_shares, describe_limits, describe_use
from tokgate.report.rows import HYPOTHESIS_COLUMNS, VERDICT_COLUMNS, make_experiment_rows, make_verdict_rows
from tokgate.report.table import STYLES, lay_out, render
from tokgate.store.evidence import format_origin
from tokgate.store.runs import RunRecord, Spending

_NEEDS_NO_REASON = (Outcome.PASS, Outcome.IMPROVED, Outcome.CONFIRMED, Outcome.NO_BASELINE)


def format_summary(record: RunRecord, *, width: int, color: bool) -> str:
    """The verdict tables, and below them what needs a sentence, as text `width` columns wide."""
    gates, tested = make_verdict_rows(record), [row for row in make_experiment_rows(record) if row.tested]
    title = escape_line(f"run {record.run_id} · profile {record.profile}")
    parts: list[Table | Text] = [Text(title, "italic")]
    if gates:
        parts = [lay_out(gates, VERDICT_COLUMNS, width=width, title=title, group="server")]
    if tested:
        parts.append(
            lay_out(
                tested, HYPOTHESIS_COLUMNS, width=width, title="hypotheses (claimed arm / other arm, by default B / A)"
            )
        )
    parts += [Text(limits, "dim") for limits in describe_limits(collect_rooflines(record))]
    return render(*parts, *_make_sentences(record), width=width, color=color)


def describe_measurement(measurement: Measurement) -> str:
    """One measurement as lines `metric value`, and what makes it invalid."""
    lines = [f"{name:18} {format_figure(name, value)}" for name, value in measurement.metrics.items()]
    used = {name: compute_use(measurement.roofline, name, measurement.metrics.get(name)) for name in measurement.gated}
    lines += [f"{name:18} {describe_use(each, name)}" for name, each in used.items() if each is not None]
    if canary := measurement.canary:
        answers = format_count(len(canary.answers.texts), "answer")
        entropy = f"{format_number(round(canary.entropy_bits, 1))} bits of entropy per character"
        lines.append(f"{'answers':18} {entropy}, {canary.repeating} of {answers} repetitive")
    lines += [f"INVALID {problem.rule}: {problem.detail}" for problem in measurement.problems]
    return "\n".join(lines)


def describe_counts(verdicts: Sequence[Verdict]) -> str:
    """`3 pass, 1 regressed`: the number of each outcome, in the order in which outcomes are declared."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]) or "no verdict"


def _make_sentences(record: RunRecord) -> Iterator[Text]:
    """A line for what decode uses of the memory, each verdict that needs a reason, and what was not checked."""
    for share in describe_bandwidth_shares(record):
        yield _make_line("memory", share, "")
    reasons: dict[tuple[Outcome, str], list[str]] = {}
    for verdict in record.verdicts:
        if verdict.kind == "answers":
            style = STYLES[make_badge(verdict.outcome).tone]
            yield _make_line("answers", f"{verdict.server}: {verdict.outcome}: {verdict.reason}", style)
        elif verdict.outcome not in _NEEDS_NO_REASON:
            about = verdict.hypothesis or f"{verdict.server} × {verdict.workload} {verdict.metric}"
            reasons.setdefault((verdict.outcome, verdict.reason), []).append(escape_line(about))
    for (outcome, reason), names in reasons.items():
        yield _make_line(str(outcome), f"{', '.join(names)}: {reason}", STYLES[make_badge(outcome).tone])
    for verdict in record.verdicts:
        if verdict.known is not None:
            origin = format_origin(verdict.known, record.started)
            yield _make_line("known", f"{verdict.hypothesis}: {verdict.outcome}, {origin}", "dim")
    for conclusion in draw_conclusions(record.conclusions, record.verdicts):
        yield _make_line("conclusion", conclusion, "bold")
    alone = (verdict.reason for verdict in record.verdicts if verdict.outcome is Outcome.NO_BASELINE)
    for reason in dict.fromkeys(alone):
        yield _make_line("no_baseline", reason, "dim")
    for gap in record.not_checked:
        yield _make_line("not checked", gap, "yellow")
    if later := summarize_later(record):
        yield _make_line("later", later, "dim")
    if record.spending is not None:
        yield Text(_describe_spending(record.spending))
    if advice := make_headline(record).advice:
        yield _make_line("next", advice, "bold")


def _make_line(what: str, text: str, style: str) -> Text:
    return Text("\n".join(map(escape_line, f"{what}: {text}".splitlines())), style)


def _describe_spending(spending: Spending) -> str:
    """`budget: 31m of 45m spent on 61 of 85 planned passes; ended: 9 decided, 2 planned`."""
    ended = Counter(str(each.stopped) for each in spending.launches if each.stopped is not None)
    used, planned = (sum(getattr(each, field) for each in spending.launches) for field in ("used", "planned"))
    return (
        f"budget: {format_duration(spending.spent_s)} of {format_duration(spending.budget_s)} spent on "
        f"{used} of {format_count(planned, 'planned pass')}"
        + (f"; ended: {', '.join(f'{count} {why}' for why, count in ended.items())}" if ended else "")
    )
