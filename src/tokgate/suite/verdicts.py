"""Verdicts: what one run measured of its cells, and what is decided of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tokgate.judge.cell import Cell
from tokgate.judge.looks import Key, Looks
from tokgate.judge.plan import Driven
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.measure.measurement import Answers, Measurement
from tokgate.store.baselines import yardsticks
from tokgate.suite.plan import Plan
from tokgate.suite.reference import References


class Verdicts:
    """The family of cells of one run. family: every metric it will judge."""

    def __init__(self, plan: Plan, family: Sequence[Key], references: References) -> None:
        self.family = tuple(family)
        self._plan, self._references = plan, references
        self._looks = Looks(family=len(self.family))
        self._measured: dict[tuple[str, str, int], Measurement] = {}
        self._failed: dict[tuple[str, int], str] = {}

    @property
    def driven(self) -> tuple[Driven, ...]:
        """What the family needs measured."""
        return tuple(dict.fromkeys((server, workload) for server, workload, _ in self.family))

    @property
    def awaiting(self) -> tuple[Driven, ...]:
        """What must be measured on one launch more, to confirm a regression."""
        return tuple(dict.fromkeys((server, workload) for server, workload, _ in self._looks.awaiting))

    @property
    def decided(self) -> dict[Key, Verdict]:
        """In the order of the family."""
        return {key: self._looks.decided[key] for key in self.family if key in self._looks.decided}

    @property
    def used(self) -> Counter[Driven]:
        """Launches measured."""
        return Counter((server, workload) for server, workload, _ in self._measured)

    def is_decided(self, driven: Driven) -> bool:
        """Whether every metric of a workload that is judged is decided; False when none is judged."""
        keys = [key for key in self.family if key[:2] == driven]
        return bool(keys) and all(key in self._looks.decided for key in keys)

    def add(self, measured: Measurement) -> None:
        self._measured[measured.server, measured.workload, measured.launch] = measured

    def add_failure(self, server: str, launch: int, why: str) -> None:
        """A launch that could not be had makes the server's cells invalid."""
        self._failed[server, launch] = why

    def measured(self, driven: Driven, launch: int) -> Measurement | None:
        return self._measured.get((*driven, launch))

    def answers(self, server: str) -> Answers | None:
        """What the model of this server answered when its baseline was accepted."""
        return self._references.answers(server)

    def look(self, driven: Iterable[Driven], planned: Mapping[Driven, int] | None = None) -> None:
        """Judge these by what there is. planned: launches of the plan, when it may stop before them."""
        wanted = set(driven)
        self._looks.look([self._cell(key, planned) for key in self.family if key[:2] in wanted])

    def end(self, *, why: str) -> None:
        """Decide what is open by the launches it had; what had none stays open. why: no more will follow."""
        cells = [self._cell(key, None) for key in self.family if key not in self._looks.decided]
        self._looks.end([cell for cell in cells if cell.current], why=why)

    def _cell(self, key: Key, planned: Mapping[Driven, int] | None) -> Cell:
        server, workload, metric = key
        launches = [one for at, one in sorted(self._measured.items()) if at[:2] == key[:2]]
        gated = [{str(name): value for name, value in one.gated.items()} for one in launches]
        reference, _ = self._references.of(key)
        tolerance, promise = self._plan.cell(server, workload).limits(metric)
        return Cell(
            server=server,
            workload=workload,
            metric=metric,
            current=tuple(one[metric] for one in gated if metric in one),
            reference=reference,
            invalid=self._why_invalid(server, launches),
            tolerance=tolerance,
            promise=promise,
            planned=None if planned is None else planned[server, workload],
            cpu_gflops=yardsticks(launches),
        )

    def _why_invalid(self, server: str, launches: Sequence[Measurement]) -> str | None:
        for (name, launch), why in self._failed.items():
            if name == server:
                return f"launch {launch} failed: {why}"
        for one in launches:
            if not one.valid:
                return f"launch {one.launch}: {one.problems[0].rule}: {one.problems[0].detail}"
        return None if launches else "nothing was measured"

    def told(self) -> tuple[Verdict, ...]:
        """The verdicts for the record: where there is no baseline, the reason says why and what to do."""
        return tuple(self.verdict(key) for key in self.decided)

    def verdict(self, key: Key) -> Verdict:
        """Raises KeyError: not decided."""
        verdict = self._looks.decided[key]
        if verdict.outcome is not Outcome.NO_BASELINE:
            return verdict
        return msgspec.structs.replace(verdict, reason=self._references.of(key)[1])
