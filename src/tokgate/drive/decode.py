"""The events of a chat stream, decoded into the facts of a sample after the clock has stopped."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate._secrets import redact
from tokgate.config.reading import decode_json
from tokgate.drive import sse
from tokgate.drive.sample import ServerTimings
from tokgate.drive.usage import NULL, NotACount, Usage, read_timings, read_usage


class _ToolCall(msgspec.Struct):
    function: dict[str, str | None] = {}


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: msgspec.Raw = msgspec.Raw(NULL)
    timings: msgspec.Raw = msgspec.Raw(NULL)
    error: msgspec.Raw = msgspec.Raw(NULL)


_SHOWN = 200  # characters of a stream, in a message
_LAST_BYTES = 20_000  # of a stream, of which the end is shown


class Stream(msgspec.Struct, kw_only=True):
    """The facts of one response; the fields are those of Sample."""

    token_times_s: tuple[float, ...] = ()
    first_chunk_tokens: int = 1
    first_chunk_told: bool = False
    first_chunk_text: str = ""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    count_problem: str | None = None
    finish_reason: str | None = None
    text: str = ""
    timings: ServerTimings | None = None
    error: str | None = None


def decode_stream(times_s: Sequence[float], pieces: Sequence[bytes]) -> Stream:
    """Decode a stream that arrived as `pieces` at `times_s`; what is wrong with it becomes its `error`.

    A token chunk has a non-empty content, reasoning or tool-call text. If every chunk has usage, that of the first
    token chunk is its number of tokens.
    """
    stream = Stream()
    body = b"".join(pieces)
    ends: list[int] = []
    texts: list[str] = []
    done = False
    for data, end in sse.split(body):
        if data == b"[DONE]":
            done = True
            break
        try:
            chunk = decode_json(data, _Chunk)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            stream.error = f"an event of the stream is not a chat chunk ({error}): {_excerpt(data)}"
            break
        if (wrong := bytes(chunk.error)) != NULL:
            stream.error = f"the server reported an error in the stream: {_excerpt(wrong)}"
            break
        usage = _take_counts(stream, chunk)
        text = _text_of(chunk)
        if text:
            if not ends:
                stream.first_chunk_text = text
                if usage is not None and usage.completion_tokens:
                    stream.first_chunk_tokens, stream.first_chunk_told = usage.completion_tokens, True
            ends.append(end)
            texts.append(text)
        if usage is not None:
            stream.prompt_tokens, stream.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            stream.cached_tokens = usage.cached_tokens if usage.cached_tokens is not None else stream.cached_tokens
        if chunk.choices and chunk.choices[0].finish_reason is not None:
            stream.finish_reason = chunk.choices[0].finish_reason
    stream.token_times_s = tuple(sse.stamp(ends, times_s, [len(piece) for piece in pieces]))
    stream.text = "".join(texts)
    if stream.timings is not None and stream.cached_tokens is None:
        stream.cached_tokens = stream.timings.cache_n
    if not done and stream.error is None:
        last = redact(body[-_LAST_BYTES:].decode(errors="replace"))[-_SHOWN:].strip()
        stream.error = f"the stream ended without [DONE]; its last bytes: {last or '(none)'}"
    return stream


def _take_counts(stream: Stream, chunk: _Chunk) -> Usage | None:
    """The usage of a chunk. Its timings, and the first count that is not one, are kept in `stream`."""
    try:
        stream.timings = read_timings(bytes(chunk.timings)) or stream.timings
        return read_usage(bytes(chunk.usage))
    except NotACount as problem:
        stream.count_problem = stream.count_problem or str(problem)
        return None


def _text_of(chunk: _Chunk) -> str:
    if not chunk.choices or (delta := chunk.choices[0].delta) is None:
        return ""
    text = delta.content or delta.reasoning_content or delta.reasoning or ""
    if delta.tool_calls:
        text += "".join(part for call in delta.tool_calls for part in call.function.values() if part)
    return text


def _excerpt(data: bytes) -> str:
    text = redact(data.decode(errors="replace")).strip()  # before it is cut: a part of a secret is not recognized
    return f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text or "(none)"
