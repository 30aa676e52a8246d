"""What unit tests of several rooms share."""

from __future__ import annotations

import resource
import signal
import socket
import socketserver
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from threading import Thread

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


Respond = Callable[[str], Iterable[bytes]]
"""From the head and body of a request, the pieces of the answer; the connection is closed after the last."""


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], str]]:
    """Start servers that answer each request with the bytes that they are given; returns the URL of one."""
    with ExitStack() as stack:

        def start(respond: Respond) -> str:
            class Handler(socketserver.BaseRequestHandler):
                def handle(self) -> None:
                    with suppress(OSError):  # the client closes what it does not want to read
                        for piece in respond(_receive(self.request)):
                            self.request.sendall(piece)

            server = stack.enter_context(_Server(("127.0.0.1", 0), Handler))
            stack.callback(server.shutdown)
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # an endless answer may still be on its way
    request_queue_size = 64


def _receive(sock: socket.socket) -> str:
    """One request."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := sock.recv(65536)):
            raise OSError("closed")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        if not (piece := sock.recv(65536)):
            raise OSError("closed")
        body += piece
    return (head + b"\r\n\r\n" + body).decode()
