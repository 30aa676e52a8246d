"""Docker: one server in one container, from its first log line until the container is certainly gone."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from tokgate import engines
from tokgate._exceptions import ImageMissing
from tokgate._secrets import redact_bytes
from tokgate.config.bounds import LOG_BYTES, LOG_LINE
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.config.words import format_size
from tokgate.launch.docker.daemon import (
    LABEL,
    OWNER_LABEL,
    convert_docker_errors,
    guarded_container,
    open_daemon,
)
from tokgate.launch.docker.facts import read_facts
from tokgate.launch.docker.image_options import check_options
from tokgate.launch.docker.options import build_container_options, check_files
from tokgate.launch.logs import create_log, exit_error
from tokgate.launch.port import check_free
from tokgate.launch.probe import check_health
from tokgate.launch.ready import wait_until_ready
from tokgate.launch.server import Freezer, Server
from tokgate.machine.daemon import image_command
from tokgate.machine.owner import Owner
from tokgate.machine.signals import ends_interrupt

_GRACE_S = 3  # between SIGTERM and SIGKILL: a server has no state to save, and two may have to end within 10 s
_LOG_END_S = 5.0  # the last lines of an ended container arrive at once; a dead daemon must not hold the run
_CREATED_TRIES = 20  # of 0.1 s each: the daemon finishes a creation even when its client is interrupted


@contextmanager
def launch(spec: ServerSpec, *, log_dir: Path) -> Iterator[Server]:
    """See `start`. Raises DockerUnavailable, ImageMissing, ModelMissing, OptionRejected, PortTaken,
    ServerExited, ServerNotReady, and LaunchError for whatever else Docker refuses.

    While it is open, SIGTERM and SIGHUP act like Ctrl-C, so that the container is removed too.
    """
    assert isinstance(spec.launch, DockerLaunch)
    check_files(spec)
    options = build_container_options(spec)
    name = f"tokgate-{re.sub(r'[^a-zA-Z0-9_.-]', '-', spec.name)}-{secrets.token_hex(3)}"
    labels = {
        LABEL: "1",
        OWNER_LABEL: msgspec.json.encode(Owner.current()).decode(),
        "tokgate.server": spec.name,
        "tokgate.run": str(log_dir.absolute()),
    }
    with open_daemon(spec.name) as client, ends_interrupt():
        _check_image(client, spec.name, spec.launch.image)
        with convert_docker_errors(spec.name, doing=f"list the options of {spec.launch.image}"):
            check_options(client, spec, name=f"{name}-help", labels=labels, log_dir=log_dir)
        check_free(spec.launch.port, server=spec.name)
        log = None
        with guarded_container(name, labels, log_dir, server=spec.name) as gone:
            try:
                with convert_docker_errors(spec.name, doing=f"create a container of {spec.launch.image}"):
                    container = _create(client, name=name, labels=labels, **options)
                started = time.perf_counter()
                with convert_docker_errors(spec.name, doing="start its container"):
                    container.start()
                log = _Log(container, create_log(log_dir, spec.name))
                base_url = f"http://127.0.0.1:{spec.launch.port}"
                wait_until_ready(
                    spec,
                    not_ready=lambda: check_health(engines.find(spec.engine), base_url),
                    check_alive=partial(_check, spec, container, log, doing="while it started"),
                    log_path=log.path,
                )
                startup_s = time.perf_counter() - started
                with convert_docker_errors(spec.name, doing="inspect its container"):
                    facts = read_facts(spec, container, base_url, log.path, startup_s=startup_s)
                check_alive = partial(_check, spec, container, log, doing="while it was in use")
                freezer = Freezer(
                    freeze=partial(_pause, spec, container),
                    thaw=partial(_unpause, spec, container),
                    is_frozen=partial(_is_paused, spec, container),
                )
                yield Server(spec=spec, facts=facts, check_alive=check_alive, freezer=freezer)
            finally:
                _remove(client, spec.name, name)
                gone()
                if log is not None:
                    log.join()


class _Log:
    """The container's output, copied to a file from its first line by a thread."""

    def __init__(self, container: Container, path: Path) -> None:
        self.path = path
        self._thread = threading.Thread(target=self._copy, args=(container,), name=f"log of {path.name}")
        self._thread.daemon = True  # a daemon that hangs must not hold this process
        self._thread.start()

    def _copy(self, container: Container) -> None:
        with self.path.open("ab", buffering=0) as file:
            try:
                left = LOG_BYTES
                for lines in _collect_lines(container.logs(stream=True, follow=True)):
                    file.write(redact_bytes(lines[:left]))
                    left -= len(lines)
                    if left <= 0:
                        raise ValueError(f"it is longer than {format_size(LOG_BYTES)}")
            # A thread has no caller to raise to, so it is written where people look.
            except Exception as error:
                file.write(f"\n[tokgate] the log ends here: {error}\n".encode())

    def join(self) -> None:
        """Wait until the last line of an ended container is written."""
        self._thread.join(_LOG_END_S)


def _collect_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of whole lines, so that no secret is cut in two; very long lines in several."""
    rest = b""
    for piece in pieces:
        lines, newline, rest = (rest + piece).rpartition(b"\n")
        if newline:
            yield lines + newline
        if len(rest) > LOG_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _check_image(client: DockerClient, server: str, image: str) -> None:
    with convert_docker_errors(server, doing=f"look for image {image}"), suppress(ImageNotFound):
        client.images.get(image)
        return
    raise ImageMissing(f"image {image} is not on this machine. Next: {image_command(image)}", server=server)


def _create(client: DockerClient, *, name: str, **options: Any) -> Container:
    try:
        return client.containers.create(name=name, **options)
    except KeyboardInterrupt:
        # The daemon goes on creating it, and what does not exist yet cannot be removed either.
        for _ in range(_CREATED_TRIES):
            with suppress(NotFound):
                client.api.inspect_container(name)
                break
            time.sleep(0.1)
        raise


def _check(spec: ServerSpec, container: Container, log: _Log, *, doing: str) -> None:
    """Raise ServerExited if the container has ended, DockerUnavailable if the daemon has."""
    state: dict[str, Any] = {}
    with convert_docker_errors(spec.name, doing="check whether its container runs"), suppress(NotFound):
        container.reload()
        state = container.attrs["State"]
    if state.get("Running"):
        return
    log.join()
    raise exit_error(
        spec,
        doing=doing if state else f"{doing}: its container was removed",
        exit_code=state.get("ExitCode"),
        log_path=log.path,
        out_of_memory=state.get("OOMKilled", False),
    )


def _pause(spec: ServerSpec, container: Container) -> None:
    with convert_docker_errors(spec.name, doing="pause its container"):
        container.pause()


def _unpause(spec: ServerSpec, container: Container) -> None:
    with convert_docker_errors(spec.name, doing="unpause its container"):
        container.unpause()


def _is_paused(spec: ServerSpec, container: Container) -> bool:
    with convert_docker_errors(spec.name, doing="check whether its container is paused"):
        container.reload()
    return bool(container.attrs["State"].get("Paused"))


def _remove(client: DockerClient, server: str, name: str) -> None:
    """Stop and remove the container by name, which also works when its creation was interrupted."""
    with convert_docker_errors(server, doing=f"remove container {name}, which may still run (the next run removes it)"):
        try:
            with suppress(NotFound, APIError):  # a paused container would hear SIGTERM only after the grace time
                client.api.unpause(name)
            with suppress(NotFound):
                client.api.stop(name, timeout=_GRACE_S)
        finally:  # also after a second Ctrl-C, then without waiting
            with suppress(NotFound):
                client.api.remove_container(name, force=True, v=True)
