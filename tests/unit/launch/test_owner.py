"""A process is told apart from every other, and only a certain end counts as one."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from tokgate.launch.docker.owner import Owner


def test_this_process_is_not_gone() -> None:
    """Also after its owner was written and read."""
    here = Owner.current()
    assert here.pid == os.getpid()
    assert not msgspec.json.decode(msgspec.json.encode(here), type=Owner).is_gone()


def test_a_reused_pid_is_another_process() -> None:
    here = Owner.current()
    assert msgspec.structs.replace(here, started=here.started - 1).is_gone()


def test_ended_process_is_gone() -> None:
    """Also as a zombie."""
    code = "import msgspec, sys; from tokgate.launch.docker.owner import Owner; print(msgspec.json.encode(Owner.current()).decode())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        owner = msgspec.json.decode(process.stdout.read(), type=Owner)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still a zombie
        assert owner.is_gone()
    assert owner.is_gone()


def test_invisible_process_is_not_gone() -> None:
    dead = msgspec.structs.replace(Owner.current(), started=0)
    assert dead.is_gone()
    assert not msgspec.structs.replace(dead, host="elsewhere").is_gone()
    assert not msgspec.structs.replace(dead, pid_namespace="pid:[1]").is_gone()


def test_nothing_survives_a_reboot() -> None:
    assert msgspec.structs.replace(Owner.current(), boot="an earlier one").is_gone()
