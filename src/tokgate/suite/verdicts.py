"""Verdicts: the measured launches of one run, and what is decided about its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tokgate.judge.cell import CaseKey, Cell, CellKey
from tokgate.judge.looks import Looks
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.launch.server import Server
from tokgate.measure.measurement import Answers, Measurement
from tokgate.store.identity import Identity, list_identity_changes, read_identity
from tokgate.suite.plan import RunPlan
from tokgate.suite.reference import References


class Verdicts:
    """The family of cells of one run. family: every metric that it will judge."""

    def __init__(self, plan: RunPlan, family: Sequence[CellKey], references: References) -> None:
        self.family = tuple(family)
        self._plan, self._references = plan, references
        self._looks = Looks(family=len(self.family))
        self._measured: dict[tuple[CaseKey, int], Measurement] = {}
        self._failed: dict[tuple[str, int], str] = {}

    @property
    def cases(self) -> tuple[CaseKey, ...]:
        """The cases that must be measured."""
        return tuple(dict.fromkeys(key.case for key in self.family))

    @property
    def awaiting(self) -> tuple[CaseKey, ...]:
        """The cases that need one more launch, to confirm a regression."""
        return tuple(dict.fromkeys(key.case for key in self._looks.awaiting))

    @property
    def decided(self) -> dict[CellKey, Verdict]:
        """In the order of the family."""
        return {key: self._looks.decided[key] for key in self.family if key in self._looks.decided}

    @property
    def used(self) -> Counter[CaseKey]:
        """Launches measured."""
        return Counter(case for case, _ in self._measured)

    def is_decided(self, case: CaseKey) -> bool:
        """Whether every metric of a workload that is judged is decided; False when none is judged."""
        keys = [key for key in self.family if key.case == case]
        return bool(keys) and all(key in self._looks.decided for key in keys)

    def add(self, measurement: Measurement) -> None:
        self._measured[CaseKey(measurement.server, measurement.workload), measurement.launch] = measurement

    def add_failure(self, server: str, launch: int, why: str) -> None:
        """Make the server's cells invalid, because a launch failed."""
        self._failed[server, launch] = why

    def find_measurement(self, case: CaseKey, launch: int) -> Measurement | None:
        return self._measured.get((case, launch))

    def launches(self, case: CaseKey) -> dict[int, Measurement]:
        """The measured launches of a case, by number."""
        return {launch: run for (key, launch), run in sorted(self._measured.items()) if key == case}

    def answers(self, live: Server) -> Answers | None:
        """What the model of this server answered when its baseline was accepted."""
        return self._references.answers(live.spec.name, read_identity(live.facts))

    def look(self, cases: Iterable[CaseKey], planned: Mapping[CaseKey, int] | None = None) -> None:
        """Judge these from the available data. planned: launches of the plan, when it may stop before them."""
        wanted = set(cases)
        self._looks.look([self._cell(key, planned) for key in self.family if key.case in wanted])

    def end(self, *, why: str) -> None:
        """Decide open cells from their launches; cells without launches stay open. why: no more launches will follow."""
        cells = [self._cell(key, None) for key in self.family if key not in self._looks.decided]
        self._looks.end([cell for cell in cells if cell.current], why=why)

    def _cell(self, key: CellKey, planned: Mapping[CaseKey, int] | None) -> Cell:
        server, workload, metric = key
        launches = [launch for (case, _), launch in sorted(self._measured.items()) if case == key.case]
        reference, _ = self._references.of(key, self._identify(server))
        tolerance, promise = self._plan.case(server, workload).limits(metric)
        return Cell(
            server=server,
            workload=workload,
            metric=metric,
            current=tuple(launch.gated[metric] for launch in launches if metric in launch.gated),
            reference=reference,
            invalid=self._why_invalid(server, launches),
            tolerance=tolerance,
            promise=promise,
            planned=None if planned is None else planned[key.case],
        )

    def _why_invalid(self, server: str, launches: Sequence[Measurement]) -> str | None:
        for (name, launch), why in self._failed.items():
            if name == server:
                return f"launch {launch} failed: {why}"
        for run in launches:
            if not run.valid:
                return f"launch {run.launch}: {run.problems[0].rule}: {run.problems[0].detail}"
            if changes := list_identity_changes(self._identify(server) or {}, read_identity(run.facts)):
                return f"launch {run.launch} is another server than the first: {', '.join(changes)}"
        return None if launches else "nothing was measured"

    def _identify(self, server: str) -> Identity | None:
        """Which server the first measured launch found; None before it."""
        facts = (run.facts for (case, _), run in self._measured.items() if case.server == server)
        return next(map(read_identity, facts), None)

    def with_reasons(self) -> tuple[Verdict, ...]:
        """The verdicts for the record: where there is no baseline, the reason says why and what to do."""
        return tuple(self.verdict(key) for key in self.decided)

    def verdict(self, key: CellKey) -> Verdict:
        """Raises KeyError: not decided."""
        verdict = self._looks.decided[key]
        if verdict.outcome is not Outcome.NO_BASELINE:
            return verdict
        return msgspec.structs.replace(verdict, reason=self._references.of(key, self._identify(key.server))[1])
