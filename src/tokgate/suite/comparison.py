"""Comparison: arms under one workload, launched in the order that a question asks for, as blocks to judge.

Hypotheses (`experiment`) and searches (`bisect`) are questions to it; `judge.stats.contrast` estimates the
answer from the blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from tokgate._exceptions import (
    DockerUnavailable,
    ImageMissing,
    LaunchError,
    ModelMissing,
    PortTaken,
    ServerExited,
)
from tokgate.judge.blocks import Block, OutOfTime, Unmeasured
from tokgate.launch.server import Server
from tokgate.measure.measurement import Measurement
from tokgate.suite.live import Live
from tokgate.suite.plan import Case

NOT_TRIED = (DockerUnavailable, ImageMissing, ModelMissing, PortTaken)
"""Why an arm was not tried: the machine's fault, which says nothing about the arm."""

Design = Callable[["Comparison", tuple[str, ...]], Block]
"""Measures one block: which arms are launched, in which order, and which are alive at the same time."""


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


def launch_mirrored(comparison: Comparison, order: tuple[str, ...]) -> Block:
    """One arm alive at a time, each on two new launches: in this order, then in the reverse (A B B A)."""
    values = tuple(comparison.measure_value(arm) for arm in (*order, *reversed(order)))
    return Block(arms=order, values=values)


class Comparison:
    """Arms that are compared by one metric.

    arms: by name. Each server has a name of its own, under which the record keeps its launches.
    live: starts and measures them, and keeps each measurement.
    metric: what each valid measurement must have, above zero.
    goes_on: asked before each launch, with the number of launches so far, whether there is time for it.
    tries: launches in place of one that is not valid.
    design: how a block is measured.
    """

    def __init__(
        self,
        arms: Mapping[str, Case],
        live: Live,
        *,
        metric: str,
        goes_on: Callable[[int], bool],
        tries: int = 1,
        design: Design = launch_mirrored,
    ) -> None:
        self.arms, self.live, self.metric = arms, live, metric
        self._goes_on, self._tries, self._design = goes_on, tries, design
        self._launches: Counter[str] = Counter()

    def measure_block(self, order: tuple[str, ...]) -> Block:
        """One block of these arms. Raises OutOfTime, ArmNotTried, RecordError; Unmeasured: an arm has no value."""
        return self._design(self, order)

    def measure_value(self, arm: str) -> float:
        """The metric on a new launch of an arm. Raises as `measure_block`."""
        return float(self.measure(arm).gated[self.metric])

    def measure(self, arm: str) -> Measurement:
        """A valid measurement, with the metric, of a new launch of an arm. Raises as `measure_block`."""
        why = ""
        for _ in range(self._tries):
            self._ask()
            self._launches[arm] += 1
            launch = self._launches[arm]
            self._start(arm, launch)
            measurement = self.live.measure(self.arms[arm], launch)
            self.live.stop()
            if measurement.valid and measurement.gated.get(self.metric, 0) > 0:
                return measurement
            problems = [f"{problem.rule}: {problem.detail}" for problem in measurement.problems]
            why = f"launch {launch} is not valid: {'; '.join(problems) or f'no {self.metric}'}"
        if self._tries > 1:
            why = f"none of {self._tries} launches was valid; {why}"
        raise Unmeasured(arm, why)

    def look_inside(self, order: tuple[str, ...]) -> dict[str, Server]:
        """Start each arm once and give the servers, whose facts say what each is like inside.

        order: of the first block. Its first arm starts last and stays alive for its first measurement, so
        that looking costs one start less. Raises as `measure_block`.
        """
        self._ask()
        looks = {arm: self._start(arm, launch=1 if arm == order[0] else 0) for arm in reversed(order)}
        return {arm: looks[arm] for arm in self.arms}

    def _ask(self) -> None:
        if not self._goes_on(self._launches.total()):
            raise OutOfTime

    def _start(self, arm: str, launch: int) -> Server:
        try:
            return self.live.start(self.arms[arm].server, launch)
        except NOT_TRIED as error:
            raise ArmNotTried(arm, error) from error
        except LaunchError as error:
            cause = error.root_cause if isinstance(error, ServerExited) else ""
            raise ArmFailed(arm, cause or str(error)) from error
