"""Two runs side by side, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from tokgate.config.words import (
    ABSENT,
    format_change,
    format_count,
    format_figure,
    format_interval,
    format_number,
    format_percent,
    format_ratio,
    format_time,
)
from tokgate.judge.cell import CaseKey
from tokgate.judge.compare import Comparison, Finding, compare
from tokgate.machine.fingerprint import Weight
from tokgate.measure.metrics import compute_geometric_mean
from tokgate.report.terminal import as_text, visible
from tokgate.store.run_pair import RunPair, pair_runs
from tokgate.store.runs import RunRecord

_STYLE: dict[Finding, str] = {"slower": "bold red", "faster": "cyan", "alike": "", "unknown": "yellow"}
LEVEL = 0.05


def comparison(a: RunRecord, b: RunRecord, *, width: int, colour: bool) -> str:
    """What `b` measured of the cells of `a`, and what else is different, `width` columns wide."""
    both = pair_runs(a, b)
    found = compare(both.pairs, level=LEVEL)
    shown = [
        Text(f"{name}  run {visible(run.run_id)} · {visible(run.profile)} · {format_time(run.started)} UTC")
        for name, run in (("A", a), ("B", b))
    ]
    table = [_table(found)] if found else []
    return as_text(*shown, *table, *rate(found), *notes(both, "A", "B"), width=width, colour=colour)


def _table(found: Iterable[Comparison]) -> Table:
    table = Table(box=None)
    table.add_column("server, workload", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for name in ("A", "B"):
        table.add_column(name, justify="right")
    for name in ("B/A", "interval", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("B is", overflow="fold", min_width=8)
    above = CaseKey("", "")
    for one in found:
        pair = one.pair
        if pair.server != above.server:
            table.add_row(Text(visible(pair.server), style="bold"))
        same = (pair.server, pair.workload) == above
        above = CaseKey(pair.server, pair.workload)
        table.add_row(
            Text("" if same else f"  {visible(pair.workload)}"),
            Text(visible(pair.metric)),
            middle(pair.metric, pair.a),
            middle(pair.metric, pair.b),
            *ratio_and_interval(one),
            f"{len(pair.a)}, {len(pair.b)}",
            Text(words(one), style=_STYLE[one.finding]),
        )
    return table


def ratio_and_interval(one: Comparison) -> tuple[str, str]:
    """`1.043`, `1.012–1.075`; dashes where nothing can be said."""
    if one.ratio is None or one.low is None or one.high is None:
        return ABSENT, ABSENT
    return format_ratio(one.ratio), format_interval(one.low, one.high)


def middle(metric: str, values: tuple[float, ...]) -> str:
    """The geometric mean over launches, which the ratio is of."""
    known = bool(values) and min(values) > 0
    return format_figure(metric, compute_geometric_mean(values) if known else None)


def words(one: Comparison) -> str:
    """What B is."""
    match one.finding:
        case "alike":
            return f"alike ±{format_percent(one.within or 0)}"
        case "unknown":
            return one.reason
        case _:
            return one.finding


def rate(found: Sequence[Comparison]) -> Iterator[Text]:
    """How far the words can be trusted."""
    compared = [one for one in found if one.ratio is not None]
    if compared:
        yield Text(
            f"Intervals and words hold for all {format_count(len(compared), 'comparison')} together: two runs with nothing "
            f"changed show any difference in at most {format_percent(LEVEL)} of cases (Welch over launches, Holm). Alike: no "
            "difference is seen, and one beyond ± so much is excluded.",
            "dim",
        )
    elif not found:
        yield Text("nothing to compare: no cell was measured by both under the same conditions", "yellow")


def notes(both: RunPair, a: str, b: str) -> Iterator[Text]:
    """What was not compared, and in what else the two differ. a, b: how they are called."""
    for workload, keys in both.unlike.items():
        told = ", ".join(f"{key}: {_or_none(was)} → {_or_none(now)}" for key, (was, now) in keys.items())
        yield Text(f"not compared: {visible(workload)}, whose conditions differ: {visible(told)}", "yellow")
    for run, alone in ((a, both.only_a), (b, both.only_b)):
        if alone:
            names = ", ".join(f"{server} × {workload}" for server, workload in alone)
            yield Text(f"only in {run}: {visible(names)}", "yellow")
    for (server, workload), (ours, theirs) in both.invalid.items():
        name = visible(f"{server} × {workload}")
        yield Text(f"left out of {name}: {ours} invalid of {a}, {theirs} invalid of {b}", "yellow")
    if any(one.weight is Weight.MUST_MATCH for one in both.machine):
        yield Text(f"{a} and {b} were measured on different machines", "bold yellow")
    for one in both.machine:
        yield Text(f"differs: {visible(str(one))}")
    for name, found in both.servers.items():
        for one in found:
            yield Text(f"differs: {visible(name)}: {visible(str(one))}")
    if both.pace is not None:
        was, now = both.pace
        yield Text(
            f"the CPU's yardstick: {format_number(was)} → {format_number(now)} GFLOPS ({format_change(now / was - 1)})"
        )
    if not both.machine and not both.servers:
        yield Text("nothing that was recorded of machine and servers differs")


def _or_none(value: str | None) -> str:
    return "unknown" if value is None else value
