"""What the ground-truth server is told to send, and its record of what it sent. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stream. Times are seconds.

    ttft_s: time from the request's last byte to the first token chunk.
    itl_s: time between token chunks. With ttft_s and itl_s 0 the server sends as fast as it can.
    jitter: each time is multiplied by a random factor within 1 ± jitter, seeded with `seed`.
    slowdown: both times are multiplied by this.
    tokens: number of tokens; None for what the request asks.
    first_chunk_tokens: None for tokens_per_chunk.
    role: whether a chunk with only the role comes first.
    delta: the field of the delta that holds the text.
    usage: in which chunks usage is sent; None for what the request asks.
    done: whether the stream ends with [DONE].
    cut: send the body in HTTP chunks of this many bytes.
    pad: bytes of filler in the first token chunk.
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
    """What the server really did with one request.

    Times are seconds of the system's monotonic clock, which `perf_counter` reads in every process.

    prompt: text of the first message.
    received_s: when the request's last byte was read.
    sends: of each piece with tokens: (the time just before its last byte was handed to the socket, tokens in it).
    ended: whether the whole stream was sent.
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
