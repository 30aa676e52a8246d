"""Sample: one request with its raw timestamps."""

from __future__ import annotations

import msgspec


class ServerTimings(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's own timings of a request, which llama.cpp sends in the last event (`timings`).

    cache_n: prompt tokens that came from the cache.
    prompt_n, prompt_ms: prompt tokens that were evaluated, and how long that took.
    predicted_n, predicted_ms: tokens that were generated, and how long that took.
    """

    cache_n: int
    prompt_n: int
    prompt_ms: float
    predicted_n: int
    predicted_ms: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the client saw it.

    Times are seconds on one monotonic clock, zero at the start of the timed region.

    index: place in the sequence of requests.
    prompt_id: id of the prompt in its set.
    asked_tokens: number of tokens requested.
    prompt_bytes: size of the messages' text in UTF-8; None where an older version wrote the sample.
    scheduled_s: when an open loop was to send it; None in a closed loop.
    sent_s: when the request was written.
    first_byte_s: when the first byte of the response arrived.
    token_times_s: arrival of each chunk with a non-empty content, reasoning or tool-call delta.
    end_s: when the stream ended or broke.
    first_chunk_tokens: number of tokens in the first of these chunks; 1 if the server does not report it.
    first_chunk_told: whether the server reports it.
    first_chunk_text: text of that chunk.
    prompt_tokens, cached_tokens, completion_tokens: the server's usage; None without it.
    count_problem: which of the server's counts or timings is not one; it is then None. None if nothing is wrong.
    finish_reason: as the server reports it.
    text: the whole answer.
    status: HTTP status; None without a response.
    error: what went wrong (HTTP error, stall, broken stream); None if nothing did.
    timings: the engine's own timings; None without them.
    """

    index: int
    prompt_id: str
    asked_tokens: int
    prompt_bytes: int | None = None
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
    count_problem: str | None = None
    finish_reason: str | None = None
    text: str = ""
    status: int | None = None
    error: str | None = None
    timings: ServerTimings | None = None
