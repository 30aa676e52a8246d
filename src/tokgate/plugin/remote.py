"""Hosts: whether the boxes of a run over many can be measured on, asked before anything starts."""

from __future__ import annotations

import hashlib
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tokgate import __version__
from tokgate._exceptions import HostUnusable
from tokgate.config.box_address import BoxAddress

_TIMEOUT_S = 60
_NO_CHECKOUT, _NO_PYTHON = 40, 41
# BatchMode: nobody is there to type a password. Alive: a cable that was pulled is noticed within a minute.
_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4")


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout would measure, and with what: equal on all boxes, or their figures say nothing together."""

    version: str
    code: str
    fixtures: str


def checkout(root: Path) -> Checkout:
    """The checkout at `root`, with this program. Raises OSError."""
    package = Path(__file__).parents[1]
    suite = [root / "conftest.py", *(root / "tests" / "perf").rglob("*.py")]
    return Checkout(
        version=__version__,
        code=_digest([*package.rglob("*.py"), *suite], package, root),
        fixtures=_digest((root / "fixtures").rglob("*"), root),
    )


def check_hosts(hosts: Sequence[BoxAddress], root: Path) -> None:
    """Ask all at once whether each can be measured on, as this checkout at `root` does it.

    Raises HostUnusable of the first that cannot.
    """
    mine = checkout(root)
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        for _ in pool.map(
            lambda host: _check_daemon(host) if host.is_here else _check_remote(host, mine), hosts
        ):
            pass


def ssh_arguments(host: BoxAddress) -> list[str]:
    """What follows `ssh` to reach a host, up to the command."""
    port = [] if host.port is None else ["-p", str(host.port)]
    return [*(word for option in _OPTIONS for word in ("-o", option)), *port, host.login]


def _check_daemon(host: BoxAddress) -> None:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT_S)
            probe.connect(host.socket)
    except OSError as error:
        raise HostUnusable(
            f"the Docker daemon does not answer: {error.strerror or error}. Next: check that a daemon listens there and that this "
            f"user may use it (`docker -H {host.url} info`)",
            host=host.url,
        ) from error


def _check_remote(host: BoxAddress, mine: Checkout) -> None:
    theirs = _ask(host)
    other = [
        f"{name} {getattr(theirs, name)}, here {getattr(mine, name)}"
        for name in Checkout.__struct_fields__
        if getattr(theirs, name) != getattr(mine, name)
    ]
    if other:
        raise HostUnusable(
            f"it would measure something else: {'; '.join(other)}. Next: {_update(host)}", host=host.url
        )


def _ask(host: BoxAddress) -> Checkout:
    """What the checkout there would measure. Raises HostUnusable: not reached, not there, or too old to say."""
    folder = shlex.quote(str(host.checkout))
    asked = (
        f"cd {folder} 2>/dev/null || exit {_NO_CHECKOUT}; [ -x .venv/bin/python ] || exit {_NO_PYTHON}; "
        "exec .venv/bin/python -m tokgate.plugin.remote"
    )
    login = ["ssh", *ssh_arguments(host)]
    try:
        done = subprocess.run(
            [*login, f"exec sh -c {shlex.quote(asked)}"],  # sh: whatever the user's own shell is there
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return msgspec.json.decode(done.stdout, type=Checkout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostUnusable(f"`{shlex.join(login)}` failed: {error}", host=host.url) from error
    except msgspec.DecodeError:  # nothing, or another program's words
        pass
    there = f"{host.checkout} on {host.login}"
    why = {
        255: f"ssh said: {_last(done.stderr)}. Next: see that `{shlex.join(login)}` works without a password",
        _NO_CHECKOUT: f"there is no folder {there}. Next: clone this project there and run ./ci/perf.sh in it "
        f"once; name it where it is elsewhere: ssh://{host.login}/PATH",
        _NO_PYTHON: f"there is no .venv in {there}. Next: run ./ci/perf.sh in it once, which makes it",
    }
    unknown = f"its tokgate does not say what it would measure: {_last(done.stderr)}. Next: {_update(host)}"
    raise HostUnusable(why.get(done.returncode, unknown), host=host.url)


def _update(host: BoxAddress) -> str:
    return f"bring {host.checkout} on {host.login} to the state of this checkout, and run ./ci/perf.sh in it once"


def _digest(files: Iterable[Path], *roots: Path) -> str:
    """Twelve hexadecimal digits of these files' names below a root and contents, the same in any order."""
    digest = hashlib.sha256()
    wheels = {".whl", ".pyc"}  # what building an image, or running, left
    named = {_below(file, roots): file for file in files if file.is_file() and file.suffix not in wheels}
    for name, file in sorted(named.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _below(file: Path, roots: Sequence[Path]) -> str:
    return next(str(file.relative_to(root)) for root in roots if file.is_relative_to(root))


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(checkout(Path.cwd())).decode() + "\n")
