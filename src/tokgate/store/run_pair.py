"""Two run records side by side: the cells that both measured, those of only one, and the differences."""

from __future__ import annotations

import msgspec

from tokgate.judge.cell import CaseKey
from tokgate.judge.compare import Pair
from tokgate.machine.fingerprint import Difference, Fingerprint, find_differences
from tokgate.measure.measurement import Measurement, collect_gated
from tokgate.store.runs import RunRecord, group_launches, is_cell
from tokgate.store.summary import collect_server_facts


class RunPair(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of two records; arms of experiments are not cells.

    pairs: the cells that can be compared.
    only_a, only_b: what only one of them measured.
    unlike: by workload, the conditions that differ, so that its cells cannot be compared; None: the key is missing.
    invalid: number of invalid launches of A and of B.
    machine: differences between the boxes.
    servers: by server, differences of image, engine, arguments and settings between the first launches.
    """

    pairs: tuple[Pair, ...]
    only_a: tuple[CaseKey, ...]
    only_b: tuple[CaseKey, ...]
    unlike: dict[str, dict[str, tuple[str | None, str | None]]]
    invalid: dict[CaseKey, tuple[int, int]]
    machine: tuple[Difference, ...]
    servers: dict[str, tuple[Difference, ...]]


def pair_runs(a: RunRecord, b: RunRecord) -> RunPair:
    """Compare the contents of `a` and `b`, in the order of `a`."""
    cells_a, cells_b = (
        group_launches(launch for launch in run.measurements if is_cell(launch.server)) for run in (a, b)
    )
    both = [key for key in cells_a if key in cells_b]
    unlike = {workload: _unlike(a, b, workload) for workload in dict.fromkeys(key.workload for key in both)}
    values_a, values_b = (
        {key: collect_gated(launch.gated for launch in cells[key] if launch.valid) for key in both}
        for cells in (cells_a, cells_b)
    )
    lost = {key: (_lost(cells_a[key]), _lost(cells_b[key])) for key in both}
    first: dict[str, CaseKey] = {}
    for key in both:
        first.setdefault(key.server, key)
    return RunPair(
        pairs=tuple(
            Pair(
                server=key.server,
                workload=key.workload,
                metric=metric,
                a=values_a[key].get(metric, ()),
                b=values_b[key].get(metric, ()),
            )
            for key in both
            if not unlike[key.workload]
            for metric in collect_gated(launch.gated for launch in cells_a[key] + cells_b[key])
        ),
        only_a=tuple(key for key in cells_a if key not in cells_b),
        only_b=tuple(key for key in cells_b if key not in cells_a),
        unlike={workload: keys for workload, keys in unlike.items() if keys},
        invalid={key: counts for key, counts in lost.items() if any(counts)},
        machine=find_differences(a.fingerprint, b.fingerprint),
        servers={
            server: changes
            for server, key in first.items()
            if (changes := find_differences(_facts(cells_a[key]), _facts(cells_b[key])))
        },
    )


def _facts(launches: list[Measurement]) -> Fingerprint:
    return Fingerprint(collect_server_facts(launches[0].facts))


def _unlike(a: RunRecord, b: RunRecord, workload: str) -> dict[str, tuple[str | None, str | None]]:
    ours, theirs = a.conditions.get(workload, {}), b.conditions.get(workload, {})
    keys = dict.fromkeys((*ours, *theirs))
    return {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}


def _lost(launches: list[Measurement]) -> int:
    return sum(not launch.valid for launch in launches)
