"""Attach: a server that somebody else started. tokgate measures it and never stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tokgate import engines
from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.server import AttachLaunch, ServerSpec
from tokgate.launch.http import get
from tokgate.launch.probe import check_health, check_model, find_engine, read_info
from tokgate.launch.ready import wait_until_ready
from tokgate.launch.server import Server, ServerFacts
from tokgate.machine.processes import find_listeners


@contextmanager
def launch(spec: ServerSpec, *, log_dir: Path) -> Iterator[Server]:
    """See `start`; log_dir stays unused, as the log belongs to the server's owner.

    Waits while the server loads. Raises LaunchError at once when nothing answers there, ServerNotReady.
    """
    assert isinstance(spec.launch, AttachLaunch)
    base_url = spec.launch.url.rstrip("/").removesuffix("/v1")
    engine = engines.find(spec.engine)

    def check_answers() -> None:
        answer = get(f"{base_url}{engine.health}")
        if answer.status is None:
            raise LaunchError(
                f"could not connect to {base_url}: {answer.error}. Next: start that server, or correct its URL.",
                server=spec.name,
            )
        if answer.location is not None:
            raise LaunchError(f"{answer.summary}. Next: use the URL of the server itself.", server=spec.name)

    wait_until_ready(
        spec,
        not_ready=lambda: check_health(engine, base_url),
        check_alive=check_answers,
        log_path=None,
    )
    # Declared only as OpenAI-compatible, it may still be an engine whose caches and lengths can be fixed.
    actual = find_engine(base_url) if engine.is_fallback else engine
    model = check_model(spec, actual, base_url)
    version, settings = read_info(actual, base_url)
    facts = ServerFacts(
        name=spec.name,
        engine=actual.name,
        engine_version=version,
        base_url=base_url,
        model=model,
        settings=settings,
        pids=_pids(base_url),
        attached=True,
    )

    def check_alive() -> None:
        if answer := check_health(engine, base_url):
            raise ServerUnreachable(
                f"server {spec.name} answered before, and now: {answer}. Next: check it where it was started.",
                url=f"{base_url}{engine.health}",
            )

    yield Server(spec=spec, facts=facts, check_alive=check_alive)


def _pids(base_url: str) -> tuple[int, ...] | None:
    """The processes that listen there, if it is this host: their CPU time is the server's, not a disturbance."""
    address = urlsplit(base_url)
    if address.hostname not in ("localhost", "127.0.0.1", "::1"):
        return ()
    port = address.port or (443 if address.scheme == "https" else 80)
    return find_listeners(port) or None
