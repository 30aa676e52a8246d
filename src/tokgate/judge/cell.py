"""Cell: one server x workload x metric to be judged, and what it is compared with."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from tokgate.judge.blocks import Design

ReferenceKind = Literal["launches", "nights", "figure", "pairs"]


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
    """What a cell is compared with: a baseline, or another server in the same run.

    values: one for each launch of an accepted run or for each of the last nights, or the one published figure,
        or (pairs) one of the other server for each launch of the cell, in the same order.
    label: what it is: "baseline of 2026-11-24, 10 launches".
    design: how the launches of pairs ran: of a duet, or next to each other in mirrored blocks; else None.
    """

    kind: ReferenceKind
    values: tuple[float, ...]
    label: str
    design: Design | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One server x workload x metric to be judged.

    current: one value for each launch.
    invalid: why the measurement is not valid; None if it is.
    tolerance: the drop (fraction) that is worth failing for.
    promise: the drop (fraction) that the run undertakes to detect.
    planned: launches of the plan, when the run may stop before them; early looks then cost no error.
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

    @property
    def key(self) -> CellKey:
        return CellKey(self.server, self.workload, self.metric)

    @property
    def unit(self) -> str:
        """What one value is: a launch, or a launch pair."""
        return "launch pair" if self.reference is not None and self.reference.kind == "pairs" else "launch"

    def add_launch(self, value: float, beside: float | None = None) -> Cell:
        """The cell after one more launch, of `value`. beside: for pairs, the other server's value."""
        reference = self.reference
        if reference is not None and beside is not None:
            reference = msgspec.structs.replace(reference, values=(*reference.values, beside))
        return msgspec.structs.replace(self, current=(*self.current, value), reference=reference)

    def drop_launch(self) -> Cell:
        """The cell before its last launch."""
        reference = self.reference
        if reference is not None and reference.kind == "pairs":
            reference = msgspec.structs.replace(reference, values=reference.values[:-1])
        return msgspec.structs.replace(self, current=self.current[:-1], reference=reference)
