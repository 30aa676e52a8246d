"""The guardian itself: `python -m tokgate.launch.guardian.process PID`, started by the run with that pid.

It waits until the run ends, however it ends, and then ends what the run has started and not reported as gone.
It touches nothing else. It has its own session and ignores signals, so what ends the run or its terminal does
not end it; and it imports no more than the standard library while it waits (10 MB of memory, no CPU time).

Its stdin is a pipe from the run. Each line is JSON: `{"do": WORD, "key": TEXT, "thing": {…}}`, where WORD is

    guard   it may exist from now on
    gone    it no longer exists
    end     the run could not end it: end it now, though the run still lives

and `thing` is a container or a process, as `tokgate.launch.guardian.client` describes them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_RETRY_S = 0.25
_CREATION_S = 5.0  # the Docker daemon may finish a creation after its client has ended
_PATIENCE_S = 1800.0  # a daemon that restarts, or is updated, is back by then; otherwise the next run cleans up

Thing = dict[str, Any]


def main(run_pid: int) -> None:
    """Watch the run; returns when it has ended and nothing of it is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run = _open_process(run_pid)
    if os.fork():
        os._exit(0)  # so that nothing that ends the run with all its descendants finds the guardian among them
    sys.path[:] = [os.path.abspath(path) for path in sys.path]  # noqa: PTH100 - pathlib is not how sys.path works
    os.chdir("/")  # the run's folder may be removed or unmounted
    guarded: dict[str, Thing] = {}
    for order in _read_orders(run):
        if order["do"] == "guard":
            guarded[order["key"]] = order["thing"]
        else:
            thing = guarded.pop(order["key"], None)
            if order["do"] == "end" and thing is not None:
                _start_ending(thing, "the run could not end it")
    for thing in guarded.values():
        _start_ending(thing, "the run was killed")


def _open_process(pid: int) -> int | None:
    """A file that becomes readable when the process ends; None where the kernel has none, or it is not our parent.

    The pipe closes at that moment too, unless a child of the run has inherited it.
    """
    with suppress(AttributeError, OSError):
        if os.getppid() == pid:
            return os.pidfd_open(pid)
    return None


def _read_orders(run: int | None) -> Iterator[dict[str, Any]]:
    """What the run writes, until it has ended and everything has been read."""
    os.set_blocking(0, False)
    poll = select.poll()
    for file in (0, run):
        if file is not None:
            poll.register(file, select.POLLIN)
    text, ended = b"", False
    while not ended:
        ended = any(file == run for file, _ in poll.poll())
        with suppress(BlockingIOError):
            while piece := os.read(0, 65536):
                text += piece
            ended = True
        *lines, text = text.split(b"\n")
        yield from map(json.loads, lines)


def _start_ending(thing: Thing, why: str) -> None:
    """End it in a thread of its own: one that hangs must not hold up the others. This process waits for all."""
    end = _end_container if thing["type"] == "Container" else _end_process
    threading.Thread(target=end, args=(thing, why)).start()


def _end_process(thing: Thing, why: str) -> None:
    from tokgate.machine.processes import signal_process

    if signal_process(thing["pid"], signal.SIGKILL, started=thing["started"]):
        _write(thing, f"killed pid {thing['pid']}: {why}")


def _end_container(thing: Thing, why: str) -> None:
    from tokgate.launch.docker.sweep import remove  # Docker's client is imported only now

    name, began, error_text = thing["name"], time.monotonic(), ""
    while (waited_s := time.monotonic() - began) < _PATIENCE_S:
        try:
            if remove(name, owner=thing["owner"], daemon=thing["daemon"]):
                _write(thing, f"removed container {name}: {why}")
                return
        except Exception as error:  # the daemon may be restarting: whatever it is, the next try may succeed
            if str(error) != error_text:
                error_text = str(error)
                _write(thing, f"could not remove container {name} yet: {error_text}")
        else:
            if waited_s > _CREATION_S:
                return
        time.sleep(_RETRY_S)
    _write(thing, f"gave up on container {name}. Next: tokgate cleanup")


def _write(thing: Thing, text: str) -> None:
    """Add a line to guardian.log in the folder of the server's logs."""
    with suppress(OSError), Path(thing["log_dir"], "guardian.log").open("a") as log:
        log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
