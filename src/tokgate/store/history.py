"""History: what was measured of each cell over all runs, in the order it happened."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import msgspec

from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.index import open_index
from tokgate.store.summary import CellSummary, Provenance

RECENT = 20
"""Launches that say what the next one will cost."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a series.

    started: UTC, ISO 8601, to the millisecond. launches: one gated figure for each launch, in the unit of
    the metric's name; value: their geometric mean, 0 if one of them is not above zero.
    valid: whether every launch was. outcome: the verdict of the run, None where it gave none.
    provenance: measured by tokgate, or imported; source: the run, or the file it came from.
    fingerprint: facts of the machine and of the server; points that agree in all share one object.
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
    """Points that may be compared, in the order of time, at least one.

    fingerprint: id of the facts of the machine that must match; conditions: short hash of what the workload
    asked for. A changed workload, or another machine, is another series.
    """

    fingerprint: str
    server: str
    workload: str
    metric: str
    conditions: str
    points: tuple[Point, ...]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch of a cell takes, as the median of its last 20, in seconds; None where nothing tells.

    startup_s: until the server is ready; pass_s: warm-up and timed requests of the workload.
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
    """The series of all records below `out` that match, by server, workload and metric.

    fingerprint: a series' fingerprint id; since: an ISO date or time in UTC, itself included.
    Records that cannot be read are left out, and named by `unreadable`. Raises RecordError: no folder `out`.
    """
    found: dict[tuple[str, str, str, str, str], list[Point]] = {}
    with open_index(out) as index:
        for box, facts, cell in _cells(index, server, workload, fingerprint, since):
            for name, launches in cell.metrics.items():
                if metric is None or name == metric:
                    key = (cell.server, cell.workload, name, box, cell.conditions)
                    found.setdefault(key, []).append(_point(cell, name, launches, facts))
    return tuple(
        Series(
            server=key[0],
            workload=key[1],
            metric=key[2],
            fingerprint=key[3],
            conditions=key[4],
            points=tuple(points),
        )
        for key, points in sorted(found.items(), key=lambda item: item[0])
    )


def read_costs(out: Path, *, fingerprint: str | None = None) -> dict[tuple[str, str], Cost]:
    """By server and workload, what a launch takes on the machine of that fingerprint id. Raises RecordError."""
    cells: dict[tuple[str, str], list[CellSummary]] = {}
    with open_index(out) as index:
        for _, _, cell in _cells(index, None, None, fingerprint, None):
            if cell.provenance == "measured":
                cells.setdefault((cell.server, cell.workload), []).append(cell)
    return {
        key: Cost(
            startup_s=_recent([one for cell in past for one in cell.startup_s]),
            pass_s=_recent([one for cell in past for one in cell.pass_s]),
        )
        for key, past in cells.items()
    }


def unreadable(out: Path) -> tuple[str, ...]:
    """For each record below `out` that cannot be read: which, and why. Raises RecordError: no folder `out`."""
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

    Each once: a box's run may stand in the record of all boxes, and by itself.
    """
    facts = {
        key: (box, msgspec.json.decode(raw, type=Fingerprint))
        for key, box, raw in index.execute("SELECT id, box, facts FROM fingerprint")
    }
    wanted = {"server = ?": server, "workload = ?": workload, "started >= ?": since}
    given = {clause: value for clause, value in wanted.items() if value is not None}
    where = " AND ".join(["TRUE", *given])
    decoder = msgspec.json.Decoder(CellSummary)
    query = f"SELECT fingerprint, summary FROM cell WHERE {where} ORDER BY started, record"
    with closing(index.execute(query, tuple(given.values()))) as rows:
        seen = set()
        for key, summary in rows:
            box, one = facts[key]
            if fingerprint is None or box == fingerprint:
                cell = decoder.decode(summary)
                same = (cell.run_id, cell.server, cell.workload)
                if same in seen and cell.provenance == "measured":
                    continue
                seen.add(same)
                yield box, one, cell


def _point(cell: CellSummary, metric: str, launches: tuple[float, ...], facts: Fingerprint) -> Point:
    return Point(
        run_id=cell.run_id,
        started=cell.started,
        value=_mean(launches),
        launches=launches,
        valid=cell.valid,
        outcome=cell.outcomes.get(metric),
        provenance=cell.provenance,
        source=cell.source,
        fingerprint=facts,
    )


def _mean(launches: Sequence[float]) -> float:
    if len(launches) == 1:
        return launches[0]
    return math.exp(math.fsum(map(math.log, launches)) / len(launches)) if min(launches) > 0 else 0.0


def _recent(seconds: Sequence[float]) -> float | None:
    return median(seconds[-RECENT:]) if seconds else None
