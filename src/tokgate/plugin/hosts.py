"""Several boxes: `--tokgate-hosts` runs the suite on each of them, as a worker of pytest-xdist.

Each worker is an ordinary session on its box, with its own plan, lease and record. The controller measures
nothing: it checks all boxes first, shows what the workers report, and merges their records.
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
from tokgate.plugin.options import OPTIONS
from tokgate.plugin.run import COMMAND, EXIT_BROKEN, FOLDER, WRITER, open_record, prepare_run
from tokgate.plugin.screen import say

if TYPE_CHECKING:
    from tokgate.config.box_address import BoxAddress
    from tokgate.plugin.boxes import BoxResult

_KEY = "tokgate"
"""The key, in xdist's input and output of a worker, of what controller and worker tell each other."""

# A worker needs time to end its server: execnet interrupts it after 5 s, and then waits 10 s more.
_EXIT_TIMEOUT_S = 20


def become_controller(config: pytest.Config) -> bool:
    """Make this session the controller of --tokgate-hosts, if the option is given; returns whether it is.

    Raises HostUnusable, RecordError and pytest's UsageError.
    """
    boxes = config.stash[OPTIONS].boxes
    if not boxes or hasattr(config, "workerinput"):
        return False
    if config.option.collectonly:
        return False
    if not config.pluginmanager.hasplugin("xdist"):
        raise pytest.UsageError("--tokgate-hosts requires pytest-xdist. Next: leave out -p no:xdist")
    from tokgate.plugin.remote import check_boxes, list_ssh_arguments

    check_boxes(boxes, config.rootpath)
    prepare_run(config)
    option = config.option
    option.dist, option.maxworkerrestart = "each", "0"
    option.tx = [
        f"popen//id={box.name}"
        if box.is_here
        else f"ssh={' '.join(list_ssh_arguments(box))}//id={box.name}//chdir={box.checkout}"
        f"//python={shlex.quote(f'{box.checkout}/.venv/bin/python')}"
        for box in boxes
    ]
    config.pluginmanager.register(_Controller(config, boxes))
    return True


def become_worker(config: pytest.Config) -> str | None:
    """Make this session the worker of its box, if xdist started it; returns the name of its run folder."""
    task = getattr(config, "workerinput", {}).get(_KEY)
    if task is None:
        return None
    # pytest-benchmark would not measure where xdist runs workers side by side; on its box this is the only one.
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    config.stash[COMMAND] = tuple(task["command"])
    config.stash[OPTIONS] = replace(config.stash[OPTIONS], report=None)  # the controller writes it
    config.pluginmanager.register(_Worker(config))
    name: str = task["name"]
    return name


class _Worker:
    """The session on one box; sends its record to the controller at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]
        self._why = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """Report an error of planning to the controller, too."""
        try:
            return (yield)
        except pytest.UsageError as error:
            self._why = str(error)
            raise

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ignore a second interrupt: that of execnet, 5 s after the user's, would arrive while the server ends."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._why = str(excinfo.value) or "it was interrupted"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the record, and the exit code that this session alone would have."""
        import msgspec

        stash, code = session.config.stash, int(session.exitstatus)
        if WRITER not in stash:
            open_record(session.config).end()
        record = msgspec.json.encode(stash[WRITER].record)
        self._output[_KEY] = {"code": code, "why": self._why, "record": record}
        if code == pytest.ExitCode.INTERRUPTED:  # else xdist would end the other boxes, too
            self._output["exitstatus"] = int(pytest.ExitCode.TESTS_FAILED)


class _Controller:
    """The session that starts the workers and merges their records."""

    def __init__(self, config: pytest.Config, boxes: Sequence[BoxAddress]) -> None:
        from tokgate.store.runs import now

        self._config, self._boxes, self._started = config, boxes, now()
        self._nodes: dict[str, Any] = {}
        self._lost: dict[str, str] = {}

    def pytest_report_header(self) -> list[str]:
        return [
            f"tokgate: on {len(self._boxes)} hosts",
            *(f"tokgate:   [{box.name}] {box.url}" for box in self._boxes),
        ]

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Iterator[None]:
        """Turn the error of a box that no longer answers into a message."""
        try:
            yield
        except Exception as error:
            raise pytest.UsageError(
                f"the session on a host could not be started: {type(error).__name__} {error}"
            ) from error

    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: Sequence[Any]) -> None:
        """Give each worker this command line and its Docker daemon; copy nothing to a box."""
        manager: Any = config.pluginmanager.getplugin("dsession")
        manager.nodemanager.roots = []
        manager.nodemanager.EXIT_TIMEOUT = _EXIT_TIMEOUT_S
        # xdist passes only those paths on that lie in folders it copies; so the arguments go by the environment.
        arguments = [
            *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")),
            *map(str, config.invocation_params.args),
        ]
        config.invocation_params = pytest.Config.InvocationParams(
            args=(), plugins=None, dir=config.invocation_params.dir
        )
        for box, spec in zip(self._boxes, specs, strict=True):
            spec.env["PYTEST_ADDOPTS"] = shlex.join(arguments)
            if box.is_here:
                spec.env["DOCKER_HOST"] = box.url

    def pytest_configure_node(self, node: Any) -> None:
        """Tell each worker the name of its run folder and the command of this session."""
        (box,) = (box for box in self._boxes if box.name == node.gateway.id)
        self._nodes[box.name] = node
        command = self._config.stash[COMMAND]
        node.workerinput[_KEY] = {"name": self._name_folder(box), "command": list(command)}

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Keep the reason why a box was lost. xdist would report its current test as failed: drop its tests."""
        controller: Any = self._config.pluginmanager.getplugin("dsession")
        controller.sched.node2pending.get(node, []).clear()
        if error:
            lines = str(error).strip().splitlines()
            self._lost[node.gateway.id] = lines[-1] if lines else "for an unknown reason"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Merge the records of all boxes, now that every worker has ended."""
        from tokgate.plugin.boxes import choose_exit_code, merge_records
        from tokgate.store.runs import RunWriter

        stash, folder = self._config.stash, self._config.stash[FOLDER]
        results = [self._read_result(box) for box in self._boxes]
        command = stash[COMMAND]
        record = merge_records(results, run_id=folder.name, started=self._started, command=command)
        try:
            stash[WRITER] = writer = RunWriter(folder, record)
            if exitstatus != pytest.ExitCode.INTERRUPTED:
                session.exitstatus = choose_exit_code(results)
                writer.end()
        except RecordError as error:
            say(self._config, str(error))
            session.exitstatus = EXIT_BROKEN

    def _name_folder(self, box: BoxAddress) -> str:
        """The run folder of a box, relative to --tokgate-out; on this machine, inside that of this session."""
        run_id = self._config.stash[FOLDER].name
        return f"{run_id}/{run_id}-{box.name}" if box.is_here else f"{run_id}-{box.name}"

    def _read_result(self, box: BoxAddress) -> BoxResult:
        import msgspec

        from tokgate.plugin.boxes import BoxResult
        from tokgate.store.runs import RECORD, RunRecord, read_run

        path = self._config.stash[OPTIONS].out / self._name_folder(box) / RECORD
        place = str(path.absolute()) if box.is_here else f"{box.url}: {box.checkout / path}"
        output = getattr(self._nodes.get(box.name), "workeroutput", {}).get(_KEY)
        if output is not None:
            try:
                record = output["record"] and msgspec.json.decode(output["record"], type=RunRecord)
                return BoxResult(host=box.url, place=place, code=output["code"], why=output["why"], record=record)
            except (msgspec.DecodeError, KeyError, TypeError) as error:
                return BoxResult(host=box.url, place=place, code=None, why=f"its result cannot be read: {error}")
        why = f"the connection was lost ({self._lost.get(box.name, 'it was stopped')})"
        try:
            record = read_run(path) if box.is_here else None
        except RecordError:
            record = None
        return BoxResult(host=box.url, place=place, code=None, why=why, record=record)
