"""Server: a running server as all layers above see it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tokgate.config.server import ServerSpec


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was read from the live server, never from its spec; None where it cannot be known.

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


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A live server. It ends when the context that gave it ends, whatever happens inside.

    check_alive: raises ServerExited, with exit code and root cause, if it has ended; ServerUnreachable if it was
        started elsewhere and no longer answers.
    """

    spec: ServerSpec
    facts: ServerFacts
    check_alive: Callable[[], None]
