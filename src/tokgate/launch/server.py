"""Server: a running server as all layers above see it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tokgate.config.server import ServerSpec


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was read from the live server, never from its spec; None where it cannot be known.

    attached: whether somebody else started it.
    base_url: without `/v1`. model: the id it lists. shm_bytes: size of /dev/shm as seen inside.
    args, env: the effective command line and environment; secrets are masked.
    pids: its processes on this host; empty when it runs elsewhere, None when they are not known.
    container: its settings in Docker (ipc, cpus, memory_bytes, devices, …) that are not the defaults.
    settings: what the engine states about itself (llama.cpp /props, vLLM's logged engine config, …).
    """

    name: str
    engine: str
    base_url: str
    model: str
    startup_s: float | None = None
    engine_version: str | None = None
    image: str | None = None
    image_id: str | None = None
    image_digest: str | None = None
    shm_bytes: int | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    container: dict[str, str] = {}
    settings: dict[str, str] = {}
    pids: tuple[int, ...] | None = ()
    log_path: str | None = None
    attached: bool = False


class Freezer(msgspec.Struct, frozen=True, kw_only=True):
    """How all processes of a server are stopped for a while; `tokgate.launch.idle` is what uses it.

    freeze, thaw: stop them where they are, let them go on. Both raise LaunchError when that fails.
    is_frozen: whether the kernel (or Docker) says that all of them are stopped.
    """

    freeze: Callable[[], None]
    thaw: Callable[[], None]
    is_frozen: Callable[[], bool]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A live server. It ends when the context that gave it ends, whatever happens inside, also while it is frozen.

    check_alive: raises ServerExited, with exit code and root cause, if it has ended; ServerUnreachable if it was
        started elsewhere and no longer answers. Works on a frozen server too.
    freezer: None for a server that was started elsewhere, which is not ours to stop.
    """

    spec: ServerSpec
    facts: ServerFacts
    check_alive: Callable[[], None]
    freezer: Freezer | None = None
