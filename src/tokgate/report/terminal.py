"""A run as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tokgate.config.words import (
    ABSENT,
    format_duration,
    format_figure,
    format_interval,
    format_number,
    format_percent,
    format_quantity,
    format_ratio,
)
from tokgate.judge.conclusion import drawn
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.measure.measurement import Ceiling, Measurement, Roofline
from tokgate.measure.roofline import Use, compute_use
from tokgate.store.runs import RunRecord, Spending

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


_ROOFLINE = ("uses", "of paper", "of measured", "possible")
Rooflines = Mapping[tuple[str, str], Roofline]
"""By server and workload."""


def summary(record: RunRecord, *, width: int, colour: bool) -> str:
    """The verdict table and what needs a sentence beside it, as text `width` columns wide."""
    roofs = rooflines(record)
    wide = 150 if roofs else 0  # columns cut short say nothing
    tables = [_gates(record, roofs), *_experiments(record, roofs)]
    sentences = [*_limits(roofs), *_sentences(record)]
    return as_text(*tables, *sentences, width=max(width, wide), colour=colour)


def as_text(*shown: Table | Text, width: int, colour: bool) -> str:
    """Tables and sentences one below the other, `width` columns wide."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        markup=False,
    )
    with console.capture() as captured:
        console.print(Group(*shown))
    return captured.get().rstrip()


def visible(text: str) -> str:
    """Foreign text on one line, its control characters shown and not obeyed."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def measured(measurement: Measurement) -> str:
    """One measurement as lines `metric value`, and what makes it invalid."""
    lines = [f"{name:18} {format_figure(name, value)}" for name, value in measurement.metrics.items()]
    used = {
        name: compute_use(measurement.roofline, name, measurement.metrics.get(name))
        for name in measurement.gated
    }
    lines += [f"{name:18} {roofline_words(one, name)}" for name, one in used.items() if one is not None]
    if canary := measurement.canary:
        said = f"{canary.entropy_bits:.1f} bits a character"
        lines.append(
            f"{'answers':18} {said}, {canary.repeating} of {len(canary.answers.texts)} repeat themselves"
        )
    lines += [f"INVALID {problem.rule}: {problem.detail}" for problem in measurement.problems]
    return "\n".join(lines)


def counts(verdicts: tuple[Verdict, ...]) -> str:
    """`3 pass, 1 regressed`: how often each outcome was given, in the order outcomes are declared."""
    seen = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(f"{seen[outcome]} {outcome}" for outcome in Outcome if seen[outcome]) or "no verdict"


def _gates(record: RunRecord, roofs: Rooflines) -> Table:
    table = Table(title=f"run {record.run_id} · profile {record.profile}", title_justify="left", box=None)
    table.add_column("server, workload", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for name in ("now", "baseline", "ratio", "interval", "sees", *(_ROOFLINE if roofs else ())):
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
            format_figure(verdict.metric, verdict.current),
            format_figure(verdict.metric, verdict.baseline),
            format_ratio(verdict.ratio),
            format_interval(verdict.ci_low, verdict.ci_high),
            _drop(verdict),
            *_roofline(roofs, (verdict.server, verdict.workload), verdict.metric, verdict.current),
            Text(verdict.outcome, style=_STYLE[verdict.outcome]),
        )
    return table


def _experiments(record: RunRecord, roofs: Rooflines) -> list[Table]:
    """A table of the hypotheses, when the run tested any."""
    tested = [one for one in record.verdicts if one.kind == "hypothesis"]
    if not tested:
        return []
    table = Table(title="hypotheses (B / A)", title_justify="left", box=None)
    table.add_column("hypothesis, metric", no_wrap=True)
    of_arms = [f"{arm} {name}" for arm in "AB" for name in ("paper", "measured")] if roofs else []
    for name in ("A", "B", "ratio", "interval", "n", *of_arms):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for one in tested:
        table.add_row(
            f"{one.hypothesis} {one.metric}",
            format_figure(one.metric, one.baseline),
            format_figure(one.metric, one.current),
            format_ratio(one.ratio),
            format_interval(one.ci_low, one.ci_high),
            str(one.launches),
            *_roofline(roofs, (f"{one.hypothesis}/a", one.workload), one.metric, one.baseline)[1:3],
            *_roofline(roofs, (f"{one.hypothesis}/b", one.workload), one.metric, one.current)[1:3],
            Text(one.outcome, style=_STYLE[one.outcome]),
        )
    return [table]


def _roofline(roofs: Rooflines, cell: tuple[str, str], metric: str, value: float | None) -> tuple[str, ...]:
    """The columns `_ROOFLINE` of one figure; none at all in a run that knows no chip."""
    if not roofs:
        return ()
    used = compute_use(roofs.get(cell), metric, value)
    return (ABSENT,) * len(_ROOFLINE) if used is None else _used(used, metric)


def _used(used: Use, metric: str) -> tuple[str, str, str, str]:
    seen = ABSENT
    if used.effective_GBps is not None:
        seen = format_quantity(used.effective_GBps, "GB/s")
    elif used.effective_tflops is not None:
        seen = format_quantity(used.effective_tflops, "TFLOPS")
    paper, measured = (
        ABSENT if one is None else format_percent(one) for one in (used.of_paper, used.of_measured)
    )
    return seen, paper, measured, format_figure(metric, used.possible)


def rooflines(record: RunRecord) -> Rooflines:
    """What the chip allows each cell of a run, where that is known."""
    return {(one.server, one.workload): one.roofline for one in record.measurements if one.roofline}


def roofline_words(used: Use | None, metric: str) -> str:
    """`179.1 GB/s, 70% on paper (9.149 tok/s possible), 84% as measured`; a dash where nothing is known."""
    if used is None:
        return ABSENT
    seen, paper, measured, possible = _used(used, metric)
    of = "" if seen == ABSENT else f"{seen}, "
    return f"{of}{paper} on paper ({possible} possible), {measured} as measured"


def _limits(roofs: Rooflines) -> list[Text]:
    """What the roofline columns are shares of."""
    chips = {roof.hardware: roof for roof in roofs.values()}
    return [
        Text(
            f"roofline of {name}: on paper {_pair(roof.paper)}; measured on such chips {_pair(roof.measured)}; "
            "possible: the rate that the limits on paper allow",
            "dim",
        )
        for name, roof in chips.items()
    ]


def _pair(ceiling: Ceiling) -> str:
    known = ((ceiling.bandwidth_GBps, "GB/s"), (ceiling.fp16_tflops, "TFLOPS in FP16"))
    return ", ".join(f"{format_number(value)} {of}" for value, of in known if value is not None) or "unknown"


def _drop(verdict: Verdict) -> str:
    drop = verdict.min_detectable_drop
    return ABSENT if drop is None else format_percent(drop)


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
    lines += [Text(f"conclusion: {one}", "bold") for one in drawn(record.conclusions, record.verdicts)]
    lines += [
        Text(f"no_baseline: {reason}", _STYLE[Outcome.NO_BASELINE])
        for reason in dict.fromkeys(
            one.reason for one in record.verdicts if one.outcome is Outcome.NO_BASELINE
        )
    ]
    lines += [Text(f"not checked: {what}", "yellow") for what in record.not_checked]
    if record.spending is not None:
        lines.append(Text(_spending(record.spending)))
    return lines


def _spending(spending: Spending) -> str:
    """`budget: 31m of 45m spent on 61 passes of 85 planned; ended: 9 decided, 2 planned`."""
    stopped = Counter(str(one.stopped) for one in spending.launches if one.stopped is not None)
    return (
        f"budget: {format_duration(spending.spent_s)} of {format_duration(spending.budget_s)} spent on "
        f"{sum(one.used for one in spending.launches)} passes of "
        f"{sum(one.planned for one in spending.launches)} planned"
        + (f"; ended: {', '.join(f'{count} {why}' for why, count in stopped.items())}" if stopped else "")
    )
