"""RunPlan: what one run covers on this machine, and what it does not check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from typing import Literal

import msgspec

from tokgate._exceptions import UsageError
from tokgate._secrets import take_credentials
from tokgate.config.catalogue import Catalogue
from tokgate.config.explain import nearest
from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import Arm, Hypothesis
from tokgate.config.metric import find_metric
from tokgate.config.profile import Profile
from tokgate.config.quiet import QuietLimits
from tokgate.config.server import AttachLaunch, DockerLaunch, Model, ServerSpec
from tokgate.config.workload import PromptSet, Workload
from tokgate.engines import FALLBACK
from tokgate.judge.cell import CellKey
from tokgate.judge.coverage import Planned, plan_answers, plan_cell, plan_hypothesis
from tokgate.judge.plan import MOST_LAUNCHES
from tokgate.machine.amd import find_amd_gpus
from tokgate.machine.daemon import ask_daemon

AUTO = "auto"
NIGHT: Literal["night"] = "night"
"""The budget of a nightly run: the profile says how long it is."""

ATTACHED = "attached"
CANARY = "canary"
"""The prompt set that every launch answers."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One server under one workload, with the prompts it is driven with.

    hardware: the chip of the profile, whose bandwidth no measurement may exceed; None when the profile names none, and
        then the speed of this machine's CPUs is probed.
    canary: questions that show whether the model works; None where none are declared.
    quiet: what other programs may use of the machine meanwhile.
    """

    server: ServerSpec
    workload: Workload
    prompts: PromptSet
    hardware: Hardware | None = None
    canary: PromptSet | None = None
    quiet: QuietLimits = QuietLimits()

    def limits(self, metric: str) -> tuple[float, float]:
        """Tolerance and promise (fractions) of a metric: the workload's, otherwise the metric's."""
        row = find_metric(metric)
        return (
            self.workload.tolerance.get(metric, row.tolerance),
            self.workload.promise.get(metric, row.promise),
        )


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A hypothesis with its arms by name, each a case; a claim about one server alone has one arm."""

    hypothesis: Hypothesis
    arms: dict[str, Case]


class Opponent(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers of a run are compared with, next to them, instead of stored baselines.

    label: its short name. candidate: that of the servers of the run, beside it.
    cases: by server of the run, the same workloads on the other server, which is named SERVER/LABEL.
    """

    label: str
    candidate: str = "candidate"
    cases: dict[str, tuple[Case, ...]]


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run covers.

    launches: of each server; with a budget, the most that any can get.
    budget_s: time that the run may take; None measures every launch.
    why: how the profile was chosen; experiments: its hypotheses, when the whole profile runs;
    planned: every verdict of the profile, also of the servers that --tokgate-server leaves out;
    opponent: what its servers are compared with in this run; None for their stored baselines;
    unable: why nothing of it can run here, None when it can; not_checked: what is left out, with reasons.
    """

    profile: Profile
    cases: tuple[Case, ...]
    launches: int
    budget_s: float | None = None
    why: str
    experiments: tuple[Experiment, ...] = ()
    planned: tuple[Planned, ...] = ()
    opponent: Opponent | None = None
    unable: str | None = None
    not_checked: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[str, ...]:
        """Server names in the order they are started."""
        return tuple(dict.fromkeys(case.server.name for case in self.cases))

    def cases_of(self, server: str) -> tuple[Case, ...]:
        """The cases one launch of `server` serves."""
        return tuple(case for case in self.cases if case.server.name == server)

    def case(self, server: str, workload: str) -> Case:
        """The case of these names; KeyError when the plan has none."""
        for case in self.cases_of(server):
            if case.workload.name == workload:
                return case
        raise KeyError((server, workload))


class AttachTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A server somebody else started: its URL, and the model to ask for."""

    url: str
    model: str


def plan_run(
    catalogue: Catalogue,
    *,
    profile: str = AUTO,
    servers: Sequence[str] = (),
    attach: AttachTarget | None = None,
    launches: int | None = None,
    budget: float | Literal["night"] | None = None,
) -> RunPlan:
    """What to run: a profile, narrowed to `servers`, or its workloads on an attached server.

    profile: a name, the path of a YAML file, or `auto`.
    launches: of each server, without a budget.
    budget: seconds, or those of the profile's night; None takes the profile's own, unless `launches` are given.
    Raises SpecError, UsageError.
    """
    declared, why, unable = _choose(catalogue, profile)
    if attach is not None:
        if servers:
            raise UsageError("--tokgate-url measures one server that is already up; leave out --tokgate-server")
        cases = _attached_cases(catalogue, declared, attach)
        why, unable = f"--tokgate-url {take_credentials(attach.url)}", None
    else:
        cases = _declared_cases(catalogue, declared, servers)
    budget_s = None if launches else _find_budget(declared, budget)
    return RunPlan(
        profile=declared,
        cases=cases,
        # One more, to confirm a regression. Launches that the budget has no time for are left out later.
        launches=launches or (declared.launches if budget_s is None else MOST_LAUNCHES + 1),
        budget_s=budget_s,
        why=why,
        experiments=() if attach or servers else _experiments(catalogue, declared),
        planned=_plan_verdicts(catalogue, declared, attached=attach is not None),
        unable=unable,
        not_checked=_not_checked(catalogue, declared, unable),
    )


def _find_budget(profile: Profile, budget: float | Literal["night"] | None) -> float | None:
    if budget == NIGHT:
        return profile.night or profile.budget
    return profile.budget if budget is None else budget


def _choose(catalogue: Catalogue, name: str) -> tuple[Profile, str, str | None]:
    """(profile, why this one, why it cannot run here)."""
    if name != AUTO:
        declared = catalogue.profile(name)
        return declared, "requested", _unable(catalogue, declared)
    if "gfx1151" in catalogue.names("profiles"):
        declared = catalogue.profile("gfx1151")
        unable = _unable(catalogue, declared)
        if unable is None:
            return declared, "this machine has a gfx1151, and Docker answers", None
    else:
        unable = "no profile gfx1151 is declared"
    return catalogue.profile("embedded"), unable, None


def _unable(catalogue: Catalogue, profile: Profile) -> str | None:
    """Why this machine cannot run `profile`; None when it can."""
    if profile.hardware is None:
        return None
    wanted = catalogue.hardware(profile.hardware).gfx_target_version
    gpus = find_amd_gpus()
    if all(gpu.gfx_target_version != wanted for gpu in gpus):
        seen = ", ".join(gpu.name for gpu in gpus) or "no AMD GPU"
        return f"this machine has no {profile.hardware} (the KFD topology shows {seen})"
    daemon = ask_daemon()
    return None if daemon.version else f"the Docker daemon does not answer ({daemon.error})"


def make_attached_spec(url: str, model: str) -> ServerSpec:
    """The spec of a server that is already up; which engine it is, is read from it."""
    url = take_credentials(url)
    return ServerSpec(
        name=ATTACHED,
        description=f"the server at {url}",
        engine=FALLBACK.name,
        launch=AttachLaunch(url=url),
        model=Model(id=model),
    )


def make_image_cases(catalogue: Catalogue, server: str, workload: str, images: Sequence[str]) -> dict[str, Case]:
    """By image, a declared server under a workload with that image instead of its own.

    It is named SERVER/IMAGE, without the way to the repository where that tells them apart; a name with a `/` is
    not a case of a history or a baseline. Raises SpecError, also for an option that an
    image's version rejects; UsageError: the server is not a container.
    """
    alone = Profile(name="bisect", description="one server's images")
    short = {image: image.rpartition("/")[2] for image in images}
    names = short if len(set(short.values())) == len(short) else {image: image for image in images}
    if not isinstance(catalogue.server(server).launch, DockerLaunch):
        raise UsageError(f"server {server} is not a container (launch.kind: docker), so it has no image")
    cases = {}
    for image, name in names.items():
        spec = catalogue.server(server, {"launch": {"image": image}})
        named = msgspec.structs.replace(spec, name=f"{server}/{name}")
        cases[image] = _case(catalogue, alone, named, workload)
    return cases


def _declared_cases(catalogue: Catalogue, profile: Profile, wanted: Sequence[str]) -> tuple[Case, ...]:
    pairs = [pair for cases in profile.cells for pair in product(cases.servers, cases.workloads)]
    known = dict.fromkeys(server for server, _ in pairs)
    for name in wanted:
        if name not in known:
            raise UsageError(f"--tokgate-server {name}: not in profile {profile.name}; {nearest(name, known)}")
    return tuple(
        _case(catalogue, profile, catalogue.server(server), workload)
        for server, workload in dict.fromkeys(pairs)
        if not wanted or server in wanted
    )


def _attached_cases(catalogue: Catalogue, profile: Profile, target: AttachTarget) -> tuple[Case, ...]:
    server = make_attached_spec(target.url, target.model)
    workloads = dict.fromkeys(name for cases in profile.cells for name in cases.workloads)
    return tuple(_case(catalogue, profile, server, workload) for workload in workloads)


def _plan_verdicts(catalogue: Catalogue, profile: Profile, *, attached: bool) -> tuple[Planned, ...]:
    pairs = dict.fromkeys(
        (ATTACHED if attached else server, workload)
        for cells in profile.cells
        for server, workload in product(cells.servers, cells.workloads)
    )
    answering = dict.fromkeys(server for server, _ in pairs) if CANARY in catalogue.names("prompts") else ()
    return (
        *map(plan_answers, answering),
        *(
            plan_cell(CellKey(server, workload, metric))
            for server, workload in pairs
            for metric in catalogue.workload(workload).gated
        ),
        *(() if attached else map(plan_hypothesis, profile.hypotheses)),
    )


def _experiments(catalogue: Catalogue, profile: Profile) -> tuple[Experiment, ...]:
    hypotheses = [catalogue.hypothesis(name) for name in profile.hypotheses]

    def case(arm: Arm, workload: str) -> Case:
        return _case(catalogue, profile, catalogue.server(arm.server, arm.override), workload)

    return tuple(
        Experiment(
            hypothesis=hypothesis,
            arms={name: case(arm, hypothesis.workload) for name, arm in hypothesis.named_arms.items()},
        )
        for hypothesis in hypotheses
    )


def _case(catalogue: Catalogue, profile: Profile, server: ServerSpec, workload: str) -> Case:
    declared = catalogue.workload(workload)
    return Case(
        server=server,
        workload=declared,
        prompts=catalogue.prompts(declared.prompts),
        hardware=catalogue.hardware(profile.hardware) if profile.hardware else None,
        canary=catalogue.prompts(CANARY) if CANARY in catalogue.names("prompts") else None,
        quiet=profile.quiet,
    )


def _not_checked(catalogue: Catalogue, profile: Profile, unable: str | None) -> tuple[str, ...]:
    relaxed = profile.quiet.describe_relaxed(os.cpu_count() or 1)
    cost = f"{relaxed}; expect launches to scatter more: `can detect` is computed from what they do"
    return (*_list_unchecked(catalogue, profile, unable), *((cost,) if relaxed else ()))


def _list_unchecked(catalogue: Catalogue, profile: Profile, unable: str | None) -> tuple[str, ...]:
    if unable is not None:
        return (f"everything of profile {profile.name}: {unable}",)
    if profile.hardware == "gfx1151" or "gfx1151" not in catalogue.names("profiles"):
        return ()
    gap = _unable(catalogue, catalogue.profile("gfx1151")) or f"profile {profile.name} was run instead"
    return (f"the gfx1151 baselines: {gap}",)
