"""The reference server as its users see it: start one, tell it what to emit, ask what it did.

It has no model. What it really sent, and when, is the truth that the client is measured against.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

_OPEN = build_opener(ProxyHandler({})).open  # no proxy stands before loopback


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stream. Times are seconds.

    ttft_s: from the request's last byte to the first token chunk; itl_s: between token chunks, both times
    `slowdown`, and each times a seeded factor within 1 ± jitter. With ttft_s and itl_s 0 it emits as fast
    as it can. tokens: None for what the request asks.
    first_chunk_tokens: None for tokens_per_chunk. usage: None for what the request asks.
    cut: send the body in HTTP chunks of so many bytes; pad: bytes of filler in the first token chunk.
    status: answer with this HTTP error and no stream.
    fault: what happens after `fault_after` token chunks.
    """

    ttft_s: float = 0.0
    itl_s: float = 0.0
    jitter: float = 0.0
    slowdown: float = 1.0
    tokens: int | None = None
    tokens_per_chunk: int = 1
    first_chunk_tokens: int | None = None
    seed: int = 0

    role: bool = True
    delta: Literal["content", "reasoning_content", "reasoning", "tool_calls"] = "content"
    text: str = " tok"
    empty_deltas: bool = False
    usage: Literal["last", "every", "none"] | None = None
    cached_tokens: int | None = None
    done: bool = True

    newline: Literal["\n", "\r\n", "\r"] = "\n"
    comments: bool = False
    multi_line: bool = False
    cut: int | None = None
    pad: int = 0
    gzip: bool = False

    status: int | None = None
    fault: Literal["error_event", "garbage", "stall", "reset", "close", "silent"] | None = None
    fault_after: int = 0


class Record(msgspec.Struct, kw_only=True):
    """What the server really did with one request; times are of the system's monotonic clock, which
    `perf_counter` reads in every process.

    prompt: text of the first message. received_s: the request's last byte was read.
    sends: (time just before the last of it was handed to the socket, tokens in it) of each piece that
    held tokens.
    """

    prompt: str
    received_s: float
    sends: list[tuple[float, int]] = []
    ended: bool = False

    @property
    def ttft_s(self) -> float:
        return self.sends[0][0] - self.received_s

    @property
    def decode_tps(self) -> float:
        """(n - k) / (last - first), as tokgate defines it."""
        return sum(tokens for _, tokens in self.sends[1:]) / (self.sends[-1][0] - self.sends[0][0])


class Reference:
    """A running reference server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def serve(self, scenario: Scenario) -> None:
        """From now on, requests that bring no scenario of their own get this one."""
        request = Request(f"{self.url}/scenario", data=msgspec.json.encode(scenario), method="POST")
        with _OPEN(request):
            pass

    def truth(self) -> list[Record]:
        """What was done with each request since this was last asked, in the order they came."""
        with _OPEN(f"{self.url}/truth") as answer:
            return msgspec.json.decode(answer.read(), type=list[Record])


@contextmanager
def reference_server() -> Iterator[Reference]:
    """A reference server in a process of its own; it ends with the context, or with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tokgate.drive.truth.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us; it ends when we do
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Reference(process.stdout.readline().strip())
    finally:
        process.stdin.close()  # tells it to end
        process.stdout.close()
        process.wait(5)
