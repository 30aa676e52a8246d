"""CPU of processes and families, and who listens: recorded, and on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.machine.processes import (
    Process,
    find_family,
    find_listeners,
    read_process,
    read_processes,
    read_program,
    sum_cpu_s,
)

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box


@pytest.mark.parametrize("name", ["llama-server", "a b", "x) S 1 (", ""])
def test_any_name_is_read(box: Box, name: str) -> None:
    box.add_process(42, parent=7, name=name, cpu=150, reaped=50, started=99)
    assert read_process(42, box.root) == Process(
        pid=42, state="S", parent=7, started=99, name=name, cpu_s=1.5, reaped_s=0.5
    )


def test_gone_process_is_none(box: Box) -> None:
    assert read_process(42, box.root) is None
    assert read_processes(box.root) == {}


def test_this_process_and_its_child_are_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        processes = read_processes()
        assert {os.getpid(), child.pid} <= find_family(processes, [os.getpid()])
        assert find_family(processes, [child.pid]) == {child.pid}
        child.kill()


def _process(pid: int, parent: int) -> Process:
    return Process(pid=pid, state="S", parent=parent, started=0, name="p", cpu_s=1.0, reaped_s=0.25)


@given(st.dictionaries(st.integers(1, 30), st.integers(0, 30)), st.lists(st.integers(1, 35), max_size=3))
def test_family_is_closed_under_descent(parents: dict[int, int], heads: list[int]) -> None:
    """Also where pids were read at different moments, and so parents form a ring or are missing."""
    processes = {pid: _process(pid, parent) for pid, parent in parents.items()}
    members = find_family(processes, heads)
    expected = {pid for pid in heads if pid in processes}
    for _ in processes:
        expected |= {pid for pid, parent in parents.items() if parent in expected}
    assert members == expected
    assert sum_cpu_s(processes[pid] for pid in members) == 1.25 * len(members)


def test_program_tells_no_more_than_its_first_argument(box: Box) -> None:
    box.add_process(42, name="vllm")
    assert read_program(42, box.root) == "vllm --serve"
    assert read_program(43, box.root) is None


def test_listener_is_found_and_only_while_it_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert find_listeners(port) == ()
        server.listen()
        assert find_listeners(port) == (os.getpid(),)


def test_listener_out_of_sight_is_unknown(box: Box) -> None:
    row = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 4711 1"
    box.write({"proc/net/tcp": f"  sl  local_address rem_address\n   {row}"})
    assert find_listeners(8080, box.root) is None
    assert find_listeners(8081, box.root) == ()
