"""Checks, before anything starts, that each box of --tokgate-hosts can be used and measures the same as this one.

`python -m tokgate.plugin.remote` runs on the other box and prints its `Checkout` as JSON.
"""

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

_TIMEOUT_S = 60  # reading a checkout takes seconds, also by a slow disk and connection
_NO_CHECKOUT, _NO_PYTHON = 40, 41  # exit codes that neither ssh (255), the shell nor Python uses
# BatchMode: nobody can type a password. ServerAlive: a broken connection is noticed within a minute.
_SSH_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4")


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What determines the measurements of a checkout. Boxes can be compared only if all of it is equal.

    version: of tokgate.
    code: hash of the package and of the suite.
    fixtures: hash of fixtures/.
    """

    version: str
    code: str
    fixtures: str


def read_checkout(root: Path) -> Checkout:
    """Describe the checkout at `root`, with the running program. Raises OSError."""
    package = Path(__file__).parents[1]
    suite = [root / "conftest.py", *(root / "tests" / "perf").rglob("*.py")]
    return Checkout(
        version=__version__,
        code=_digest([*package.rglob("*.py"), *suite], package, root),
        fixtures=_digest((root / "fixtures").rglob("*"), root),
    )


def check_boxes(boxes: Sequence[BoxAddress], root: Path) -> None:
    """Check all boxes at once; a remote one must have the same checkout as the one at `root`.

    Raises HostUnusable for the first box that cannot be used.
    """
    mine = read_checkout(root)
    with ThreadPoolExecutor(max_workers=len(boxes)) as pool:
        for _ in pool.map(lambda box: _check_daemon(box) if box.is_here else _check_remote(box, mine), boxes):
            pass


def list_ssh_arguments(box: BoxAddress) -> list[str]:
    """The arguments of `ssh` for a box, without the remote command."""
    port = [] if box.port is None else ["-p", str(box.port)]
    return [*(word for option in _SSH_OPTIONS for word in ("-o", option)), *port, box.login]


def _check_daemon(box: BoxAddress) -> None:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT_S)
            probe.connect(box.socket)
    except OSError as error:
        raise HostUnusable(
            f"the Docker daemon does not answer: {error.strerror or error}. Next: check that it is running and that "
            f"you have access to it (`docker -H {box.url} info`)",
            host=box.url,
        ) from error


def _check_remote(box: BoxAddress, mine: Checkout) -> None:
    theirs = _read_remote_checkout(box)
    other = [
        f"{name} {getattr(theirs, name)} there, {getattr(mine, name)} here"
        for name in Checkout.__struct_fields__
        if getattr(theirs, name) != getattr(mine, name)
    ]
    if other:
        raise HostUnusable(f"its checkout differs: {'; '.join(other)}. Next: {_advise_update(box)}", host=box.url)


def _read_remote_checkout(box: BoxAddress) -> Checkout:
    """Describe the checkout on a box. Raises HostUnusable: no connection, no checkout, or one that is too old."""
    folder = shlex.quote(str(box.checkout))
    script = (
        f"cd {folder} 2>/dev/null || exit {_NO_CHECKOUT}; [ -x .venv/bin/python ] || exit {_NO_PYTHON}; "
        "exec .venv/bin/python -m tokgate.plugin.remote"
    )
    login = ["ssh", *list_ssh_arguments(box)]
    try:
        done = subprocess.run(
            [*login, f"exec sh -c {shlex.quote(script)}"],  # sh: the login shell there may be any
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
        return msgspec.json.decode(done.stdout, type=Checkout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostUnusable(f"`{shlex.join(login)}` failed: {error}", host=box.url) from error
    except msgspec.DecodeError:  # no output, or that of another program
        pass
    there = f"{box.checkout} on {box.login}"
    why = {
        255: f"ssh failed: {_last_line(done.stderr)}. Next: make sure that `{shlex.join(login)}` works without a password",
        _NO_CHECKOUT: f"there is no folder {there}. Next: clone this project there and run ./ci/perf.sh in it "
        f"once, or add the path of the clone: ssh://{box.login}/PATH",
        _NO_PYTHON: f"there is no .venv in {there}. Next: run ./ci/perf.sh in it once, which creates it",
    }
    unknown = f"its checkout cannot be read: {_last_line(done.stderr)}. Next: {_advise_update(box)}"
    raise HostUnusable(why.get(done.returncode, unknown), host=box.url)


def _advise_update(box: BoxAddress) -> str:
    return f"check out the same commit in {box.checkout} on {box.login}, and run ./ci/perf.sh there once"


def _digest(files: Iterable[Path], *roots: Path) -> str:
    """A hash of the files' contents and of their names relative to the first matching root, 12 digits."""
    digest = hashlib.sha256()
    generated = {".whl", ".pyc"}  # by building an image, and by running
    named = {_relative_name(file, roots): file for file in files if file.is_file() and file.suffix not in generated}
    for name, file in sorted(named.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _relative_name(file: Path, roots: Sequence[Path]) -> str:
    return next(str(file.relative_to(root)) for root in roots if file.is_relative_to(root))


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(read_checkout(Path.cwd())).decode() + "\n")
