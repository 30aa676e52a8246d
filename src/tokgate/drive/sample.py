"""Sample: one request, with the raw moments at which things happened."""

from __future__ import annotations

import msgspec


class ServerTimings(msgspec.Struct, frozen=True, kw_only=True):
    """What llama.cpp's server says of a request in its last event (`timings`)."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    predicted_n: int
    predicted_ms: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the client saw it. All `_s` are seconds on one monotonic clock, zero at the
    start of the timed region.

    scheduled_s: when an open loop wanted it sent, None in a closed loop.
    sent_s: request written; first_byte_s: first byte of the response; end_s: stream ended or broke.
    token_times_s: arrival of each chunk with a non-empty content, reasoning or tool-call delta.
    first_chunk_tokens: tokens in the first of these, 1 unless the server says otherwise (first_chunk_told);
    first_chunk_text: what that chunk said.
    prompt_tokens, cached_tokens, completion_tokens: the server's usage; None where it gave none.
    error: what went wrong, in words (HTTP error, stall, broken stream); None when nothing did.
    """

    index: int
    prompt_id: str
    asked_tokens: int
    scheduled_s: float | None = None
    sent_s: float
    first_byte_s: float | None = None
    token_times_s: tuple[float, ...] = ()
    end_s: float
    first_chunk_tokens: int = 1
    first_chunk_told: bool = False
    first_chunk_text: str = ""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    text: str = ""
    status: int | None = None
    error: str | None = None
    timings: ServerTimings | None = None
