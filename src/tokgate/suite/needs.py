"""What a profile needs of the machine, for the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokgate.config.catalogue import Catalogue
from tokgate.config.server import DockerLaunch, EmbeddedLaunch, ServerSpec
from tokgate.config.words import format_size
from tokgate.launch.models.paths import expand
from tokgate.launch.models.weights import Weights, find_missing, find_weights
from tokgate.machine.doctor import Check, Needs
from tokgate.suite.plan import AUTO, plan_run


def find_needs(catalogue: Catalogue, profile: str) -> tuple[str, Needs]:
    """The profile's name with the reason for choosing it, and what it needs. Raises SpecError."""
    plan = plan_run(catalogue, profile=profile)
    specs = list({case.server.name: case.server for case in plan.cases}.values())
    containers = [spec.launch for spec in specs if isinstance(spec.launch, DockerLaunch)]
    embedded = [spec.launch for spec in specs if isinstance(spec.launch, EmbeddedLaunch)]
    packages = [how.gguf.removeprefix("package:").split("/")[0] for how in embedded if ":" in how.gguf]
    hardware = catalogue.hardware(plan.profile.hardware) if plan.profile.hardware else None
    chosen = f"{plan.profile.name} ({plan.why})" if profile == AUTO else plan.profile.name
    return chosen, Needs(
        docker=bool(containers),
        images=tuple(dict.fromkeys(how.image for how in containers)),
        gfx_target_version=hardware.gfx_target_version if hardware else None,
        gpu_bytes=max((_bytes(spec) for spec in specs if isinstance(spec.launch, DockerLaunch)), default=None)
        if hardware
        else None,
        modules=tuple(dict.fromkeys(["xllamacpp", *packages] if embedded else [])),
        model_files=tuple(dict.fromkeys(path for spec in specs for path in _model_files(spec))),
        ports=tuple(dict.fromkeys(how.port for how in containers)),
    )


def list_weights(catalogue: Catalogue, profile: str) -> list[Weights]:
    """The weights that the servers of a profile and of its hypotheses load from this machine's disk. Raises SpecError."""
    plan = plan_run(catalogue, profile=profile)
    arms = [case for experiment in plan.experiments for case in experiment.arms.values()]
    weights = [find_weights(case.server) for case in (*plan.cases, *arms)]
    return list(dict.fromkeys(model for model in weights if model is not None))


def check_models(catalogue: Catalogue, profile: str) -> tuple[Check, ...]:
    """Check that the weights of a profile's servers are on this machine, for the doctor. Raises SpecError."""
    return tuple(_model_check(weights) for weights in list_weights(catalogue, profile))


def _model_check(weights: Weights) -> Check:
    missing = find_missing(weights)
    if missing is None:
        return Check(name=f"model {weights.name}", ok=True, seen=str(weights.folder))
    size = "" if missing.size is None else f" ({format_size(missing.size)})"
    return Check(
        name=f"model {weights.name}",
        ok=False,
        seen=f"missing in {weights.folder}: {', '.join(missing.files)}{size}",
        remedy="`tokgate models fetch` with this profile"
        if weights.repository
        else "put it there, or correct `model` in the server's YAML",
    )


def _bytes(spec: ServerSpec) -> int:
    """Memory the model's weights take on the GPU."""
    return int(spec.model.bytes_per_token or 0)


def _model_files(spec: ServerSpec) -> Iterator[Path]:
    if isinstance(spec.launch, EmbeddedLaunch) and not spec.launch.gguf.startswith("package:"):
        yield Path(expand(spec.launch.gguf))
    if isinstance(spec.launch, DockerLaunch):
        for volume in spec.launch.volumes:
            yield Path(expand(volume.split(":")[0]))
