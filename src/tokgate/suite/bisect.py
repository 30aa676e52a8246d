"""Bisect: a search over the images of one server, whose launches are kept in the record of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tokgate._exceptions import ImageMissing, LaunchError, UsageError
from tokgate.config.catalogue import Catalogue
from tokgate.config.profile import Profile
from tokgate.config.words import format_count
from tokgate.judge.bisect import Bisection, Step, bisect
from tokgate.judge.blocks import Block, Unmeasured
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.daemon import ask_daemon, image_command
from tokgate.store.runs import RunWriter
from tokgate.suite.comparison import ArmNotTried, Comparison
from tokgate.suite.live import Live
from tokgate.suite.observer import Observer
from tokgate.suite.plan import Case, RunPlan, make_image_cases

TRIES = 3
"""Launches in place of one that is not valid: what disturbed it is mostly over by then."""

_OUTCOME = {
    "fast": Outcome.PASS,
    "slow": Outcome.REGRESSED,
    "undecided": Outcome.INCONCLUSIVE,
    "failed": Outcome.ARM_FAILED,
}


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a search is about.

    cases: by image, the good one first and the bad one last; their servers are named SERVER/IMAGE.
    created: when each image was made.
    """

    cases: dict[str, Case]
    metric: str
    created: dict[str, str]

    @property
    def plan(self) -> RunPlan:
        """An ordinary run of these cases."""
        profile = Profile(name="bisect", description="one server's images")
        return RunPlan(profile=profile, cases=tuple(self.cases.values()), launches=0, why="tokgate bisect")


def plan_search(
    catalogue: Catalogue, *, server: str, workload: str, metric: str | None, images: Sequence[str]
) -> Search:
    """What to search, once everything that it needs is there.

    metric: None is the first that the workload gates.
    Raises SpecError, UsageError; LaunchError: Docker does not answer; ImageMissing with the command that gets it.
    """
    gated = [str(name) for name in catalogue.workload(workload).gated]
    if metric is not None and metric not in gated:
        raise UsageError(f"--metric {metric}: workload {workload} gates {', '.join(gated)}")
    cases = make_image_cases(catalogue, server, workload, images)
    return Search(cases=cases, metric=metric or gated[0], created=_check_images(server, images))


def list_images(good: str, bad: str, tags: Sequence[str]) -> tuple[str, ...]:
    """The images from good to bad; a tag without `/`, `:` or `@` is one of the good image's repository.

    Raises UsageError: no image between the two, or a duplicate.
    """
    path, _, name = good.partition("@")[0].rpartition("/")
    repository = f"{path}/{name.partition(':')[0]}".removeprefix("/")
    between = [tag if set(tag) & set("/:@") else f"{repository}:{tag}" for tag in tags if tag]
    between = between[1:] if between[:1] == [good] else between
    between = between[:-1] if between[-1:] == [bad] else between
    images = (good, *between, bad)
    if not between:
        raise UsageError("--tags names no image between --good and --bad; give them in the order of their age")
    duplicates = [image for image, count in Counter(images).items() if count > 1]
    if duplicates:
        raise UsageError(f"duplicate image {duplicates[0]}; give each image once, in the order of their age")
    return images


def _check_images(server: str, images: Sequence[str]) -> dict[str, str]:
    """When each image was made."""
    daemon = ask_daemon(images)
    if daemon.version is None:
        raise LaunchError(f"the Docker daemon does not answer ({daemon.error}). Next: `tokgate doctor`", server=server)
    missing = [image for image in images if image not in daemon.images]
    if missing:
        pulls = "".join(f"\n    {image_command(image)}" for image in missing)
        raise ImageMissing(
            f"{len(missing)} of {len(images)} images are not on this machine; nothing was started. Next:{pulls}",
            server=server,
        )
    return dict(daemon.created)


def run_bisect(
    search: Search,
    writer: RunWriter,
    *,
    blocks: int,
    goes_on: Callable[[int], bool],
    observer: Observer,
    tell: Callable[[Step], None],
) -> Bisection:
    """Measure images until the first slow one is known; each launch and each step is on disk as it ends.

    goes_on: asked before each launch, with the number of launches so far.
    observer: sees what is started and measured.
    tell: called with each step.
    Raises RecordError; LaunchError: the first or the last image cannot be measured, or no image can.
    """
    cases, metric = search.cases, search.metric
    steps: list[Step] = []

    def add_step(step: Step) -> None:
        steps.append(step)
        writer.set_verdicts(_verdicts(cases, metric, steps))
        tell(step)

    with Live(writer, observer=observer) as live:
        # Not a duet: each step's estimate shares the scatter of all launches, which a launch pair does not show.
        comparison = Comparison(
            {image: (case,) for image, case in cases.items()},
            live,
            metric=metric,
            goes_on=goes_on,
            tries=TRIES,
            design="blocks",
        )
        workload = next(iter(cases.values())).workload.name

        def run(order: tuple[str, ...]) -> Block:
            return comparison.measure_block(order).block(workload, metric)

        try:
            bisection = bisect(tuple(cases), run, metric=metric, blocks=blocks, tell=add_step)
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
    cases: Mapping[str, Case], metric: str, steps: Sequence[Step], bisection: Bisection | None = None
) -> tuple[Verdict, ...]:
    """The steps as verdicts; that of the first slow image says that it is the first."""
    verdicts = {step.image: _verdict(cases[step.image], metric, step) for step in steps}
    if bisection is not None and bisection.outcome != "not_reproduced":
        slow = verdicts[bisection.first_slow]
        first = "the first slow image" if bisection.outcome == "found" else "the first image known to be slow"
        reason = f"{first}; the last fast one before it is {bisection.last_fast}; {slow.reason}"
        verdicts[bisection.first_slow] = msgspec.structs.replace(slow, reason=reason)
    return tuple(verdicts.values())


def _verdict(case: Case, metric: str, step: Step) -> Verdict:
    """A step as reports show it: the image compared with the good one."""
    known = step.low is not None and step.high is not None and step.low > 0 and step.high < float("inf")
    launches = format_count(step.launches, "launch")
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
        reason=step.why or f"{step.finding}, compared with the good image in {launches}",
    )
