"""Two run records beside each other: what both measured, what only one did, and in what they differ."""

from __future__ import annotations

from statistics import median

import msgspec

from tokgate.judge.cell import CaseKey
from tokgate.judge.compare import Pair
from tokgate.machine.fingerprint import Difference, Fingerprint, differences
from tokgate.measure.measurement import Measurement
from tokgate.store.baselines import yardsticks
from tokgate.store.runs import RunRecord, is_cell
from tokgate.store.summary import server_facts


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What two records hold of the same cells; arms of experiments are no cells.

    pairs: what can be compared. only_a, only_b: measured by one alone. unlike: by workload, the conditions in
    which the two differ, so that its cells are not compared; None is a key that one does not have.
    invalid: by cell, launches of A and of B that count for nothing. machine: in what the boxes differ;
    servers: by server, in what its image, engine, arguments and settings do (of its first launches).
    pace: the medians of the machine's yardstick in A and in B (GFLOPS), None where one did not take it.
    """

    pairs: tuple[Pair, ...]
    only_a: tuple[CaseKey, ...]
    only_b: tuple[CaseKey, ...]
    unlike: dict[str, dict[str, tuple[str | None, str | None]]]
    invalid: dict[CaseKey, tuple[int, int]]
    machine: tuple[Difference, ...]
    servers: dict[str, tuple[Difference, ...]]
    pace: tuple[float, float] | None


def beside(a: RunRecord, b: RunRecord) -> Beside:
    """`a` and `b` side by side, in the order of `a`."""
    cells_a, cells_b = _cells(a), _cells(b)
    both = [key for key in cells_a if key in cells_b]
    unlike = {workload: _unlike(a, b, workload) for workload in dict.fromkeys(key.workload for key in both)}
    lost = {key: (_lost(cells_a[key]), _lost(cells_b[key])) for key in both}
    first: dict[str, CaseKey] = {}
    for key in both:
        first.setdefault(key.server, key)
    paces = [
        yardsticks(one for launches in cells.values() for one in launches) for cells in (cells_a, cells_b)
    ]
    return Beside(
        pairs=tuple(
            Pair(
                server=key.server,
                workload=key.workload,
                metric=metric,
                a=_values(cells_a[key], metric),
                b=_values(cells_b[key], metric),
            )
            for key in both
            if not unlike[key.workload]
            for metric in dict.fromkeys(name for one in cells_a[key] + cells_b[key] for name in one.gated)
        ),
        only_a=tuple(key for key in cells_a if key not in cells_b),
        only_b=tuple(key for key in cells_b if key not in cells_a),
        unlike={workload: keys for workload, keys in unlike.items() if keys},
        invalid={key: counts for key, counts in lost.items() if any(counts)},
        machine=differences(a.fingerprint, b.fingerprint),
        servers={
            server: found
            for server, key in first.items()
            if (found := differences(_facts(cells_a[key]), _facts(cells_b[key])))
        },
        pace=(median(paces[0]), median(paces[1])) if all(paces) else None,
    )


def _cells(record: RunRecord) -> dict[CaseKey, list[Measurement]]:
    cells: dict[CaseKey, list[Measurement]] = {}
    for one in record.measurements:
        if is_cell(one.server):
            cells.setdefault(CaseKey(one.server, one.workload), []).append(one)
    return cells


def _facts(launches: list[Measurement]) -> Fingerprint:
    return Fingerprint(server_facts(launches[0].facts))


def _unlike(a: RunRecord, b: RunRecord, workload: str) -> dict[str, tuple[str | None, str | None]]:
    ours, theirs = a.conditions.get(workload, {}), b.conditions.get(workload, {})
    keys = dict.fromkeys((*ours, *theirs))
    return {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}


def _values(launches: list[Measurement], metric: str) -> tuple[float, ...]:
    return tuple(launch.gated[metric] for launch in launches if launch.valid and metric in launch.gated)


def _lost(launches: list[Measurement]) -> int:
    return sum(not one.valid for one in launches)
