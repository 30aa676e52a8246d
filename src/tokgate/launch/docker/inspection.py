"""What `docker inspect` says of a container, as far as it is needed."""

from __future__ import annotations

import msgspec
from docker.models.containers import Container

from tokgate._exceptions import LaunchError


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Part of the answer; keys that are not needed are ignored."""


class Device(_Part, frozen=True):
    path_on_host: str


class DeviceRequest(_Part, frozen=True):
    count: int = 0
    device_ids: tuple[str, ...] | None = msgspec.field(name="DeviceIDs", default=None)


class Config(_Part, frozen=True):
    image: str
    env: tuple[str, ...] | None = None


class HostConfig(_Part, frozen=True):
    binds: tuple[str, ...] | None = None
    devices: tuple[Device, ...] | None = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    group_add: tuple[str, ...] | None = None
    cap_add: tuple[str, ...] | None = None
    security_opt: tuple[str, ...] | None = None
    ipc_mode: str | None = None
    network_mode: str | None = None
    shm_size: int | None = None
    memory: int | None = None
    nano_cpus: int | None = None
    cpuset_cpus: str | None = None


class Inspection(_Part, frozen=True):
    """image: its ID. path, args: the command."""

    image: str
    path: str
    config: Config
    args: tuple[str, ...] | None = None
    host_config: HostConfig = HostConfig()


def inspect_container(container: Container, *, server: str) -> Inspection:
    """Ask Docker. Raises LaunchError when its answer has another form; docker-py's errors as `reload`."""
    container.reload()
    try:
        return msgspec.convert(container.attrs, Inspection)
    except msgspec.ValidationError as error:
        raise LaunchError(
            f"Docker describes its container in an unknown form: {error}. Next: check what answers at DOCKER_HOST.",
            server=server,
        ) from error
