"""Ports, cores and log files, as this machine has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tokgate._exceptions import PortTaken
from tokgate.launch.logs import create_log
from tokgate.launch.port import check_free
from tokgate.machine.cores import count_usable_cores


def test_listener_takes_the_port() -> None:
    """On whatever address it listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"server x: port {port} is in use by pid {os.getpid()}: "):
            check_free(port, server="x")
    check_free(port, server="x")


def test_shared_port_is_taken() -> None:
    """A listener with SO_REUSEPORT, which would share its port, takes it as well."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(PortTaken, match=str(listener.getsockname()[1])):
            check_free(listener.getsockname()[1], server="x")


def test_cores_stay_within_the_affinity() -> None:
    assert 1 <= count_usable_cores() <= len(os.sched_getaffinity(0))
    cpu = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{cpu}}}); from tokgate.machine.cores import count_usable_cores; print(count_usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"1\n"


def test_log_names(tmp_path: Path) -> None:
    """The logs of one server are numbered, and its name cannot leave the folder."""
    logs = tmp_path / "run" / "logs"
    assert create_log(logs, "a").name == "a-1.log"
    assert create_log(logs, "a").name == "a-2.log"
    assert create_log(logs, "../b c").parent == logs
