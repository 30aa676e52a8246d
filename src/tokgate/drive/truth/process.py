"""The ground-truth server as its users see it: start one, tell it what to send, ask what it sent.

It has no model. What it really sent, and when, is the truth that the client is measured against.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from tokgate.drive.truth.scenario import Record, Scenario

_OPEN = build_opener(ProxyHandler({})).open  # never through a proxy: it is on loopback


class TruthServer:
    """A running ground-truth server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def serve(self, scenario: Scenario) -> None:
        """Use `scenario` for all later requests that carry none of their own."""
        request = Request(f"{self.url}/scenario", data=msgspec.json.encode(scenario), method="POST")
        with _OPEN(request):
            pass

    def truth(self) -> list[Record]:
        """The record of each request since the last call, in the order of their arrival."""
        with _OPEN(f"{self.url}/truth") as answer:
            return msgspec.json.decode(answer.read(), type=list[Record])


@contextmanager
def start_truth_server() -> Iterator[TruthServer]:
    """Start a ground-truth server in its own process; it ends with the context, or with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tokgate.drive.truth.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process; the server ends when its stdin closes
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield TruthServer(process.stdout.readline().strip())
    finally:
        process.stdin.close()  # tells it to end
        process.stdout.close()
        process.wait(5)
