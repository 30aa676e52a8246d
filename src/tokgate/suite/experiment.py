"""Experiment: one hypothesis tested in blocks A B B A, one server alive at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from random import Random
from typing import Literal, NoReturn, TypeVar

import msgspec

from tokgate._exceptions import (
    DockerUnavailable,
    ImageMissing,
    LaunchError,
    ModelMissing,
    NotChecked,
    PortTaken,
    ServerExited,
)
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.server import DockerLaunch
from tokgate.judge.hypothesis import (
    arm_failed,
    decide,
    decide_share,
    invalid,
    not_treated,
    treated,
    within_reach,
)
from tokgate.judge.stats import Block
from tokgate.judge.verdict import Verdict
from tokgate.launch.server import Server
from tokgate.launch.start import start
from tokgate.measure.measurement import Measurement
from tokgate.measure.roofline import roofline, use
from tokgate.store.runs import RunWriter
from tokgate.suite.case import Watch, measure_case
from tokgate.suite.manipulation import differences, undeclared
from tokgate.suite.plan import Case, Experiment

T = TypeVar("T")
Arm = Literal["a", "b"]
Order = Literal["abba", "baab"]
LAUNCHES_ALONE = 2
"""Launches for each block asked for, of a hypothesis about one server."""

NOT_A_FINDING = (DockerUnavailable, ImageMissing, ModelMissing, PortTaken)
"""Why an arm was not tried, which says nothing about the arm."""
_NO_ROOFLINE = (
    "what the chip allows is not known: the profile names no hardware, or the server states too little of its "
    "model (bytes_per_token, parameters_per_token)"
)


class _BreakOff(Exception):
    """There is no room for another launch."""


class _Ended(Exception):
    """The experiment has its verdict early."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


def run_experiment(
    experiment: Experiment,
    writer: RunWriter,
    *,
    blocks: int,
    goes_on: Callable[[int], bool],
    around: Callable[[str], AbstractContextManager[Watch]],
) -> Verdict:
    """Check the treatment from inside both arms, then measure the blocks; each launch is on disk as it ends.

    blocks: at most so many; goes_on: asked before each launch with how many there were, and a block that
    is broken off does not count. around: entered while something runs, with its title.
    Raises RecordError, NotChecked: not one whole block.
    """
    orders = block_orders(experiment.hypothesis, blocks)
    try:
        run = _Run(experiment, writer, goes_on, around)
        if experiment.hypothesis.claim.reach is not None:
            return run.reach()
        return run.alone(LAUNCHES_ALONE * blocks) if len(experiment.arms) == 1 else run.blocks(orders)
    except _Ended as ended:
        return ended.verdict


def block_orders(hypothesis: Hypothesis, blocks: int) -> tuple[Order, ...]:
    """The order of each block, drawn with the hypothesis' name as seed."""
    draw = Random(hypothesis.name)
    return tuple(draw.choice(("abba", "baab")) for _ in range(blocks))


class _Run:
    def __init__(
        self,
        experiment: Experiment,
        writer: RunWriter,
        goes_on: Callable[[int], bool],
        around: Callable[[str], AbstractContextManager[Watch]],
    ) -> None:
        self.experiment, self.writer = experiment, writer
        self.goes_on, self.around = goes_on, around
        self.hypothesis = experiment.hypothesis
        self.metric = self.hypothesis.claim.metric or next(iter(experiment.arms.values())).workload.gated[0]
        self.other: Server | None = None
        self.launches: dict[Arm, int] = {"a": 0, "b": 0}

    def blocks(self, orders: tuple[Order, ...]) -> Verdict:
        done: list[Block] = []
        with suppress(_BreakOff):
            self._ask()
            # The arm that runs second is looked into first: the check then costs one start-up, not two.
            with self._launched("b" if orders[0] == "abba" else "a") as other:
                self.other = other
            for order in orders:
                done.append(self._block(order))  # noqa: PERF401 (what was done before a break counts)
        return decide(self.hypothesis, self._enough(done))

    def alone(self, launches: int) -> Verdict:
        """Arm A beside what the chip allows."""
        shares: list[float] = []
        with suppress(_BreakOff):
            for _ in range(launches):
                found = self._measured("a")
                used = use(found.roofline, self.metric, found.gated[self.metric])
                if used is None or (share := getattr(used, f"of_{self.hypothesis.claim.of}")) is None:
                    self._invalid(_NO_ROOFLINE)
                shares.append(share)
        return decide_share(self.hypothesis, self._enough(shares))

    def _ask(self) -> None:
        if not self.goes_on(sum(self.launches.values())):
            raise _BreakOff

    def _enough(self, done: list[T]) -> list[T]:
        if not done:
            raise NotChecked(f"{self.hypothesis.name}: the budget was spent before one block of it was done")
        return done

    def reach(self) -> Verdict:
        """What the chip allows arm A, without a launch."""
        case = self.experiment.arms["a"]
        model = case.server.model
        roof = roofline(
            case.hardware,
            bytes_per_token=model.bytes_read(context=0),
            parameters_per_token=model.parameters_per_token,
            streams=case.workload.concurrency,
        )
        used = use(roof, self.metric, 1.0)
        if used is None or used.possible is None:
            self._invalid(_NO_ROOFLINE)
        return within_reach(self.hypothesis, possible=used.possible)

    def _block(self, order: Order) -> Block:
        arms: tuple[Arm, Arm] = ("a", "b") if order == "abba" else ("b", "a")
        first, second = arms
        values = self._value(first), self._value(second), self._value(second), self._value(first)
        return Block(order=order, values=values)

    def _value(self, arm: Arm) -> float:
        """The claimed metric on a fresh launch of an arm."""
        return self._measured(arm).gated[self.metric]

    def _measured(self, arm: Arm) -> Measurement:
        """A valid measurement, which has the claimed metric, of a fresh launch of an arm."""
        self._ask()
        self.launches[arm] += 1
        launch = self.launches[arm]
        with self._launched(arm) as server:
            if self.other is not None:
                self._check(arm, server, self.other)
                self.other = None
            with self.around(f"{self.hypothesis.name}/{arm} · launch {launch}") as watch:
                found = measure_case(server, self._case(arm), launch=launch, watch=watch)
        name = f"{self.hypothesis.name}/{arm}"
        self.writer.add_measurement(msgspec.structs.replace(found, server=name))
        if not found.valid or self.metric not in found.gated:
            why = "; ".join(f"{one.rule}: {one.detail}" for one in found.problems) or f"no {self.metric}"
            self._invalid(f"launch {launch} of arm {arm.upper()} is not valid: {why}")
        return found

    def _case(self, arm: Arm) -> Case:
        return self.experiment.arms[arm]

    @contextmanager
    def _launched(self, arm: Arm) -> Iterator[Server]:
        spec = self._case(arm).server
        with ExitStack() as stack:
            try:
                with self.around(f"{self.hypothesis.name}/{arm} · starting"):
                    server = stack.enter_context(start(spec, log_dir=self.writer.folder / "logs"))
            except NOT_A_FINDING as error:
                self._invalid(f"arm {arm.upper()} could not be tried: {error}")
            except LaunchError as error:
                cause = error.root_cause if isinstance(error, ServerExited) else ""
                raise _Ended(arm_failed(self.hypothesis, arm, root_cause=cause or str(error))) from error
            yield server

    def _check(self, arm: Arm, server: Server, other: Server) -> None:
        """The treatment differs inside the arms, and nothing else does."""
        a, b = (server, other) if arm == "a" else (other, server)
        seen = differences(a, b)
        if not seen:
            same = "both arms are the same in arguments, image, environment, container, shm and settings"
            raise _Ended(not_treated(self.hypothesis, seen=same, remedy=_remedy(b)))
        if self.hypothesis.claim.untreated:
            told = "; ".join(f"{key} ({text})" for key, text in seen.items())
            raise _Ended(treated(self.hypothesis, seen=told))
        if more := undeclared(a.spec, b.spec, seen):
            told = "; ".join(f"{key} ({text})" for key, text in more.items())
            self._invalid(f"more than the treatment differs between the arms: {told}; make them equal in it")

    def _invalid(self, reason: str) -> NoReturn:
        raise _Ended(invalid(self.hypothesis, reason))


def _remedy(server: Server) -> str:
    launch = server.spec.launch
    if isinstance(launch, DockerLaunch) and launch.ipc == "host" and launch.shm_size is not None:
        return (
            f"both see a /dev/shm of {server.facts.shm_bytes} bytes, the host's: under ipc: host Docker "
            "ignores shm_size; set ipc: private in both arms"
        )
    return "check that the override changes what the engine reads at start"
