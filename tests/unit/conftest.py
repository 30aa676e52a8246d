"""What unit tests of several rooms share."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tokgate.launch.server import ServerFacts
from tokgate.machine.monitor import Monitor
from tokgate.measure.measurement import Measurement


@pytest.fixture(scope="session")
def bare_measurement() -> Measurement:
    """A valid launch of server `s` under `chat` at 10 tok/s, without samples; the host is this one, just now."""
    with Monitor(server_pids=()) as monitor:
        pass
    return Measurement(
        server="s",
        workload="chat",
        launch=1,
        started="2026-01-01T00:00:01.000+00:00",
        valid=True,
        problems=(),
        metrics={},
        gated={"decode_tps": 10.0},
        facts=ServerFacts(name="s", engine="llama.cpp", base_url="http://x", model="m"),
        warmup_passes=2,
        host=monitor.report,
        client_cpu_s=0.1,
        max_lag_s=0.001,
        samples=(),
    )


@pytest.fixture
def no_file_above() -> Callable[[int], AbstractContextManager[None]]:
    """A disk that takes no file larger than so many bytes: the limit the kernel sets for this process."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    return limited
