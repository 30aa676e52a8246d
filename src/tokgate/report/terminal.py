"""A run as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tokgate.judge.metric import unit
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunRecord

_STYLE = {
    Outcome.PASS: "green",
    Outcome.IMPROVED: "cyan",
    Outcome.CONFIRMED: "green",
    Outcome.REFUTED: "magenta",
    Outcome.REGRESSED: "bold red",
    Outcome.INVALID: "bold yellow",
    Outcome.ARM_FAILED: "bold yellow",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_BASELINE: "dim",
}


def summary(record: RunRecord, *, width: int, colour: bool) -> str:
    """The verdict table and what needs a sentence beside it, as text `width` columns wide."""
    console = Console(
        file=StringIO(), width=width, force_terminal=colour, no_color=not colour, highlight=False
    )
    with console.capture() as captured:
        console.print(Group(_gates(record), *_experiments(record), *_sentences(record)))
    return captured.get().rstrip()


def figure(metric: str, value: float | None) -> str:
    """A metric's value with its unit; seconds below one as milliseconds."""
    if value is None:
        return "–"
    if unit(metric) == "s" and value < 1:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.4g} {unit(metric)}"


def measured(measurement: Measurement) -> str:
    """One measurement as lines `metric value`, and what makes it invalid."""
    lines = [f"{name:18} {figure(name, value)}" for name, value in measurement.metrics.items()]
    lines += [f"INVALID {problem.rule}: {problem.detail}" for problem in measurement.problems]
    return "\n".join(lines)


def counts(verdicts: tuple[Verdict, ...]) -> str:
    """`3 pass, 1 regressed`: how often each outcome was given, in the order outcomes are declared."""
    seen = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(f"{seen[outcome]} {outcome}" for outcome in Outcome if seen[outcome]) or "no verdict"


def _gates(record: RunRecord) -> Table:
    table = Table(title=f"run {record.run_id} · profile {record.profile}", title_justify="left", box=None)
    table.add_column("server, workload", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for name in ("now", "baseline", "ratio", "interval", "sees"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    above: tuple[str, str] = ("", "")
    for verdict in record.verdicts:
        if verdict.kind == "hypothesis":
            continue
        if verdict.server != above[0]:
            table.add_row(Text(verdict.server, style="bold"))
        same = (verdict.server, verdict.workload) == above
        above = (verdict.server, verdict.workload)
        table.add_row(
            "" if same else f"  {verdict.workload}",
            verdict.metric,
            figure(verdict.metric, verdict.current),
            figure(verdict.metric, verdict.baseline),
            "–" if verdict.ratio is None else f"{verdict.ratio:.3f}",
            interval(verdict),
            _drop(verdict),
            Text(verdict.outcome, style=_STYLE[verdict.outcome]),
        )
    return table


def _experiments(record: RunRecord) -> list[Table]:
    """A table of the hypotheses, when the run tested any."""
    tested = [one for one in record.verdicts if one.kind == "hypothesis"]
    if not tested:
        return []
    table = Table(title="hypotheses (B / A)", title_justify="left", box=None)
    table.add_column("hypothesis, metric", no_wrap=True)
    for name in ("A", "B", "ratio", "interval", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for one in tested:
        table.add_row(
            f"{one.hypothesis} {one.metric}",
            figure(one.metric, one.baseline),
            figure(one.metric, one.current),
            "–" if one.ratio is None else f"{one.ratio:.3f}",
            interval(one),
            str(one.launches),
            Text(one.outcome, style=_STYLE[one.outcome]),
        )
    return [table]


def interval(verdict: Verdict) -> str:
    """`0.912–1.043`, a dash where the verdict has none."""
    if verdict.ci_low is None or verdict.ci_high is None:
        return "–"
    return f"{verdict.ci_low:.3f}–{verdict.ci_high:.3f}"


def _drop(verdict: Verdict) -> str:
    drop = verdict.min_detectable_drop
    return "–" if drop is None else f"{drop:.1%}"


def _about(verdict: Verdict) -> str:
    return verdict.hypothesis or f"{verdict.server} × {verdict.workload} {verdict.metric}"


def _sentences(record: RunRecord) -> list[Text]:
    """One line for each verdict that is more than its row says, and for what was not checked."""
    quiet = (Outcome.PASS, Outcome.IMPROVED, Outcome.CONFIRMED, Outcome.NO_BASELINE)
    lines = [
        Text(f"{one.outcome}: {_about(one)}: {one.reason}", _STYLE[one.outcome])
        for one in record.verdicts
        if one.outcome not in quiet
    ]
    lines += [
        Text(f"no_baseline: {reason}", _STYLE[Outcome.NO_BASELINE])
        for reason in dict.fromkeys(
            one.reason for one in record.verdicts if one.outcome is Outcome.NO_BASELINE
        )
    ]
    lines += [Text(f"not checked: {what}", "yellow") for what in record.not_checked]
    return lines
