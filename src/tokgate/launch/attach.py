"""Attach: a server that somebody else started. tokgate asks and measures; it never stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.launch.probe import engine_facts, get, health_url, not_ready, served_model
from tokgate.launch.ready import wait_until_ready
from tokgate.launch.server import ServerFacts
from tokgate.spec.server import AttachLaunch, ServerSpec


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
    version, settings = engine_facts(spec.engine, base_url)
    facts = ServerFacts(
        name=spec.name,
        engine=spec.engine,
        engine_version=version,
        base_url=base_url,
        model=served_model(spec, base_url),
        settings=settings,
    )
    yield AttachedServer(spec=spec, facts=facts)
