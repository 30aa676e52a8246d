"""The facts of a running container, read from Docker and from inside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

from tokgate import engines
from tokgate.config.server import ServerSpec
from tokgate.launch.docker.daemon import collect_output
from tokgate.launch.logs import read_log
from tokgate.launch.probe import check_model, read_info
from tokgate.launch.server import ServerFacts

_SHM = re.compile(r"^\S+ +(\d{1,15}) .* /dev/shm$", re.MULTILINE)
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIAL", re.IGNORECASE)


def read_facts(
    spec: ServerSpec, container: Container, base_url: str, log_path: Path, *, startup_s: float
) -> ServerFacts:
    """Facts of a server that is ready. Raises LaunchError when it does not serve `spec.model.id`."""
    engine = engines.find(spec.engine)
    model = check_model(spec, engine, base_url)
    version, settings = read_info(engine, base_url)
    if engine.read_log is not None:
        settings |= engine.read_log(read_log(log_path))
    container.reload()
    attrs = container.attrs
    image = container.client.images.get(attrs["Image"]) if container.client else None
    digests = image.attrs.get("RepoDigests") if image else None
    return ServerFacts(
        name=spec.name,
        engine=engine.name,
        engine_version=version,
        base_url=base_url,
        model=model,
        startup_s=startup_s,
        image=attrs["Config"]["Image"],
        image_id=attrs["Image"],
        image_digest=digests[0] if digests else None,
        shm_bytes=_shm_bytes(container),
        args=(attrs["Path"], *attrs["Args"]),
        env=_env(attrs["Config"].get("Env") or []),
        container=_settings(attrs["HostConfig"]),
        settings=settings,
        pids=_pids(container),
        log_path=str(log_path),
    )


def _shm_bytes(container: Container) -> int | None:
    """Size of /dev/shm inside the container; with `ipc: host`, the shm_size that Docker states has no effect."""
    try:
        pieces: Any = container.exec_run(["df", "-Pk", "/dev/shm"], stderr=False, stream=True).output
        output = collect_output(pieces).decode(errors="replace")
    except APIError:  # an image without df, or a container that cannot run another program
        return None
    match = _SHM.search(output)
    return int(match[1]) * 1024 if match else None


def _env(pairs: list[str]) -> dict[str, str]:
    """The environment; a secret is replaced by "(set)", since facts are stored and shown."""
    split = (pair.partition("=") for pair in pairs)
    return {key: "(set)" if _SECRET.search(key) else value for key, _, value in split}


def _settings(host: dict[str, Any]) -> dict[str, str]:
    """The container's settings that are not the defaults, by which two arms can be compared."""
    listed = {
        "volumes": host.get("Binds"),
        "devices": [device["PathOnHost"] for device in host.get("Devices") or ()],
        "gpus": [
            " ".join(request.get("DeviceIDs") or ()) or ("all" if request["Count"] == -1 else request["Count"])
            for request in host.get("DeviceRequests") or ()
        ],
        "groups": host.get("GroupAdd"),
        "cap_add": host.get("CapAdd"),
        "security_opt": host.get("SecurityOpt"),
    }
    single = {
        "ipc": host.get("IpcMode"),
        "network": host.get("NetworkMode"),
        "shm_size_bytes": host.get("ShmSize"),
        "memory_bytes": host.get("Memory"),
        "cpus": host["NanoCpus"] / 1e9 if host.get("NanoCpus") else None,
        "cpuset": host.get("CpusetCpus"),
    }
    return {key: str(value) for key, value in single.items() if value} | {
        key: " ".join(map(str, values)) for key, values in listed.items() if values
    }


def _pids(container: Container) -> tuple[int, ...]:
    """Its processes, by their pids on the host."""
    top = container.top(ps_args="-eo pid")
    return tuple(int(row[0]) for row in top["Processes"] or ())
