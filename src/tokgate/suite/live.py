"""Live: the one server that is alive, and those that could not be had."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tokgate._exceptions import LaunchError
from tokgate.config.server import ServerSpec
from tokgate.launch.server import Server
from tokgate.launch.start import start


class LaunchKey(NamedTuple):
    """Names one launch of a server, numbered from 1."""

    server: str
    launch: int


class Live:
    """Starts servers, one at a time; leaving the context ends it. log_dir: where their logs go."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._stack = ExitStack()
        self._failed: dict[LaunchKey, LaunchError] = {}
        self.launch: LaunchKey | None = None
        self.server: Server | None = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, spec: ServerSpec, launch: int) -> Server:
        """This launch of a server; whatever else is alive ends first. Raises LaunchError, the same each time."""
        wanted = LaunchKey(spec.name, launch)
        if self.server is not None and self.launch == wanted:
            return self.server
        if wanted in self._failed:
            raise self._failed[wanted]
        self.stop()
        try:
            self.server = self._stack.enter_context(start(spec, log_dir=self._log_dir))
        except LaunchError as error:
            self._failed[wanted] = error
            raise
        self.launch = wanted
        return self.server

    def stop(self) -> None:
        """End the live server, if there is one."""
        self.server = self.launch = None
        self._stack.close()
