"""Comparison: arms under the same workloads, launched in the order that a question asks for, as blocks to judge.

Hypotheses (`experiment`), `--tokgate-against` (`against`) and searches (`bisect`) are questions to it;
`judge.stats.contrast` estimates the answer from the blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tokgate._exceptions import LaunchError, PortTaken, ServerExited
from tokgate.judge.blocks import Block, Design, OutOfTime, Unmeasured, pair_rounds
from tokgate.launch.server import Server
from tokgate.measure.measurement import Measurement
from tokgate.suite.live import MISSING, Live
from tokgate.suite.plan import Case
from tokgate.suite.room import NoRoom

NOT_TRIED = (*MISSING, PortTaken)
"""Why an arm was not tried: the machine's fault, which says nothing about the arm."""


class ArmFailed(Unmeasured):
    """An arm does not start. root_cause: the log line that explains it, or the error."""

    def __init__(self, arm: str, root_cause: str) -> None:
        self.root_cause = root_cause
        super().__init__(arm, f"does not start: {root_cause}")


class ArmNotTried(Exception):
    """An arm could not be tried, because of something that is missing on this machine."""

    def __init__(self, arm: str, error: LaunchError) -> None:
        self.arm, self.error = arm, error
        super().__init__(str(error))


class Launches(msgspec.Struct, frozen=True, kw_only=True):
    """The launches of one block: one of each arm in a duet, two in mirrored order.

    arms: in the order of the block.
    measured: of each launch, as they ran, its measurement by workload.
    """

    arms: tuple[str, ...]
    measured: tuple[dict[str, Measurement], ...]

    @property
    def design(self) -> Design:
        return "duet" if len(self.measured) == len(self.arms) else "blocks"

    def block(self, workload: str, metric: str) -> Block:
        """One metric of one workload. Raises Unmeasured: a launch is not valid, or has no such metric."""
        launches = [of_launch[workload] for of_launch in self.measured]
        order = self.arms if self.design == "duet" else (*self.arms, *reversed(self.arms))
        for arm, measurement in zip(order, launches, strict=True):
            if (why := explain_gap(measurement, metric)) is not None:
                raise Unmeasured(arm, why)
        if self.design == "blocks":
            return Block(arms=self.arms, values=tuple(launch.gated[metric] for launch in launches))
        rounds = {arm: launch.rounds[metric] for arm, launch in zip(order, launches, strict=True)}
        return pair_rounds(rounds, self.arms)


class Comparison:
    """Arms that are compared.

    arms: by name, each under the same workloads. Each server has a name of its own, under which the record keeps
        its launches.
    live: starts and measures them, and keeps each measurement.
    goes_on: asked before each launch, with the number of launches so far, whether there is time for it; a duet
        counts as a whole block.
    metric: what a launch of an arm alone must be valid for; None keeps those that are not, for the question to judge, as
        those of a duet are (`Launches.block`).
    tries: launches in place of one that is not valid.
    design: None is a duet where the arms fit next to each other, and blocks elsewhere.
    """

    def __init__(
        self,
        arms: Mapping[str, Sequence[Case]],
        live: Live,
        *,
        goes_on: Callable[[int], bool],
        metric: str | None = None,
        tries: int = 1,
        design: Design | None = None,
    ) -> None:
        self.arms, self.live, self.metric, self.design = arms, live, metric, design
        self.why_blocks = ""
        """Why the design is `blocks`, where it was to be a duet."""
        self._goes_on, self._tries = goes_on, tries
        self._launches: Counter[str] = Counter()
        self._asked = 0

    def measure_block(self, order: tuple[str, ...], workloads: Sequence[str] | None = None) -> Launches:
        """One block of these arms. workloads: the names of those to measure; None is all.

        Raises OutOfTime, ArmNotTried, RecordError; Unmeasured: an arm does not start, or with `metric` is not valid.
        """
        names = workloads or [case.workload.name for case in self.arms[order[0]]]
        if self.design != "blocks":
            try:
                return self._measure_together(order, names)
            except NoRoom as why:
                self.design, self.why_blocks = "blocks", str(why)
        mirrored = (*order, *reversed(order))
        return Launches(arms=order, measured=tuple(self.measure(arm, names) for arm in mirrored))

    def measure(self, arm: str, workloads: Sequence[str]) -> dict[str, Measurement]:
        """A new launch of an arm alone, by workload. Raises as `measure_block`."""
        why = ""
        for _ in range(self._tries):
            self._ask(1)
            self._launches[arm] += 1
            launch = self._launches[arm]
            self._start(arm, launch)
            measurements = {name: self.live.measure(self._case(arm, name), launch) for name in workloads}
            self.live.stop()
            if self.metric is None:
                return measurements
            gaps = [gap for run in measurements.values() if (gap := explain_gap(run, self.metric)) is not None]
            if not gaps:
                return measurements
            why = gaps[0]
        if self._tries > 1:
            why = f"none of {self._tries} launches was valid; {why}"
        raise Unmeasured(arm, why)

    def look_inside(self, order: tuple[str, ...]) -> dict[str, Server]:
        """Start each arm and give the servers, whose facts say what each is like inside.

        order: of the first block, whose launches these are where that is possible: all arms of a duet; of a block
        its first arm, which starts last and stays alive. Raises as `measure_block`.
        """
        self._ask(0)
        if self.design != "blocks":
            try:
                return self._start_together(order, launch=1)
            except NoRoom as why:
                self.design, self.why_blocks = "blocks", str(why)
        looks = {arm: self._start(arm, launch=1 if arm == order[0] else 0) for arm in reversed(order)}
        return {arm: looks[arm] for arm in self.arms}

    def _measure_together(self, order: tuple[str, ...], workloads: Sequence[str]) -> Launches:
        self._ask(0)
        launch = max(self._launches.values(), default=0) + 1
        self._start_together(order, launch)
        self._asked += 2 * len(order)
        for arm in order:
            self._launches[arm] = launch
        by_arm: dict[str, dict[str, Measurement]] = {arm: {} for arm in order}
        for name in workloads:
            try:
                together = self.live.measure_together({arm: self._case(arm, name) for arm in order}, launch)
            except LaunchError as error:
                raise Unmeasured(self._find_arm(error.server), str(error)) from error
            for arm in order:
                by_arm[arm][name] = together[arm]
        self.live.stop()
        return Launches(arms=order, measured=tuple(by_arm[arm] for arm in order))

    def _start_together(self, order: tuple[str, ...], launch: int) -> dict[str, Server]:
        """Raises NoRoom, also when one of them does not start: it may start alone, and if not, that will say why."""
        try:
            servers = self.live.start_together({arm: self.arms[arm][0].server for arm in order}, launch)
        except LaunchError as error:
            if self.design == "duet":
                raise Unmeasured(self._find_arm(error.server), f"does not start: {error}") from error
            raise NoRoom(f"{error.server} does not start next to the others: {error}") from error
        self.design = "duet"
        return {arm: servers[arm] for arm in self.arms}

    def _case(self, arm: str, workload: str) -> Case:
        return next(case for case in self.arms[arm] if case.workload.name == workload)

    def _find_arm(self, server: str) -> str:
        return next((arm for arm, cases in self.arms.items() if cases[0].server.name == server), server)

    def _ask(self, launches: int) -> None:
        """launches: how many this one counts as."""
        if not self._goes_on(self._asked):
            raise OutOfTime
        self._asked += launches

    def _start(self, arm: str, launch: int) -> Server:
        try:
            return self.live.start(self.arms[arm][0].server, launch)
        except NOT_TRIED as error:
            raise ArmNotTried(arm, error) from error
        except LaunchError as error:
            cause = error.root_cause if isinstance(error, ServerExited) else ""
            raise ArmFailed(arm, cause or str(error)) from error


def explain_gap(measurement: Measurement, metric: str) -> str | None:
    """Why a launch has no valid value of this metric; None when it has."""
    if measurement.valid and measurement.gated.get(metric, 0) > 0 and metric in (measurement.rounds or {metric: ()}):
        return None
    problems = [f"{problem.rule}: {problem.detail}" for problem in measurement.problems]
    return f"launch {measurement.launch} is not valid: {'; '.join(problems) or f'no {metric}'}"
