"""The lease among real processes: held, waited for, given up, freed by any end of its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokgate._exceptions import LeaseHeld, UsageError
from tokgate.machine.lease import hold_lease

# Prints "waits" when it has to wait and "holds" when it has the lease; ends when its input does.
_TAKE = """
import os, sys
from pathlib import Path
from tokgate.machine.lease import hold_lease
directory, uid = Path(sys.argv[1]), int(sys.argv[2])
if uid:
    os.setuid(uid)
try:
    with hold_lease(wait=True, describe="a nightly run", directory=directory,
               on_wait=lambda text: print("waits", text, flush=True)):
        print("holds", flush=True)
        sys.stdin.read()
except KeyboardInterrupt:
    print("gave up", flush=True)
"""


@contextmanager
def another(directory: Path, uid: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _TAKE, str(directory), str(uid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _never(text: str) -> None:
    pytest.fail(f"nothing to wait for, yet: {text}")


def test_free_lease_is_taken_again_and_again(tmp_path: Path) -> None:
    directory = tmp_path / "lease"
    for _ in range(2):
        with hold_lease(wait=True, describe="a run", on_wait=_never, directory=directory):
            assert "a run" in (directory / "holder.json").read_text()
        assert not (directory / "holder.json").exists()


def test_no_wait_names_the_holder_and_the_remedy(tmp_path: Path) -> None:
    with another(tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        pattern = rf"pid {holder.pid} of \w+, since 20.*`a nightly run`.*Next: leave out --tokgate-no-wait"
        with (
            pytest.raises(LeaseHeld, match=pattern) as caught,
            hold_lease(wait=False, describe="x", on_wait=_never, directory=tmp_path),
        ):
            pytest.fail("two hold the lease")
        assert f"pid {holder.pid}" in caught.value.holder


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_killed_holder_frees_it(tmp_path: Path, end: signal.Signals) -> None:
    with another(tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        waited = []

        def on_wait(text: str) -> None:
            waited.append(text)
            holder.send_signal(end)

        with hold_lease(wait=True, describe="the next run", on_wait=on_wait, directory=tmp_path):
            assert holder.wait(timeout=30) == -end
            assert "the next run" in (tmp_path / "holder.json").read_text()
        assert len(waited) == 1
        assert f"pid {holder.pid} of" in waited[0]


def test_interrupt_ends_the_waiting(tmp_path: Path) -> None:
    with hold_lease(wait=False, describe="me", on_wait=_never, directory=tmp_path):
        with another(tmp_path) as waiter:
            assert waiter.stdout is not None
            assert f"pid {os.getpid()} of" in waiter.stdout.readline()
            waiter.send_signal(signal.SIGINT)
            assert waiter.stdout.readline() == "gave up\n"
        assert "me" in (tmp_path / "holder.json").read_text()


def test_holder_without_a_note_is_still_respected(tmp_path: Path) -> None:
    with (
        hold_lease(wait=False, describe="me", on_wait=_never, directory=tmp_path),
        another(tmp_path) as waiter,
    ):
        assert waiter.stdout is not None
        assert waiter.stdout.readline().startswith("waits")
        for content in ("", "{", '{"pid": "x"}'):
            (tmp_path / "holder.json").write_text(content)
            with (
                pytest.raises(LeaseHeld, match="an unknown process"),
                hold_lease(wait=False, describe="x", on_wait=_never, directory=tmp_path),
            ):
                pytest.fail("two hold the lease")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
def test_users_share_it(open_path: Path) -> None:
    directory = open_path / "lease"
    with another(directory) as root:
        assert root.stdout is not None
        assert root.stdout.readline() == "holds\n"
        with another(directory, uid=65534) as nobody:
            assert nobody.stdout is not None
            assert f"pid {root.pid} of" in nobody.stdout.readline()
            root.kill()
            assert nobody.stdout.readline() == "holds\n"
            with (
                pytest.raises(LeaseHeld, match=f"pid {nobody.pid} of"),
                hold_lease(wait=False, describe="x", on_wait=_never, directory=directory),
            ):
                pytest.fail("two hold the lease")


def test_unusable_directory_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" / "lease"
    with (
        pytest.raises(UsageError, match=f"{directory}, which cannot be used: .*chmod 777"),
        hold_lease(wait=False, describe="x", on_wait=_never, directory=directory),
    ):
        pytest.fail("there is no such folder")
