"""Starts every kind of server: `start(spec, log_dir=…)`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tokgate.config.server import AttachLaunch, DockerLaunch, EmbeddedLaunch, ServerSpec
from tokgate.launch.server import Server


def start(spec: ServerSpec, *, log_dir: Path) -> AbstractContextManager[Server]:
    """A context in which `spec` runs and is ready; the server ends with the context.

    log_dir: folder of the server's log, which has its first line too; created if missing.
    Entering raises LaunchError (its subclasses say what was missing, or how the server failed).
    """
    # Imported here, so that a run without containers never loads the Docker client.
    match spec.launch:
        case DockerLaunch():
            from tokgate.launch.docker.launch import launch as docker

            return docker(spec, log_dir=log_dir)
        case EmbeddedLaunch():
            from tokgate.launch.embedded import launch as embedded

            return embedded(spec, log_dir=log_dir)
        case AttachLaunch():
            from tokgate.launch.attach import launch as attach

            return attach(spec, log_dir=log_dir)
