"""What each cell of a run is compared with: its stored baseline or, without one, the nights before."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from statistics import fmean

from tokgate._exceptions import SpecError, UsageError
from tokgate.config.words import format_count
from tokgate.judge.cell import CellKey, Reference
from tokgate.measure.measurement import Answers
from tokgate.store.baselines import (
    Baseline,
    BaselineCell,
    explain_incomparable,
    explain_other_server,
    read_baseline,
)
from tokgate.store.identity import Identity
from tokgate.store.runs import RunRecord
from tokgate.suite.past import NIGHTS, Past


class References:
    """The references of one run. folder: its baselines; past: the runs before it."""

    def __init__(self, folder: Path, record: RunRecord, past: Past) -> None:
        self._record, self._past = record, past
        self._baseline = cache(lambda server: read_baseline(folder / f"{server}.yaml"))

    def check(self, servers: Iterable[str]) -> None:
        """Read the baselines of these servers. Raises UsageError with a line for each that is wrong."""
        problems = []
        for server in servers:
            try:
                self._baseline(server)
            except SpecError as error:
                problems.append(str(error))
        if problems:
            raise UsageError("\n".join(problems))

    def of(self, key: CellKey, identity: Identity | None = None) -> tuple[Reference | None, str]:
        """The reference of this cell, or None and the reason why there is none.

        identity: of the live server; None before it is started.
        Raises RecordError; SpecError, unless `check` found none.
        """
        server, workload, metric = key
        baseline: Baseline | None = self._baseline(server)
        if baseline is None or baseline.provenance == "nights":
            return self._nights(key, baseline, identity)
        if (other := self._explain_other(baseline, server, identity)) is not None:
            return None, f"{other}; {self._advise(server)}"
        gap = explain_incomparable(
            baseline,
            workload,
            conditions=self._record.conditions[workload],
            fingerprint=self._record.fingerprint,
        )
        if gap is not None:
            return None, gap
        cell = baseline.cells[workload]
        values = cell.metrics.get(metric)
        if not values:
            return None, f"the baseline has no {metric}"
        return _stored(baseline, cell, values), ""

    def reported_tps(self, server: str) -> float | None:
        """The decode rate of one stream that the server's baseline states, wherever it was measured. Raises SpecError."""
        baseline: Baseline | None = self._baseline(server)
        if baseline is None or baseline.provenance == "estimate" or self._explain_other(baseline, server):
            return None
        stated = (cell.metrics.get("decode_tps") for cell in baseline.cells.values())
        # One stream alone is the fastest, so the highest rate is that of a workload with one user.
        return max((fmean(values) for values in stated if values), default=None)

    def answers(self, server: str, identity: Identity) -> Answers | None:
        """The canary answers in the server's baseline, if it belongs to the live server. Raises SpecError."""
        baseline: Baseline | None = self._baseline(server)
        if baseline is None or self._explain_other(baseline, server, identity):
            return None
        return baseline.canary

    def _explain_other(self, baseline: Baseline, server: str, live: Identity | None = None) -> str | None:
        return explain_other_server(baseline, server, live or self._record.identities.get(server, {}))

    def _nights(
        self, key: CellKey, baseline: Baseline | None, identity: Identity | None
    ) -> tuple[Reference | None, str]:
        points = self._past.points(key, since=str(baseline.date) if baseline else "", identity=identity)
        if len(points) >= NIGHTS[0]:
            label = f"the last {len(points)} nights, {points[0].started[:10]} to {points[-1].started[:10]}"
            values = tuple(point.value for point in points)
            return Reference(kind="nights", values=values, label=label), ""
        seen = f"{len(points)} of the {NIGHTS[0]} nights it takes"
        if baseline is not None:
            return None, f"it is compared with its nights since {baseline.date}, and there are {seen}"
        return None, f"no baseline is stored; {self._advise(key.server)} (without: {seen} instead)"

    def _advise(self, server: str) -> str:
        return f"`tokgate baseline accept {self._record.run_id} --server {server}` makes this run one"


def _stored(baseline: Baseline, cell: BaselineCell, values: tuple[float, ...]) -> Reference:
    source, date = cell.source or baseline.source, cell.date or baseline.date
    if baseline.provenance == "measured":
        launches = format_count(len(values), "launch")
        limits = baseline.quiet.describe_own() if baseline.quiet else ""
        forced = f"accepted by force: {baseline.forced}" if baseline.forced else ""
        label = f"baseline of {date} ({', '.join(filter(None, (source, launches, limits, forced)))})"
        return Reference(kind="launches", values=values, label=label)
    label = f"one figure {baseline.provenance} on {date} ({source})"
    return Reference(kind="figure", values=values[:1], label=label)
