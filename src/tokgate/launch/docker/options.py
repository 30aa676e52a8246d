"""From a spec to its container: the options of its creation, and the files that must exist first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from docker.types import DeviceRequest

from tokgate._exceptions import DeviceMissing, ModelMissing
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.launch.models.paths import expand

LOCAL = ("/", "~", "$", ".")
"""How a path of this host begins, unlike a repository or a named volume."""


class Bind(msgspec.Struct, frozen=True):
    """A folder or file of this host, and where the container sees it."""

    host: Path
    target: PurePosixPath


def build_container_options(spec: ServerSpec) -> dict[str, Any]:
    """Keyword arguments of docker-py's `containers.create` for `spec`; only what the spec sets.

    Only the owners of the device nodes are read from this machine. Raises DeviceMissing.
    """
    how = _docker(spec)
    groups = [*(read_device_gids(how.devices, server=spec.name) if how.device_groups else ()), *how.groups]
    options: dict[str, Any] = {
        "image": how.image,
        "command": list(build_command(spec)),
        "entrypoint": how.entrypoint,
        "environment": dict(how.env),
        "volumes": [expand(volume) for volume in how.volumes],
        "devices": list(how.devices),
        "device_requests": [] if how.gpus is None else [request_gpus(how.gpus)],
        "group_add": groups,
        "cap_add": list(how.cap_add),
        "security_opt": list(how.security_opt),
        "ipc_mode": how.ipc,
        "shm_size": None if how.shm_size is None else int(how.shm_size),
        "network_mode": how.network,
        "ports": {} if how.network == "host" else {f"{how.port}/tcp": ("127.0.0.1", how.port)},
        "nano_cpus": None if how.cpus is None else round(how.cpus * 1e9),
        "cpuset_cpus": how.cpuset,
        "mem_limit": None if how.memory is None else int(how.memory),
    }
    return {key: value for key, value in options.items() if value not in (None, [], {})}


def request_gpus(gpus: str | int) -> DeviceRequest:
    """What `docker run --gpus` asks the daemon for."""
    if isinstance(gpus, int):
        return DeviceRequest(count=gpus, capabilities=[["gpu"]])
    if gpus == "all":
        return DeviceRequest(count=-1, capabilities=[["gpu"]])
    return DeviceRequest(device_ids=gpus.removeprefix("device=").split(","), capabilities=[["gpu"]])


def build_command(spec: ServerSpec) -> tuple[str, ...]:
    """The arguments with `{port}` and `{model}` filled in; other braces, as in JSON, stay."""
    how = _docker(spec)
    model = locate_model(spec)
    return tuple(arg.replace("{port}", str(how.port)).replace("{model}", model) for arg in how.args)


def locate_model(spec: ServerSpec) -> str:
    """The value of `{model}`: the model's path as the container sees it, else its repository, else its id."""
    model = spec.model
    if model.source is None or model.source.startswith("package:"):
        return model.id
    if not model.source.startswith(LOCAL):
        return model.source
    path = Path(expand(model.source)) / (model.file or "")
    for bind in read_binds(spec):
        if path.is_relative_to(bind.host):
            return str(bind.target / path.relative_to(bind.host))
    return str(path)


def read_binds(spec: ServerSpec) -> tuple[Bind, ...]:
    """The volumes that are paths of this host; Docker's named volumes are not."""
    pairs = (expand(volume).split(":") for volume in _docker(spec).volumes)
    return tuple(Bind(Path(host), PurePosixPath(target)) for host, target, *_ in pairs if host.startswith(LOCAL))


def check_files(spec: ServerSpec) -> None:
    """Raise ModelMissing when a mounted path, or a model file named in the arguments, is not on this host.

    Without this check Docker creates a missing folder, empty and owned by root.
    """
    mounted = read_binds(spec)
    for bind in mounted:
        if not bind.host.exists():
            raise ModelMissing(
                f"{bind.host} does not exist, but `launch.volumes` mounts it at {bind.target}. "
                "Next: create it, or correct `launch.volumes`.",
                server=spec.name,
            )
    for arg in build_command(spec):
        if arg == locate_model(spec) or arg.endswith(".gguf"):
            path = PurePosixPath(arg.rpartition("=")[2])
            inside = (bind for bind in mounted if path.is_relative_to(bind.target))
            for file in (bind.host / path.relative_to(bind.target) for bind in inside):
                if not file.exists():
                    raise ModelMissing(
                        f"model file {file} does not exist (inside the container: {path}). "
                        "Next: download it there, or correct `model` or `launch.args`.",
                        server=spec.name,
                    )


def read_device_gids(devices: Iterable[str], *, server: str) -> tuple[int, ...]:
    """The numeric groups that own the device nodes, ascending; of a folder, those of the nodes inside.

    Numbers, because a group's name has another number inside the image, or none.
    """
    gids: set[int] = set()
    for device in devices:
        path = Path(device.split(":")[0])
        try:
            nodes = [node for node in path.iterdir() if not node.is_dir()] if path.is_dir() else [path]
            gids |= {node.stat().st_gid for node in nodes}
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            problem = (
                "does not exist on this machine" if isinstance(error, FileNotFoundError) else f"cannot be used: {error}"
            )
            raise DeviceMissing(
                f"device {getattr(error, 'filename', None) or path} {problem}. Next: load its driver "
                "(amdgpu creates /dev/kfd and /dev/dri), or remove it from `launch.devices`.",
                server=server,
            ) from None
    return tuple(sorted(gids))


def _docker(spec: ServerSpec) -> DockerLaunch:
    assert isinstance(spec.launch, DockerLaunch)
    return spec.launch
