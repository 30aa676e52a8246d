"""Embedded: llama.cpp's own server, from the xllamacpp wheel, in a subprocess of this one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import psutil

from tokgate import engines
from tokgate._exceptions import EngineMissing, LaunchError
from tokgate._secrets import redact_command, redact_variables
from tokgate.config.server import EmbeddedLaunch, ServerSpec
from tokgate.launch.guardian.client import Process, guarded
from tokgate.launch.llama_server import LlamaConfig
from tokgate.launch.logs import create_log, exit_error
from tokgate.launch.models.paths import locate_gguf
from tokgate.launch.probe import check_health, check_model, read_info
from tokgate.launch.ready import wait_until_ready
from tokgate.launch.server import Freezer, Server, ServerFacts
from tokgate.machine.cores import count_usable_cores
from tokgate.machine.leftovers import OWNER_VARIABLE
from tokgate.machine.owner import Owner
from tokgate.machine.processes import are_stopped, read_process

_GRACE_S = 3.0  # between SIGTERM and SIGKILL: a server has no state to save
# Only variables that can change how the engine runs are recorded: others may hold secrets.
_ENGINE_ENV = ("GGML_", "LLAMA_", "OMP_", "GOMP_", "KMP_", "MALLOC_", "LD_")


@contextmanager
def launch(spec: ServerSpec, *, log_dir: Path) -> Iterator[Server]:
    """See `start`. Raises EngineMissing, ModelMissing, LaunchError, ServerExited, ServerNotReady."""
    assert isinstance(spec.launch, EmbeddedLaunch)
    config = _config(spec, spec.launch)
    log_path = create_log(log_dir, spec.name)
    command = [sys.executable, "-m", "tokgate.launch.llama_server", msgspec.json.encode(config).decode()]
    started = time.perf_counter()
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # held open: when it closes, the child ends
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal is for this process, not for the child
            env=os.environ | {OWNER_VARIABLE: msgspec.json.encode(Owner.current()).decode()},
        )
    try:
        with _guard(spec, process, log_dir) as gone:
            try:
                base_url = _wait(spec, process, log_path)
                facts = _facts(spec, base_url, process, log_path, startup_s=time.perf_counter() - started)
                check_alive = partial(_check, spec, process, log_path, doing="while it was in use")
                freezer = Freezer(
                    freeze=partial(_signal_group, spec, process, signal.SIGSTOP),
                    thaw=partial(_signal_group, spec, process, signal.SIGCONT),
                    is_frozen=partial(are_stopped, (process.pid,)),
                )
                yield Server(spec=spec, facts=facts, check_alive=check_alive, freezer=freezer)
            finally:
                _stop(process)
                gone()
    finally:
        _stop(process)  # if there is no guardian


def _guard(
    spec: ServerSpec, process: subprocess.Popen[bytes], log_dir: Path
) -> AbstractContextManager[Callable[[], None]]:
    """When this process is killed, the server ends with its stdin; but not while it is frozen."""
    child = read_process(process.pid)
    assert child is not None  # it is not waited for yet, so it is at least a zombie
    thing = Process(pid=child.pid, started=child.started, log_dir=str(log_dir.absolute()))
    return guarded(thing, server=spec.name)


def _config(spec: ServerSpec, how: EmbeddedLaunch) -> LlamaConfig:
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineMissing(
            "the embedded engine is not installed. Next: pip install 'tokgate[embedded]'", server=spec.name
        )
    return LlamaConfig(
        model=str(locate_gguf(how.gguf, server=spec.name)),
        alias=spec.model.id,
        threads=how.threads or count_usable_cores(),
        context=how.context,
        parallel=how.parallel,
    )


def _wait(spec: ServerSpec, process: subprocess.Popen[bytes], log_path: Path) -> str:
    """The base URL of the server, once it is ready."""
    base_url, engine = "", engines.find(spec.engine)

    def check_ready() -> str | None:
        nonlocal base_url
        base_url = base_url or _address(process)
        return check_health(engine, base_url) if base_url else "loading: it has not printed its address yet"

    wait_until_ready(
        spec,
        not_ready=check_ready,
        check_alive=partial(_check, spec, process, log_path, doing="while it started"),
        log_path=log_path,
    )
    return base_url


def _address(process: subprocess.Popen[bytes]) -> str:
    """The address that the child prints when it listens; empty until then."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 0)
    return process.stdout.readline().decode().strip() if readable else ""


def _facts(
    spec: ServerSpec, base_url: str, process: subprocess.Popen[bytes], log_path: Path, *, startup_s: float
) -> ServerFacts:
    child = psutil.Process(process.pid)
    engine = engines.find(spec.engine)
    _, settings = read_info(engine, base_url)
    shm = os.statvfs("/dev/shm")
    return ServerFacts(
        name=spec.name,
        engine=engine.name,
        engine_version=f"xllamacpp {importlib.metadata.version('xllamacpp')}",
        base_url=base_url,
        model=check_model(spec, engine, base_url),
        startup_s=startup_s,
        shm_bytes=shm.f_blocks * shm.f_frsize,
        args=redact_command(child.cmdline()),
        env=redact_variables({key: value for key, value in child.environ().items() if key.startswith(_ENGINE_ENV)}),
        settings=settings,
        pids=(process.pid,),
        log_path=str(log_path),
    )


def _check(spec: ServerSpec, process: subprocess.Popen[bytes], log_path: Path, *, doing: str) -> None:
    if (code := process.poll()) is not None:
        raise exit_error(spec, doing=doing, exit_code=code, log_path=log_path)


def _signal_group(spec: ServerSpec, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the process and to whatever it has started."""
    try:
        os.killpg(process.pid, number)  # it leads its group; until it is waited for, its pid is not used again
    except OSError as error:
        raise LaunchError(f"could not send it {number.name}: {error.strerror}", server=spec.name) from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            os.killpg(process.pid, signal.SIGCONT)  # a frozen process gets SIGTERM when it goes on
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
    finally:  # also after a second Ctrl-C
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
