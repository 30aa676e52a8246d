"""Two runs side by side, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from tokgate._printable import escape_line
from tokgate.config.metric import find_metric
from tokgate.config.words import (
    format_count,
    format_figure,
    format_interval,
    format_percent,
    format_ratio,
    format_time,
)
from tokgate.judge.compare import PairResult, compare
from tokgate.machine.fingerprint import Weight
from tokgate.measure.metrics import compute_geometric_mean
from tokgate.report.badge import Badge
from tokgate.report.table import Column, lay_out, render
from tokgate.store.run_pair import RunPair, pair_runs
from tokgate.store.runs import RunRecord

LEVEL = 0.05
"""How often two runs with nothing changed between them may show any difference: this describes, it gates nothing."""

# Times the metric's promise, beyond which "no difference is seen" is of no use. A gate detects the promise with the
# ten launches of a baseline; two short runs have fewer.
_ALIKE = 2

_BADGES = {"slower": ("▼", "bad"), "faster": ("▲", "good"), "alike": ("=", "plain")}


def format_comparison(a: RunRecord, b: RunRecord, *, width: int, color: bool) -> str:
    """What `b` measured of the cells of `a`, and what else differs, as text `width` columns wide."""
    both = pair_runs(a, b)
    results = compare(both.pairs, level=LEVEL)
    titles = [
        Text(f"{name}  run {escape_line(run.run_id)} · {escape_line(run.profile)} · {format_time(run.started)} UTC")
        for name, run in (("A", a), ("B", b))
    ]
    table = [lay_out(results, _COLUMNS, width=width, group="server")] if results else []
    sentences = (*explain_level(results), *explain_unknown(results), *describe_differences(both, "A", "B"))
    return render(*titles, *table, *sentences, width=width, color=color)


def format_mean(metric: str, values: tuple[float, ...]) -> str:
    """The geometric mean over launches, whose ratio is compared."""
    known = bool(values) and min(values) > 0
    return format_figure(metric, compute_geometric_mean(values) if known else None)


def make_comparison_badge(result: PairResult) -> Badge:
    """What B is."""
    if _find_obstacle(result):
        return Badge("?", "cannot tell", "unsure")
    symbol, tone = _BADGES[result.finding]
    within = f" ±{format_percent(result.within or 0)}" if result.finding == "alike" else ""
    return Badge(symbol, f"{result.finding}{within}", tone)


_COLUMNS: tuple[Column[PairResult], ...] = (
    Column("server", lambda result: result.pair.server),
    Column("workload, metric", lambda result: f"{result.pair.workload} {result.pair.metric}", wide=True),
    Column("A", lambda result: format_mean(result.pair.metric, result.pair.a), right=True),
    Column("B", lambda result: format_mean(result.pair.metric, result.pair.b), right=True),
    Column("B/A", lambda result: format_ratio(result.ratio), right=True),
    Column("interval", lambda result: format_interval(result.low, result.high), right=True, drop=1),
    Column("launches", lambda result: f"{len(result.pair.a)}, {len(result.pair.b)}", right=True, drop=2),
    Column("B is", make_comparison_badge),
)


def _find_obstacle(result: PairResult) -> str:
    """Why nothing useful can be said about a pair; empty if something can."""
    limit = _ALIKE * find_metric(result.pair.metric).promise
    if result.finding == "alike" and (result.within or 0) > limit:
        return f"a difference of {format_percent(limit)} is not excluded; more launches are needed"
    return result.reason


def explain_level(results: Sequence[PairResult]) -> Iterator[Text]:
    """How far the findings can be trusted."""
    compared = [result for result in results if result.ratio is not None]
    if compared:
        yield Text(
            f"Intervals and findings hold for all {format_count(len(compared), 'comparison')} together: two runs "
            f"with nothing changed show any difference in at most {format_percent(LEVEL)} of cases (Welch over "
            "launches, Holm). Alike: no difference is seen, and one beyond ± the percentage is excluded.",
            "dim",
        )
    elif not results:
        yield Text("nothing to compare: no cell was measured by both under the same conditions", "yellow")


def explain_unknown(results: Sequence[PairResult]) -> Iterator[Text]:
    """Why some cells cannot be compared, each reason once."""
    cells: dict[str, list[str]] = {}
    for result in results:
        pair = result.pair
        if reason := _find_obstacle(result):
            cells.setdefault(reason, []).append(f"{pair.server} × {pair.workload} {pair.metric}")
    for reason, names in cells.items():
        yield Text(f"cannot tell: {', '.join(map(escape_line, names))}: {escape_line(reason)}", "yellow")


def describe_differences(both: RunPair, a: str, b: str) -> Iterator[Text]:
    """What was not compared, and what else differs between the two. a, b: their names."""
    for workload, keys in both.unlike.items():
        text = ", ".join(f"{key}: {_or_unknown(was)} → {_or_unknown(now)}" for key, (was, now) in keys.items())
        yield Text(
            f"not compared: {escape_line(workload)}, whose conditions differ: {escape_line(text)}",
            "yellow",
        )
    for run, alone in ((a, both.only_a), (b, both.only_b)):
        if alone:
            names = ", ".join(escape_line(f"{server} × {workload}") for server, workload in alone)
            yield Text(f"only in {escape_line(run)}: {names}", "yellow")
    for (server, workload), (ours, theirs) in both.invalid.items():
        name = escape_line(f"{server} × {workload}")
        yield Text(f"left out of {name}: {ours} invalid in {a}, {theirs} invalid in {b}", "yellow")
    if any(difference.weight is Weight.MUST_MATCH for difference in both.machine):
        yield Text(f"{a} and {b} were measured on different machines", "bold yellow")
    for difference in both.machine:
        yield Text(f"differs: {escape_line(str(difference))}")
    for name, differences in both.servers.items():
        for difference in differences:
            yield Text(f"differs: {escape_line(name)}: {escape_line(str(difference))}")
    if not both.machine and not both.servers:
        yield Text("no recorded fact of machine or servers differs")


def _or_unknown(value: str | None) -> str:
    return "unknown" if value is None else value
