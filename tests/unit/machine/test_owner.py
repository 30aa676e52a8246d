"""A process is told apart from every other, and only a certain end counts as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tokgate.machine.owner import Owner, read_owner
from tokgate.machine.processes import read_process


def test_this_process_is_not_gone() -> None:
    """Also after its owner was written and read."""
    here = Owner.current()
    assert here.pid == os.getpid()
    assert here.is_alive()
    assert not msgspec.json.decode(msgspec.json.encode(here), type=Owner).is_gone()


def test_a_reused_pid_is_another_process() -> None:
    here = Owner.current()
    other = msgspec.structs.replace(here, started=here.started - 1)
    assert other.is_gone()
    assert not other.is_alive()


def test_ended_process_is_gone() -> None:
    """Also as a zombie."""
    code = "import msgspec, sys; from tokgate.machine.owner import Owner; print(msgspec.json.encode(Owner.current()).decode())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        owner = msgspec.json.decode(process.stdout.read(), type=Owner)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still a zombie
        assert owner.is_gone()
    assert owner.is_gone()


def test_invisible_process_is_not_gone() -> None:
    dead = msgspec.structs.replace(Owner.current(), started=0)
    assert dead.is_gone()
    for elsewhere in ({"host": "elsewhere"}, {"machine": "0123"}, {"pid_namespace": "pid:[1]"}):
        other = msgspec.structs.replace(dead, **elsewhere)
        assert not other.is_gone()
        assert not other.is_alive()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_hidden_process_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc may hide the processes of other users: such a process cannot be read, and still exists."""
    monkeypatch.setattr("tokgate.machine.owner.read_process", lambda pid: None if pid == 1 else read_process(pid))
    hidden = msgspec.structs.replace(Owner.current(), pid=1, started=0)
    assert not hidden.is_gone()
    assert not hidden.is_alive()


def test_nothing_survives_a_reboot() -> None:
    before = msgspec.structs.replace(Owner.current(), boot="an earlier one")
    assert before.is_gone()
    assert not before.is_alive()
    assert not msgspec.structs.replace(before, machine="a clone with the same name").is_gone()


def test_only_this_user_and_folder_is_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = Owner.current()
    assert here.is_ours()
    assert not msgspec.structs.replace(here, uid=here.uid + 1 if here.uid is not None else 1).is_ours()
    monkeypatch.chdir(tmp_path)
    assert not here.is_ours()


def test_owner_of_an_older_version() -> None:
    """It is known to be gone, but not whose it was, so it is left alone."""
    old = b'{"host":"h","boot":"b","pid_namespace":"pid:[1]","pid":7,"started":5}'
    owner = read_owner(old)
    assert owner is not None
    assert not owner.is_ours()
    assert str(owner) == "pid 7 of an unknown user on h, started in an unknown folder"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"pid": 7}', b"\xff"])
def test_no_owner(text: str | bytes | None) -> None:
    assert read_owner(text) is None
