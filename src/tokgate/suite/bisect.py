"""Bisect: the images of one server, each launched and measured as the search asks, and kept in a run's record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from tokgate._exceptions import ImageMissing, LaunchError, ServerExited, UsageError
from tokgate.config.profile import Profile
from tokgate.judge.bisect import Bisection, OutOfTime, Step, Unmeasured, bisect
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.daemon import ask_daemon, image_command
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.case import Watch, measure_case
from tokgate.suite.experiment import NOT_A_FINDING
from tokgate.suite.live import Live
from tokgate.suite.plan import Case, RunPlan
from tokgate.suite.record import open_run

TRIES = 3
"""Launches in place of one, when it is not valid: what disturbed it is mostly over by then."""

_OUTCOME = {
    "fast": Outcome.PASS,
    "slow": Outcome.REGRESSED,
    "undecided": Outcome.INCONCLUSIVE,
    "failed": Outcome.ARM_FAILED,
}


def row_of(good: str, bad: str, tags: Sequence[str]) -> tuple[str, ...]:
    """The images from good to bad; a tag without `/`, `:` or `@` is one of the good image's repository.

    Raises UsageError: no image between the two, or one twice.
    """
    path, _, name = good.partition("@")[0].rpartition("/")
    repository = f"{path}/{name.partition(':')[0]}".removeprefix("/")
    between = [tag if set(tag) & set("/:@") else f"{repository}:{tag}" for tag in tags if tag]
    between = between[1:] if between[:1] == [good] else between
    between = between[:-1] if between[-1:] == [bad] else between
    images = (good, *between, bad)
    if not between:
        raise UsageError(
            "--tags names no image between --good and --bad: give those in the order they were made"
        )
    twice = [image for image, count in Counter(images).items() if count > 1]
    if twice:
        raise UsageError(f"image {twice[0]} is there twice; each is given once, in the order they were made")
    return images


def check_images(server: str, images: Sequence[str]) -> Mapping[str, str]:
    """When each image was made. Raises LaunchError without a daemon, ImageMissing with what to pull."""
    daemon = ask_daemon(images)
    if daemon.version is None:
        raise LaunchError(
            f"the Docker daemon does not answer ({daemon.error}). Next: `tokgate doctor`", server=server
        )
    missing = [image for image in images if image not in daemon.images]
    if missing:
        pulls = "".join(f"\n    {image_command(image)}" for image in missing)
        raise ImageMissing(
            f"{len(missing)} of {len(images)} images are not on this machine; nothing was started. Next:{pulls}",
            server=server,
        )
    return daemon.created


def open_bisect(cases: Mapping[str, Case], folder: Path, *, command: Sequence[str]) -> RunWriter:
    """The first record of a search: an ordinary run, whose servers are named SERVER/IMAGE. Raises RecordError."""
    profile = Profile(name="bisect", description="one server's images")
    plan = RunPlan(profile=profile, cases=tuple(cases.values()), launches=0, why="tokgate bisect")
    return open_run(plan, folder, command=command)


def run_bisect(
    cases: Mapping[str, Case],
    writer: RunWriter,
    *,
    metric: str,
    blocks: int,
    goes_on: Callable[[], bool],
    around: Callable[[str], AbstractContextManager[Watch]],
    tell: Callable[[Step], None],
) -> Bisection:
    """Search the images of `cases`, in their order; each launch and each step is on disk as it ends.

    goes_on: asked before each launch; around: entered while something runs, with its title; tell: told each
    step. Raises RecordError, LaunchError: an end of the row cannot be measured, or no image could be.
    """
    steps: list[Step] = []

    def told(step: Step) -> None:
        steps.append(step)
        writer.set_verdicts(_verdicts(cases, metric, steps))
        tell(step)

    with Live(writer.folder / "logs") as live:
        runner = _Runner(cases, writer, live, metric, goes_on, around)
        try:
            found = bisect(tuple(cases), runner.run, metric=metric, blocks=blocks, tell=told)
        except Unmeasured as error:
            raise LaunchError(error.why, server=cases[error.image].server.name) from error
    writer.set_verdicts(_verdicts(cases, metric, steps, found))
    if found.stopped:
        writer.add_not_checked(
            f"the images between {found.last_fast} and {found.first_slow}: {found.stopped}"
        )
    writer.end()
    return found


class _Runner:
    def __init__(
        self,
        cases: Mapping[str, Case],
        writer: RunWriter,
        live: Live,
        metric: str,
        goes_on: Callable[[], bool],
        around: Callable[[str], AbstractContextManager[Watch]],
    ) -> None:
        self.cases, self.writer, self.live, self.metric = cases, writer, live, metric
        self.goes_on, self.around = goes_on, around
        self.launches: Counter[str] = Counter()

    def run(self, order: tuple[str, ...]) -> tuple[float, ...]:
        return tuple(self._value(image) for image in order)

    def _value(self, image: str) -> float:
        """The metric on a fresh launch; an invalid one is made again, as often as `TRIES` says."""
        why = ""
        for _ in range(TRIES):
            found = self._launch(image)
            if found.valid and found.gated.get(self.metric, 0) > 0:
                return float(found.gated[self.metric])
            why = "; ".join(f"{one.rule}: {one.detail}" for one in found.problems) or f"no {self.metric}"
        raise Unmeasured(image, f"none of {TRIES} launches was valid: {why}")

    def _launch(self, image: str) -> Measurement:
        if not self.goes_on():
            raise OutOfTime
        self.launches[image] += 1
        launch, case = self.launches[image], self.cases[image]
        try:
            with self.around(f"{image} · starting"):
                server = self.live.start(case.server, launch)
        except NOT_A_FINDING:
            raise
        except LaunchError as error:
            cause = error.root_cause if isinstance(error, ServerExited) else ""
            raise Unmeasured(image, f"does not start: {cause or error}") from error
        with self.around(f"{image} · launch {launch}") as watch:
            found = measure_case(server, case, launch=launch, watch=watch)
        self.live.stop()
        self.writer.add_measurement(found)
        return found


def _verdicts(
    cases: Mapping[str, Case], metric: str, steps: Sequence[Step], found: Bisection | None = None
) -> tuple[Verdict, ...]:
    """The steps as verdicts; that of the first slow image says that it is the first."""
    verdicts = {one.image: _verdict(cases[one.image], metric, one) for one in steps}
    if found is not None and found.outcome != "not_reproduced":
        last = verdicts[found.first_slow]
        first = "the first slow image" if found.outcome == "found" else "the first image known to be slow"
        reason = f"{first}; the last fast one before it is {found.last_fast}; {last.reason}"
        verdicts[found.first_slow] = msgspec.structs.replace(last, reason=reason)
    return tuple(verdicts.values())


def _verdict(case: Case, metric: str, step: Step) -> Verdict:
    """A step as reports show it: the image against the good one."""
    known = step.low is not None and step.high is not None and step.low > 0 and step.high < float("inf")
    reason = step.why or f"{step.finding}, beside the good image in {step.launches} launches"
    return Verdict(
        kind="gate",
        server=case.server.name,
        workload=case.workload.name,
        metric=metric,
        outcome=_OUTCOME[step.finding],
        ratio=step.ratio,
        ci_low=step.low if known else None,
        ci_high=step.high if known else None,
        current=step.own,
        baseline=step.good,
        launches=step.launches,
        reason=reason,
    )
