"""The container of a server as the `docker run` command that a person would type."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from tokgate._exceptions import LaunchError, UsageError
from tokgate._secrets import is_secret_name, redact, redact_command
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.launch.docker.options import build_container_options, read_device_gids

_ONE = {
    "network_mode": "--network",
    "ipc_mode": "--ipc",
    "shm_size": "--shm-size",
    "mem_limit": "--memory",
    "nano_cpus": "--cpus",
    "cpuset_cpus": "--cpuset-cpus",
    "entrypoint": "--entrypoint",
}
_MANY = {
    "group_add": "--group-add",
    "cap_add": "--cap-add",
    "security_opt": "--security-opt",
    "devices": "--device",
    "volumes": "-v",
}
_GIB = 1024**3


def format_docker_run(spec: ServerSpec) -> str:
    """The command of a server in a container, one option per line. The launcher adds its own name and labels.

    It does not contain secrets: their variables are taken from the environment of the command.
    Groups of device nodes are numbers where the nodes exist, elsewhere calls of `stat`.
    Raises UsageError when the server does not run in a container.
    """
    how = spec.launch
    if not isinstance(how, DockerLaunch):
        raise UsageError(f"server {spec.name} does not run in a container, so it has no docker run command")
    gpus = [] if how.gpus is None else [f"--gpus {shlex.quote(_quote_gpus(how.gpus))}"]
    bare = msgspec.structs.replace(spec, launch=msgspec.structs.replace(how, device_groups=False))
    options = build_container_options(bare)
    groups = [f"--group-add {group}" for group in _device_groups(how, spec.name)]
    rows = [f"--name {shlex.quote(spec.name)}", *groups, *gpus, *_flags(options), shlex.quote(how.image)]
    return " \\\n  ".join(["docker run -d", *rows, *_rows(redact_command(options.get("command", [])))])


def _quote_gpus(gpus: str | int) -> str:
    """docker takes the value for comma-separated settings, unless it is in double quotes."""
    return f'"{gpus}"' if "," in str(gpus) else str(gpus)


def _device_groups(how: DockerLaunch, server: str) -> list[str]:
    if not how.device_groups:
        return []
    try:
        return [str(gid) for gid in read_device_gids(how.devices, server=server)]
    except LaunchError:  # another machine than the one it is for
        nodes = [device.split(":")[0].replace("/dev/dri", "/dev/dri/renderD128") for device in how.devices]
        return [f'"$(stat -c %g {node})"' for node in nodes]


def _flags(options: Mapping[str, Any]) -> Iterator[str]:
    for key, flag in _ONE.items():
        if key in options:
            yield f"{flag} {shlex.quote(_text(key, options[key]))}"
    for key, flag in _MANY.items():
        for value in options.get(key, ()):
            yield f"{flag} {shlex.quote(str(value))}"
    for name, value in options.get("environment", {}).items():
        # docker takes a variable without a value from its own environment.
        yield f"-e {shlex.quote(name if is_secret_name(name) else f'{name}={redact(value)}')}"
    for port, (address, host_port) in options.get("ports", {}).items():
        yield f"-p {address}:{host_port}:{port}"


def _text(key: str, value: Any) -> str:
    if key == "nano_cpus":
        return f"{value / 1e9:g}"
    if key == "shm_size" and value % _GIB == 0:
        return f"{value // _GIB}G"
    return str(value)


def _rows(args: Sequence[str]) -> list[str]:
    """An option and its value on one row."""
    rows: list[str] = []
    for before, arg in pairwise(["--", *args]):
        if rows and before.startswith("--") and not arg.startswith("--"):
            rows[-1] += f" {shlex.quote(arg)}"
        else:
            rows.append(shlex.quote(arg))
    return rows
