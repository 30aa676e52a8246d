"""History: the values of each cell over all runs, in the order of time."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import msgspec

from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.identity import Identity, is_wanted
from tokgate.store.index import DamagedRow, decode_row, open_index
from tokgate.store.summary import CellSummary, Provenance

RECENT = 20
"""Number of launches that the cost of the next one is estimated from."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a series.

    started: when the run started; UTC, ISO 8601, to the millisecond.
    value: geometric mean of the launches; 0 if one of them is not above zero.
    launches: one value for each launch, in the unit of the metric.
    valid: whether every launch is valid.
    outcome: the verdict of the run; None if there is none.
    provenance: measured by tokgate, or imported.
    source: the run, or the imported file.
    fingerprint: facts of the machine and of the server; points with equal facts share one object.
    """

    run_id: str
    started: str
    value: float
    launches: tuple[float, ...]
    valid: bool
    outcome: Outcome | None
    provenance: Provenance
    source: str
    fingerprint: Fingerprint


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points that can be compared, at least one, in the order of time.

    fingerprint: id of the facts of the machine that must match.
    conditions: short hash of the conditions of the workload. A changed workload is another series.
    identity: which server it is. Another model, or another attached server, is another series.
    """

    fingerprint: str
    server: str
    workload: str
    metric: str
    conditions: str
    identity: Identity = {}
    points: tuple[Point, ...]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """The time that a launch of a cell takes: the median of the last launches, in seconds; None if unknown.

    startup_s: until the server is ready.
    pass_s: warm-up and timed requests of the workload.
    """

    startup_s: float | None
    pass_s: float | None


def read_history(
    out: Path,
    *,
    server: str | None = None,
    workload: str | None = None,
    metric: str | None = None,
    fingerprint: str | None = None,
    since: str | None = None,
) -> tuple[Series, ...]:
    """The matching series of all records in `out`, ordered by server, workload and metric.

    server, workload, metric: only series of this one.
    fingerprint: only series with this fingerprint id.
    since: only points from this ISO date or time on (UTC).
    Records that cannot be read are skipped; `list_unreadable` lists them. Raises RecordError: no folder `out`.
    """
    series: dict[tuple[str, str, str, str, str, tuple[tuple[str, str], ...]], list[Point]] = {}
    with open_index(out) as index:
        for box, facts, cell in _cells(index, server, workload, fingerprint, since):
            for name, launches in cell.metrics.items():
                if metric is None or name == metric:
                    key = (cell.server, cell.workload, name, box, cell.conditions, tuple(sorted(cell.identity.items())))
                    point = Point(
                        run_id=cell.run_id,
                        started=cell.started,
                        value=_mean(launches),
                        launches=launches,
                        valid=cell.valid,
                        outcome=cell.outcomes.get(name),
                        provenance=cell.provenance,
                        source=cell.source,
                        fingerprint=facts,
                    )
                    series.setdefault(key, []).append(point)
    names = ("server", "workload", "metric", "fingerprint", "conditions")
    return tuple(
        Series(**dict(zip(names, key[:-1], strict=True)), identity=dict(key[-1]), points=tuple(series[key]))
        for key in sorted(series)
    )


def read_costs(
    out: Path, *, fingerprint: str | None = None, identities: Mapping[str, Identity] = {}
) -> dict[tuple[str, str], Cost]:
    """By server and workload, the time of a launch on the machine with this fingerprint id.

    identities: by server, which one counts; any for a server that is not in it. Raises RecordError.
    """
    cells: dict[tuple[str, str], list[CellSummary]] = {}
    with open_index(out) as index:
        for _, _, cell in _cells(index, None, None, fingerprint, None):
            if cell.provenance == "measured" and is_wanted(cell.server, cell.identity, identities):
                cells.setdefault((cell.server, cell.workload), []).append(cell)
    return {
        key: Cost(
            startup_s=_recent([seconds for cell in past for seconds in cell.startup_s]),
            pass_s=_recent([seconds for cell in past for seconds in cell.pass_s]),
        )
        for key, past in cells.items()
    }


def list_unreadable(out: Path) -> tuple[str, ...]:
    """A message for each record in `out` that cannot be read. Raises RecordError: no folder `out`."""
    with open_index(out) as index:
        rows = index.execute("SELECT problem FROM record WHERE problem IS NOT NULL ORDER BY name")
        return tuple(problem for (problem,) in rows)


def _cells(
    index: sqlite3.Connection,
    server: str | None,
    workload: str | None,
    fingerprint: str | None,
    since: str | None,
) -> Iterator[tuple[str, Fingerprint, CellSummary]]:
    """Matching cells with the fingerprint's id and facts, in the order of time.

    Each once: the run of a box may be in the record of all boxes and in one of its own.
    """
    facts = {
        key: (box, decode_row(raw, Fingerprint))
        for key, box, raw in index.execute("SELECT id, box, facts FROM fingerprint")
    }
    filters = {"server = ?": server, "workload = ?": workload, "started >= ?": since}
    clauses = {clause: value for clause, value in filters.items() if value is not None}
    where = " AND ".join(["TRUE", *clauses])
    query = f"SELECT fingerprint, summary FROM cell WHERE {where} ORDER BY started, record"
    with closing(index.execute(query, tuple(clauses.values()))) as rows:
        seen = set()
        for key, summary in rows:
            if key not in facts:
                raise DamagedRow(f"no fingerprint {key}")
            box, fingerprint_facts = facts[key]
            if fingerprint is None or box == fingerprint:
                cell = decode_row(summary, CellSummary)
                same = (cell.run_id, cell.server, cell.workload)
                if same in seen and cell.provenance == "measured":
                    continue
                seen.add(same)
                yield box, fingerprint_facts, cell


def _mean(launches: Sequence[float]) -> float:
    if len(launches) == 1:
        return launches[0]
    return math.exp(math.fsum(map(math.log, launches)) / len(launches)) if min(launches) > 0 else 0.0


def _recent(seconds: Sequence[float]) -> float | None:
    return median(seconds[-RECENT:]) if seconds else None
