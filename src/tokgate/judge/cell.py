"""Cell: one server x workload x metric to be judged, and what it is compared with."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec


class CaseKey(NamedTuple):
    """Names what is driven: a server under a workload."""

    server: str
    workload: str


class CellKey(NamedTuple):
    """Names what one verdict is about."""

    server: str
    workload: str
    metric: str

    @property
    def case(self) -> CaseKey:
        return CaseKey(self.server, self.workload)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a baseline offers for one metric.

    values: one for each launch of an accepted run or for each of the last nights, or the one published figure.
    label: what it is: "baseline of 2026-11-24, 10 launches".
    cpu_gflops: the machine's CPU benchmark at each value; empty where it was not run.
    """

    kind: Literal["launches", "nights", "figure"]
    values: tuple[float, ...]
    label: str
    cpu_gflops: tuple[float, ...] = ()


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One server x workload x metric to be judged.

    current: one value for each launch.
    invalid: why the measurement is not valid; None if it is.
    tolerance: the drop (fraction) that is worth failing for.
    promise: the drop (fraction) that the run undertakes to detect.
    planned: launches of the plan, when the run may stop before them; early looks then cost no error.
    cpu_gflops: the machine's CPU benchmark at each launch; empty where it was not run.
    """

    server: str
    workload: str
    metric: str
    current: tuple[float, ...]
    reference: Reference | None
    invalid: str | None
    tolerance: float
    promise: float
    planned: int | None = None
    cpu_gflops: tuple[float, ...] = ()

    @property
    def key(self) -> CellKey:
        return CellKey(self.server, self.workload, self.metric)
