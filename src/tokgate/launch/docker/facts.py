"""The facts of a running container, read from Docker and from inside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from tokgate import engines
from tokgate._secrets import redact_command, redact_variables
from tokgate.config.server import ServerSpec
from tokgate.launch.docker.daemon import collect_output
from tokgate.launch.docker.inspection import HostConfig, inspect_container
from tokgate.launch.logs import read_log
from tokgate.launch.probe import check_model, read_info
from tokgate.launch.server import ServerFacts
from tokgate.machine.sysfs import parse_int

_SHM = re.compile(r"^\S+ +(\d{1,15}) .* /dev/shm$", re.MULTILINE)


def read_facts(
    spec: ServerSpec, container: Container, base_url: str, log_path: Path, *, startup_s: float
) -> ServerFacts:
    """Facts of a server that is ready. Raises LaunchError when it does not serve `spec.model.id`."""
    engine = engines.find(spec.engine)
    model = check_model(spec, engine, base_url)
    version, settings = read_info(engine, base_url)
    if engine.read_log is not None:
        settings |= engine.read_log(read_log(log_path))
    about = inspect_container(container, server=spec.name)
    image = container.client.images.get(about.image) if container.client else None
    digests = image.attrs.get("RepoDigests") if image else None
    return ServerFacts(
        name=spec.name,
        engine=engine.name,
        engine_version=version,
        base_url=base_url,
        model=model,
        startup_s=startup_s,
        image=about.config.image,
        image_id=about.image,
        image_digest=digests[0] if digests else None,
        shm_bytes=_shm_bytes(container),
        args=redact_command((about.path, *(about.args or ()))),
        env=redact_variables(_split(about.config.env or ())),
        container=_settings(about.host_config),
        settings=settings,
        pids=_pids(container),
        log_path=str(log_path),
    )


def _shm_bytes(container: Container) -> int | None:
    """Size of /dev/shm inside the container; with `ipc: host`, the shm_size that Docker states has no effect."""
    try:
        output = _run_inside(container, ["df", "-Pk", "/dev/shm"]).decode(errors="replace")
    except APIError:  # an image without df, or a container that cannot run another program
        return None
    match = _SHM.search(output)
    return int(match[1]) * 1024 if match else None


def _run_inside(container: Container, command: list[str]) -> bytes:
    """What a program in the container prints. `exec_run` would leave its connection open, or read without a limit."""
    client: Any = container.client
    api = client.api
    execution = api.exec_create(container.id, command, stderr=False)
    connection = api.exec_start(execution["Id"], socket=True)
    try:
        frames: Any = frames_iter(connection, tty=False)  # type: ignore[no-untyped-call]
        return collect_output(piece for _, piece in frames)
    finally:
        connection._response.close()  # which holds the socket


def _split(pairs: Iterable[str]) -> dict[str, str]:
    """The variables of `NAME=VALUE`."""
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def _settings(host: HostConfig) -> dict[str, str]:
    """The container's settings that are not the defaults, by which two arms can be compared."""
    listed = {
        "volumes": host.binds,
        "devices": [device.path_on_host for device in host.devices or ()],
        "gpus": [
            " ".join(request.device_ids or ()) or ("all" if request.count == -1 else request.count)
            for request in host.device_requests or ()
        ],
        "groups": host.group_add,
        "cap_add": host.cap_add,
        "security_opt": host.security_opt,
    }
    single = {
        "ipc": host.ipc_mode,
        "network": host.network_mode,
        "shm_size_bytes": host.shm_size,
        "memory_bytes": host.memory,
        "cpus": host.nano_cpus / 1e9 if host.nano_cpus else None,
        "cpuset": host.cpuset_cpus,
    }
    return {key: str(value) for key, value in single.items() if value} | {
        key: " ".join(map(str, values)) for key, values in listed.items() if values
    }


def _pids(container: Container) -> tuple[int, ...]:
    """Its processes, by their pids on the host."""
    top = container.top(ps_args="-eo pid")
    rows = top.get("Processes") if isinstance(top, dict) else None
    pids = (parse_int(str(row[0])) for row in rows or () if row)
    return tuple(pid for pid in pids if pid is not None)
