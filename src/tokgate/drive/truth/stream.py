"""A scenario as a series of sends: bytes, the tokens in them, and when they are due."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator

import msgspec

from tokgate.drive.truth.scenario import Scenario

_BLOCK_TOKENS = 256  # in one send when there is no schedule: one system call for each would limit the rate
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"


class Send(msgspec.Struct, frozen=True):
    """One send.

    after_s: seconds after the request arrived.
    tokens: number of tokens in `data`.
    end: instead of bytes, the fault that ends the stream.
    """

    after_s: float
    data: bytes = b""
    tokens: int = 0
    end: str | None = None


def make_sends(scenario: Scenario, tokens: int, usage: str, prompt_tokens: int) -> Iterator[Send]:
    """Yield the sends of one response, its HTTP header first."""
    if scenario.fault == "silent":
        yield Send(0.0, end="silent")
        return
    yield Send(0.0, _HEAD + (b"Content-Encoding: gzip\r\n" if scenario.gzip else b"") + b"\r\n")
    framed = _framing(scenario)
    event = _Events(scenario, usage, prompt_tokens)
    if scenario.role:
        yield from framed(0.0, event.delta({"role": "assistant", "content": ""}, 0), 0)
    if scenario.comments:
        yield from framed(0.0, b": ping" + 2 * scenario.newline.encode(), 0)
    clock = random.Random(scenario.seed)
    after_s, sent, chunks = scenario.ttft_s * scenario.slowdown * _factor(scenario, clock), 0, 0
    plain = scenario.itl_s == 0 and scenario.fault is None and usage != "every" and scenario.cut is None
    while sent < tokens:
        if scenario.fault is not None and chunks == scenario.fault_after:
            yield from _fault(scenario, after_s, framed)
            return
        if scenario.empty_deltas:
            yield from framed(after_s, event.delta({scenario.delta: ""}, sent), 0)
        first = scenario.first_chunk_tokens or scenario.tokens_per_chunk
        size = min(first if sent == 0 else scenario.tokens_per_chunk, tokens - sent)
        if plain and sent > 0 and tokens - sent >= _BLOCK_TOKENS * size:
            [send] = framed(after_s, event.tokens(size, sent + size), size)
            yield Send(after_s, send.data * _BLOCK_TOKENS, size * _BLOCK_TOKENS)
            sent += size * _BLOCK_TOKENS
            continue
        sent += size
        chunks += 1
        pad = scenario.pad if chunks == 1 else 0
        yield from framed(after_s, event.tokens(size, sent, pad), size)
        after_s += scenario.itl_s * scenario.slowdown * _factor(scenario, clock)
        if scenario.comments:
            yield from framed(after_s, b": ping" + 2 * scenario.newline.encode(), 0)
    yield from framed(after_s, event.finish(sent), 0)
    if usage in ("last", "every"):
        yield from framed(after_s, event.usage(sent), 0)
    yield from framed(after_s, event.raw("[DONE]") if scenario.done else b"", 0, last=True)


def _factor(scenario: Scenario, clock: random.Random) -> float:
    return 1.0 + clock.uniform(-scenario.jitter, scenario.jitter)


class _Events:
    """Chat chunks as server-sent events, with the newlines and fields that the scenario asks for."""

    def __init__(self, scenario: Scenario, usage: str, prompt_tokens: int) -> None:
        self._scenario, self._every, self._prompt_tokens = scenario, usage == "every", prompt_tokens

    def raw(self, text: str) -> bytes:
        newline = self._scenario.newline
        if self._scenario.multi_line and text.startswith("{"):
            text = text.replace(",", f",{newline}data: ")
        return f"data: {text}{newline}{newline}".encode()

    def _chunk(self, choices: list[object], sent: int, *, usage: bool, **more: object) -> bytes:
        chunk = {"id": "chatcmpl-reference", "object": "chat.completion.chunk", "created": 1700000000}
        chunk |= {"model": "reference", "choices": choices, **more}
        if usage:
            cached = self._scenario.cached_tokens
            chunk["usage"] = {
                "prompt_tokens": self._prompt_tokens,
                "completion_tokens": sent,
                "total_tokens": self._prompt_tokens + sent,
                "prompt_tokens_details": None if cached is None else {"cached_tokens": cached},
            }
        return self.raw(msgspec.json.encode(chunk).decode())

    def delta(self, delta: dict[str, object], sent: int, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return self._chunk([choice], sent, usage=self._every, **more)

    def tokens(self, count: int, sent: int, pad: int = 0) -> bytes:
        text: object = self._scenario.text * count
        if self._scenario.delta == "tool_calls":
            text = [{"index": 0, "function": {"arguments": text}}]
        return self.delta({self._scenario.delta: text}, sent, **({"pad": "x" * pad} if pad else {}))

    def finish(self, sent: int) -> bytes:
        choice = {"index": 0, "delta": {}, "finish_reason": "length"}
        return self._chunk([choice], sent, usage=self._every)

    def usage(self, sent: int) -> bytes:
        return self._chunk([], sent, usage=True)


_Framed = Callable[..., Iterator[Send]]


def _framing(scenario: Scenario) -> _Framed:
    """Return a function that puts body bytes into HTTP chunks, compressed and split as the scenario asks."""
    gzip = zlib.compressobj(wbits=31) if scenario.gzip else None

    def framed(after_s: float, body: bytes, tokens: int, last: bool = False) -> Iterator[Send]:
        if gzip is not None:
            body = gzip.compress(body) + gzip.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
        end = b"0\r\n\r\n" if last else b""
        if scenario.cut is None:
            yield Send(after_s, (_http_chunk(body) if body else b"") + end, tokens)
            return
        pieces = [body[start : start + scenario.cut] for start in range(0, len(body), scenario.cut)]
        for piece in pieces[:-1]:
            yield Send(after_s, _http_chunk(piece))
        yield Send(after_s, b"".join(map(_http_chunk, pieces[-1:])) + end, tokens)

    return framed


def _http_chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def _fault(scenario: Scenario, after_s: float, framed: _Framed) -> Iterator[Send]:
    match scenario.fault:
        case "error_event":
            yield from framed(after_s, b'data: {"error": {"message": "out of memory", "code": 500}}\n\n', 0)
            yield from framed(after_s, b"data: [DONE]\n\n", 0, last=True)
        case "garbage":
            yield from framed(after_s, b"data: {not json}\n\n", 0, last=True)
        case how:
            yield Send(after_s, end=how)
