"""Two runs side by side, as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from tokgate.judge.compare import Comparison, Finding, compare
from tokgate.machine.fingerprint import Weight
from tokgate.report.terminal import as_text, figure, visible
from tokgate.store.beside import Beside, Driven, beside
from tokgate.store.runs import RunRecord

_STYLE: dict[Finding, str] = {"slower": "bold red", "faster": "cyan", "alike": "", "unknown": "yellow"}
LEVEL = 0.05


def comparison(a: RunRecord, b: RunRecord, *, width: int, colour: bool) -> str:
    """What `b` measured of the cells of `a`, and what else is different, `width` columns wide."""
    both = beside(a, b)
    found = compare(both.pairs, level=LEVEL)
    shown = [
        Text(f"{name}  run {visible(run.run_id)} · {visible(run.profile)} · {run.started[:16]}")
        for name, run in (("A", a), ("B", b))
    ]
    table = [_table(found)] if found else []
    return as_text(*shown, *table, *_sentences(both, found), width=width, colour=colour)


def _table(found: Iterable[Comparison]) -> Table:
    table = Table(box=None)
    table.add_column("server, workload", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for name in ("A", "B"):
        table.add_column(name, justify="right")
    for name in ("B/A", "interval", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("B is", overflow="fold", min_width=8)
    above: Driven = ("", "")
    for one in found:
        pair = one.pair
        if pair.server != above[0]:
            table.add_row(Text(visible(pair.server), style="bold"))
        same = (pair.server, pair.workload) == above
        above = (pair.server, pair.workload)
        table.add_row(
            Text("" if same else f"  {visible(pair.workload)}"),
            Text(visible(pair.metric)),
            _middle(pair.metric, pair.a),
            _middle(pair.metric, pair.b),
            "–" if one.ratio is None else f"{one.ratio:.3f}",
            "–" if one.low is None or one.high is None else f"{one.low:.3f}–{one.high:.3f}",
            f"{len(pair.a)}, {len(pair.b)}",
            Text(_words(one), style=_STYLE[one.finding]),
        )
    return table


def _middle(metric: str, values: tuple[float, ...]) -> str:
    """The geometric mean over launches, which the ratio is of."""
    known = bool(values) and min(values) > 0
    return figure(metric, math.exp(math.fsum(map(math.log, values)) / len(values)) if known else None)


def _words(one: Comparison) -> str:
    match one.finding:
        case "alike":
            return f"alike ±{one.within:.1%}"
        case "unknown":
            return one.reason
        case _:
            return one.finding


def _sentences(both: Beside, found: tuple[Comparison, ...]) -> Iterator[Text]:
    compared = [one for one in found if one.ratio is not None]
    if compared:
        yield Text(
            f"Intervals and words hold for all {len(compared)} comparisons together: two runs with nothing "
            f"changed show any difference in at most {LEVEL:.0%} of cases (Welch over launches, Holm). Alike: no "
            "difference is seen, and one beyond ± so much is excluded.",
            "dim",
        )
    elif not found:
        yield Text("nothing to compare: no cell was measured by both under the same conditions", "yellow")
    for workload, keys in both.unlike.items():
        told = ", ".join(f"{key}: {_or_none(was)} → {_or_none(now)}" for key, (was, now) in keys.items())
        yield Text(f"not compared: {visible(workload)}, whose conditions differ: {visible(told)}", "yellow")
    for run, alone in (("A", both.only_a), ("B", both.only_b)):
        if alone:
            names = ", ".join(f"{server} × {workload}" for server, workload in alone)
            yield Text(f"only in {run}: {visible(names)}", "yellow")
    for (server, workload), (a, b) in both.invalid.items():
        name = visible(f"{server} × {workload}")
        yield Text(f"left out of {name}: {a} invalid of A, {b} invalid of B", "yellow")
    yield from _differences(both)


def _differences(both: Beside) -> Iterator[Text]:
    if any(one.weight is Weight.MUST_MATCH for one in both.machine):
        yield Text("A and B were measured on different machines", "bold yellow")
    for one in both.machine:
        yield Text(f"differs: {visible(str(one))}")
    for server, told in both.servers.items():
        for one in told:
            yield Text(f"differs: {visible(server)}: {visible(str(one))}")
    if both.pace is not None:
        was, now = both.pace
        yield Text(f"the CPU's yardstick: {was:.4g} → {now:.4g} GFLOPS ({now / was - 1:+.1%})")
    if not both.machine and not both.servers:
        yield Text("nothing that was recorded of machine and servers differs")


def _or_none(value: str | None) -> str:
    return "unknown" if value is None else value
