"""Bisect: the images of one server, each launched and measured as the search asks, and kept in a run's record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from tokgate._exceptions import ImageMissing, LaunchError, UsageError
from tokgate.config.profile import Profile
from tokgate.judge.bisect import Bisection, Step, bisect
from tokgate.judge.blocks import Unmeasured
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.daemon import ask_daemon, image_command
from tokgate.store.runs import RunWriter
from tokgate.suite.comparison import ArmNotTried, Comparison
from tokgate.suite.live import Around, Live
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
    goes_on: Callable[[int], bool],
    around: Around,
    tell: Callable[[Step], None],
) -> Bisection:
    """Search the images of `cases`, in their order; each launch and each step is on disk as it ends.

    goes_on: asked before each launch, with the number of launches so far.
    around: entered while something runs, with its title.
    tell: called with each step.
    Raises RecordError; LaunchError: the first or the last image cannot be measured, or no image can.
    """
    steps: list[Step] = []

    def add_step(step: Step) -> None:
        steps.append(step)
        writer.set_verdicts(_verdicts(cases, metric, steps))
        tell(step)

    with Live(writer, around=around) as live:
        comparison = Comparison(cases, live, metric=metric, goes_on=goes_on, tries=TRIES)
        try:
            bisection = bisect(
                tuple(cases), comparison.measure_block, metric=metric, blocks=blocks, tell=add_step
            )
        except Unmeasured as error:
            raise LaunchError(error.why, server=cases[error.arm].server.name) from error
        except ArmNotTried as error:
            raise error.error from None
    writer.set_verdicts(_verdicts(cases, metric, steps, bisection))
    if bisection.stopped:
        writer.add_not_checked(
            f"the images between {bisection.last_fast} and {bisection.first_slow}: {bisection.stopped}"
        )
    writer.end()
    return bisection


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
