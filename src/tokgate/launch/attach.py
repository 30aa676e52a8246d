"""Attach: a server that somebody else started. tokgate asks and measures; it never stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.server import AttachLaunch, ServerSpec
from tokgate.launch.probe import engine_facts, engine_of, get, health_url, not_ready, served_model
from tokgate.launch.ready import wait_until_ready
from tokgate.launch.server import ServerFacts
from tokgate.machine.processes import listening_pids


class AttachedServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server known only by its URL."""

    spec: ServerSpec
    facts: ServerFacts

    def check_alive(self) -> None:
        """Raise ServerUnreachable if it no longer answers that it is well."""
        if seen := not_ready(self.spec.engine, self.facts.base_url):
            raise ServerUnreachable(
                f"server {self.spec.name}: it answered before, and now: {seen}. "
                "Next: look at it where it was started.",
                url=health_url(self.spec.engine, self.facts.base_url),
            )


@contextmanager
def launch(spec: ServerSpec, *, log_dir: Path) -> Iterator[AttachedServer]:
    """See `Launcher`; log_dir stays unused, the log is its owner's.

    Waits while it loads. Raises LaunchError at once when nothing answers there, ServerNotReady.
    """
    assert isinstance(spec.launch, AttachLaunch)
    base_url = spec.launch.url.rstrip("/").removesuffix("/v1")
    url = health_url(spec.engine, base_url)

    def check_answers() -> None:
        answer = get(url)
        if answer.status is None:
            raise LaunchError(
                f"nothing to attach to: {answer.words}. Next: start that server, or correct `launch.url`.",
                server=spec.name,
            )

    wait_until_ready(
        server=spec.name,
        not_ready=lambda: not_ready(spec.engine, base_url),
        check_alive=check_answers,
        timeout_s=spec.start_timeout,
        log_path=None,
    )
    model = served_model(spec, base_url)
    # Declared only as OpenAI-compatible, it may still be an engine whose caches and lengths can be fixed.
    engine = engine_of(base_url) if spec.engine == "openai" else spec.engine
    version, settings = engine_facts(engine, base_url)
    facts = ServerFacts(
        name=spec.name,
        engine=engine,
        engine_version=version,
        base_url=base_url,
        model=model,
        settings=settings,
        pids=_pids(base_url),
    )
    yield AttachedServer(spec=spec, facts=facts)


def _pids(base_url: str) -> tuple[int, ...] | None:
    """Who listens there, when that is this host: its CPU time is the server's, not a disturbance."""
    address = urlsplit(base_url)
    if address.hostname not in ("localhost", "127.0.0.1", "::1"):
        return ()
    port = address.port or (443 if address.scheme == "https" else 80)
    return listening_pids(port) or None
