"""Opponent: what `--tokgate-against` compares the servers of a run with, instead of stored baselines."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tokgate._exceptions import UsageError
from tokgate._secrets import MASK
from tokgate.config.catalogue import Catalogue
from tokgate.config.explain import nearest
from tokgate.config.names import explain_name
from tokgate.config.server import DockerLaunch, Model, ServerSpec
from tokgate.store.files import exists
from tokgate.store.runs import RECORD, RunRecord, read_one_run
from tokgate.suite.plan import Case, Opponent, RunPlan

_RUN_ID = re.compile(r"latest|\d{8}T\d{6}Z.*")
_IMAGE = re.compile(r"[a-z0-9][\w.-]*(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?|sha256:[0-9a-f]{6,64}")
_ACCEPTED = "an image, a server, a run, or LABEL=IMAGE,LABEL=IMAGE"


def set_opponent(plan: RunPlan, what: str, catalogue: Catalogue, out: Path) -> RunPlan:
    """The plan, with its servers compared with `what` in the same run.

    what: `main=IMAGE,pr=IMAGE` compares two images of each server; otherwise the name of another server, a run (by ID,
        `latest` or path) whose image and arguments are used again, or an image. A name means a server first, then a
        run.
    out: the folder of run records.
    Hypotheses are left out. A server of the plan that cannot be compared with it is listed as not checked.
    Raises UsageError: `what` is none of these, or no server of the plan can be compared with it; SpecError, RecordError.
    """
    candidate = "candidate"
    if "=" in what:
        (label, image), (candidate, new) = _parse_images(what)
        plan = _replace_images(plan, new, label=candidate)
        specs = {name: _with_image(plan, name, image) for name in plan.servers}
    elif what in catalogue.names("servers"):
        label = what
        specs = {name: _check_model(_spec(plan, name), catalogue.server(what)) for name in plan.servers if name != what}
    elif _RUN_ID.fullmatch(what) or exists(Path(what) / RECORD):
        record = read_one_run(out, what)
        label = record.run_id
        specs = {name: _as_recorded(_spec(plan, name), record) for name in plan.servers}
    elif _IMAGE.fullmatch(what):
        label = _shorten(what)
        specs = {name: _with_image(plan, name, what) for name in plan.servers}
    else:
        raise UsageError(f"--tokgate-against {what}: expected {_ACCEPTED}; {nearest(what, catalogue.names('servers'))}")
    fitting = {name: spec for name, spec in specs.items() if isinstance(spec, ServerSpec)}
    gaps = tuple(f"{name} against {label}: {spec}" for name, spec in specs.items() if isinstance(spec, str))
    if not fitting:
        raise UsageError(f"--tokgate-against {what}: nothing to compare. {'. '.join(gaps) or 'It is the only server'}")
    cases = tuple(case for case in plan.cases if case.server.name in fitting)
    references = {
        name: tuple(_rename(case, spec, f"{name}/{label}") for case in plan.cases_of(name))
        for name, spec in fitting.items()
    }
    return msgspec.structs.replace(
        plan,
        cases=cases,
        experiments=(),
        planned=tuple(
            planned
            for planned in plan.planned
            if planned.kind == "gate" and (planned.server in fitting or planned.server not in plan.servers)
        ),
        opponent=Opponent(label=label, candidate=candidate, cases=references),
        not_checked=(*plan.not_checked, *gaps),
    )


def _parse_images(what: str) -> tuple[tuple[str, str], tuple[str, str]]:
    pairs = [part.partition("=")[::2] for part in what.split(",")]
    if len(pairs) != 2 or not all(label and _IMAGE.fullmatch(image) for label, image in pairs):
        raise UsageError(
            f"--tokgate-against {what}: expected two images, the one to compare with first, for example "
            "main=ghcr.io/me/llm:main,pr=ghcr.io/me/llm:pr-12"
        )
    if wrong := next(filter(None, (explain_name(label) for label, _ in pairs)), None):
        raise UsageError(f"--tokgate-against {what}: {wrong}")
    if pairs[0][0] == pairs[1][0]:
        raise UsageError(f"--tokgate-against {what}: duplicate label {pairs[0][0]}")
    return pairs[0], pairs[1]


def _replace_images(plan: RunPlan, image: str, *, label: str) -> RunPlan:
    """The plan with this image in all of its containers; the others are compared as they are, and found to be none."""
    cases = []
    for case in plan.cases:
        spec = case.server
        if isinstance(spec.launch, DockerLaunch):
            spec = msgspec.structs.replace(spec, launch=msgspec.structs.replace(spec.launch, image=image))
        cases.append(msgspec.structs.replace(case, server=spec))
    return msgspec.structs.replace(plan, cases=tuple(cases), why=f"{plan.why}; {label} is {image}")


def _with_image(plan: RunPlan, server: str, image: str) -> ServerSpec | str:
    """The spec with another image, or why that is impossible."""
    spec = _spec(plan, server)
    if not isinstance(spec.launch, DockerLaunch):
        return "it is not a container, so it has no image"
    if spec.launch.image == image:
        return f"it is the same image, {image}"
    return msgspec.structs.replace(spec, launch=msgspec.structs.replace(spec.launch, image=image))


def _check_model(spec: ServerSpec, other: ServerSpec) -> ServerSpec | str:
    """The other server, or why a comparison with it would say nothing about speed."""
    if not _is_same_model(spec.model, other.model):
        return f"they serve different models, {spec.model.id} and {other.model.id}"
    return other


def _is_same_model(a: Model, b: Model) -> bool:
    """Whether it is one model; its weights may be quantized differently."""
    return a.id == b.id or (a.parameters is not None and a.parameters == b.parameters)


def _as_recorded(spec: ServerSpec, record: RunRecord) -> ServerSpec | str:
    """The server as this run started it, with the same image and arguments, or why that is impossible."""
    measurement = next((run for run in record.measurements if run.server == spec.name), None)
    if measurement is None:
        return f"run {record.run_id} did not measure it"
    facts = measurement.facts
    if not isinstance(spec.launch, DockerLaunch) or facts.image_id is None:
        return "it is not a container, which alone can be started as recorded"
    if not _is_same_model(spec.model, msgspec.structs.replace(spec.model, id=facts.model, parameters=None)):
        return f"run {record.run_id} measured another model, {facts.model}"
    if MASK in " ".join(facts.args):
        return f"its arguments contain a secret, which run {record.run_id} did not keep"
    port = facts.base_url.rsplit(":", 1)[-1]
    program, *args = ("{port}" if arg == port else arg for arg in facts.args)
    launch = msgspec.structs.replace(spec.launch, image=facts.image_id, entrypoint=program, args=tuple(args))
    return msgspec.structs.replace(spec, launch=launch)


def _spec(plan: RunPlan, server: str) -> ServerSpec:
    return plan.cases_of(server)[0].server


def _rename(case: Case, spec: ServerSpec, name: str) -> Case:
    return msgspec.structs.replace(case, server=msgspec.structs.replace(spec, name=name))


def _shorten(image: str) -> str:
    """As a label: without the way to the repository, and only the start of a digest."""
    name = image.rpartition("/")[2]
    at, _, digest = name.partition("@sha256:")
    if digest:
        return f"{at}@{digest[:12]}"
    return f"sha256:{name[7:19]}" if name.startswith("sha256:") else name
