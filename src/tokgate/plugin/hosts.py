"""Many boxes: `--tokgate-hosts` runs the suite on each, as an ordinary session there, with pytest-xdist between.

The controller measures nothing. Each worker is a session on its box, with its own plan, lease and record; the
controller asks every box beforehand, shows what the workers report, and puts their records into one.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tokgate._exceptions import RecordError
from tokgate.plugin import run
from tokgate.plugin.options import OPTIONS
from tokgate.plugin.run import COMMAND, EXIT_BROKEN, FOLDER, WRITER
from tokgate.plugin.screen import say

if TYPE_CHECKING:
    from tokgate.config.box_address import BoxAddress
    from tokgate.plugin.boxes import Returned

_KEY = "tokgate"
"""Of what goes to a worker and comes back from it."""

_PATIENCE_S = 20
"""For a worker to end its server. execnet interrupts it after 5 s, and gives it 10 s more."""


def over_hosts(config: pytest.Config) -> bool:
    """Whether this session only leads those of other boxes; then all is prepared for it.

    Raises HostUnusable, RecordError and pytest's UsageError.
    """
    hosts = config.stash[OPTIONS].boxes
    if not hosts or hasattr(config, "workerinput"):
        return False
    if config.option.collectonly:
        return False
    if not config.pluginmanager.hasplugin("xdist"):
        raise pytest.UsageError("--tokgate-hosts needs pytest-xdist; leave out -p no:xdist")
    from tokgate.plugin.remote import check_hosts, ssh_arguments

    check_hosts(hosts, config.rootpath)
    run.prepare(config)
    option = config.option
    option.dist, option.maxworkerrestart = "each", "0"
    option.tx = [
        f"popen//id={host.name}"
        if host.is_here
        else f"ssh={' '.join(ssh_arguments(host))}//id={host.name}//chdir={host.checkout}"
        f"//python={shlex.quote(f'{host.checkout}/.venv/bin/python')}"
        for host in hosts
    ]
    config.pluginmanager.register(_Controller(config, hosts))
    return True


def as_box(config: pytest.Config) -> str | None:
    """In a worker: become the session of its box. Returns the name of the run's folder; None anywhere else."""
    told = getattr(config, "workerinput", {}).get(_KEY)
    if told is None:
        return None
    # xdist says by this that others run beside it; on its box nobody does, and pytest-benchmark may time.
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    config.stash[COMMAND] = tuple(told["command"])
    config.stash[OPTIONS] = replace(config.stash[OPTIONS], report=None)  # the controller writes it
    config.pluginmanager.register(_Box(config))
    name: str = told["name"]
    return name


class _Box:
    """A worker: what it sends home at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]
        self._why = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """What this box cannot plan is said at home, too."""
        try:
            return (yield)
        except pytest.UsageError as error:
            self._why = str(error)
            raise

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Once is enough: execnet's interrupt, 5 s after the terminal's, would come while the server ends."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._why = str(excinfo.value) or "it was interrupted"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """The record, and the exit code this session would have had alone."""
        import msgspec

        stash, code = session.config.stash, int(session.exitstatus)
        if WRITER not in stash:
            run.record_nothing(session.config)
        record = msgspec.json.encode(stash[WRITER].record)
        self._output[_KEY] = {"code": code, "why": self._why, "record": record}
        if code == pytest.ExitCode.INTERRUPTED:  # xdist would end the other boxes, too
            self._output["exitstatus"] = int(pytest.ExitCode.TESTS_FAILED)


class _Controller:
    """The session that leads: xdist's hooks, then one record of all."""

    def __init__(self, config: pytest.Config, hosts: Sequence[BoxAddress]) -> None:
        from tokgate.store.runs import now

        self._config, self._hosts, self._started = config, hosts, now()
        self._nodes: dict[str, Any] = {}
        self._lost: dict[str, str] = {}

    def pytest_report_header(self) -> list[str]:
        return [
            f"tokgate: on {len(self._hosts)} hosts",
            *(f"tokgate:   [{h.name}] {h.url}" for h in self._hosts),
        ]

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Iterator[None]:
        """A box that answered a moment ago, and no longer does."""
        try:
            yield
        except Exception as error:
            raise pytest.UsageError(
                f"a host could not be started on: {type(error).__name__} {error}"
            ) from error

    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: Sequence[Any]) -> None:
        """Each worker gets this command line and its engine; nothing is copied to a box."""
        manager: Any = config.pluginmanager.getplugin("dsession")
        manager.nodemanager.roots = []
        manager.nodemanager.EXIT_TIMEOUT = _PATIENCE_S
        # xdist knows arguments that are paths of this machine only below what it copies: so not by its road.
        given = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
        config.invocation_params = pytest.Config.InvocationParams(
            args=(), plugins=None, dir=config.invocation_params.dir
        )
        for host, spec in zip(self._hosts, specs, strict=True):
            spec.env["PYTEST_ADDOPTS"] = shlex.join(given)
            if host.is_here:
                spec.env["DOCKER_HOST"] = host.url

    def pytest_configure_node(self, node: Any) -> None:
        (host,) = (one for one in self._hosts if one.name == node.gateway.id)
        self._nodes[host.name] = node
        command = self._config.stash[COMMAND]
        node.workerinput[_KEY] = {"name": self._name(host), "command": list(command)}

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A box that ended before its last test says itself why; the test it was at is not to blame."""
        leader: Any = self._config.pluginmanager.getplugin("dsession")
        leader.sched.node2pending.get(node, []).clear()
        if error:
            lines = str(error).strip().splitlines()
            self._lost[node.gateway.id] = lines[-1] if lines else "no reason is known"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """One record of all boxes, now that every worker has ended; the exit code is the worst of theirs."""
        from tokgate.plugin.boxes import merged, worst
        from tokgate.store.runs import RunWriter

        stash, folder = self._config.stash, self._config.stash[FOLDER]
        returned = [self._returned(host) for host in self._hosts]
        command = stash[COMMAND]
        record = merged(returned, run_id=folder.name, started=self._started, command=command)
        try:
            stash[WRITER] = writer = RunWriter(folder, record)
            if exitstatus != pytest.ExitCode.INTERRUPTED:
                session.exitstatus = worst(returned)
                writer.end()
        except RecordError as error:
            say(self._config, str(error))
            session.exitstatus = EXIT_BROKEN

    def _name(self, host: BoxAddress) -> str:
        """Of its run's folder below --tokgate-out: an engine of this machine has it within this run's."""
        run = self._config.stash[FOLDER].name
        return f"{run}/{run}-{host.name}" if host.is_here else f"{run}-{host.name}"

    def _returned(self, host: BoxAddress) -> Returned:
        import msgspec

        from tokgate.plugin.boxes import Returned
        from tokgate.store.runs import RECORD, RunRecord, read_run

        place = self._config.stash[OPTIONS].out / self._name(host) / RECORD
        where = str(place.absolute()) if host.is_here else f"{host.url}: {host.checkout / place}"
        node = self._nodes.get(host.name)
        told = getattr(node, "workeroutput", {}).get(_KEY)
        if told is not None:
            record = told["record"] and msgspec.json.decode(told["record"], type=RunRecord)
            return Returned(host=host.url, place=where, code=told["code"], why=told["why"], record=record)
        why = f"it was lost ({self._lost.get(host.name, 'it was stopped')})"
        try:
            record = read_run(place) if host.is_here else None
        except RecordError:
            record = None
        return Returned(host=host.url, place=where, code=None, why=why, record=record)
