"""What counts as a token, where the figures come from, and what is wrong with a stream."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.drive.decode import decode_stream

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}


def event(delta: dict[str, object] | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta}]
    return b"data: " + json.dumps({"choices": choices, **more}, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
STREAM = (event({"role": "assistant", "content": ""}), event({"content": "é"}), event({"content": "漢"}))
TAIL = (event(usage=USAGE), DONE)


def test_token_times() -> None:
    """Each token chunk has the time of its arrival."""
    stream = decode_stream([1, 2, 3, 4, 5], [*STREAM, *TAIL])
    assert stream.token_times_s == (2, 3)
    assert (stream.prompt_tokens, stream.completion_tokens, stream.cached_tokens) == (9, 3, 4)
    assert (stream.text, stream.error, stream.first_chunk_tokens) == ("é漢", None, 1)


@given(cuts=st.lists(st.integers(0, 500)))
def test_cuts_change_only_the_times(cuts: list[int]) -> None:
    """How the bytes were cut into arrivals changes only the times."""
    body = b"".join((*STREAM, *TAIL))
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    pieces = [body[start:end] for start, end in pairwise(edges)]
    stream = decode_stream([float(number) for number in range(len(pieces))], pieces)
    assert (stream.text, stream.error, len(stream.token_times_s)) == ("é漢", None, 2)


@pytest.mark.parametrize(
    ("delta", "tokens"),
    [
        ({"role": "assistant"}, 0),
        ({"role": "assistant", "content": None}, 0),
        ({"content": ""}, 0),
        ({}, 0),
        ({"content": " "}, 1),
        ({"reasoning_content": "x"}, 1),
        ({"reasoning": "x"}, 1),
        ({"content": "", "reasoning": "x"}, 1),
        ({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "f"}}]}, 1),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, 1),
        ({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}, 0),
        ({"tool_calls": []}, 0),
    ],
)
def test_empty_deltas_are_not_tokens(delta: dict[str, object], tokens: int) -> None:
    assert len(decode_stream([1, 2], [event(delta), DONE]).token_times_s) == tokens


def test_usage_in_every_chunk() -> None:
    """It tells the number of tokens of the first chunk."""
    first = event({"content": "a b c"}, usage={"prompt_tokens": 9, "completion_tokens": 3})
    second = event({"content": "d"}, usage={"prompt_tokens": 9, "completion_tokens": 4})
    stream = decode_stream([1, 2, 3], [first, second, DONE])
    assert (stream.first_chunk_tokens, stream.completion_tokens) == (3, 4)


def test_timings_of_llama_cpp() -> None:
    """They are kept, and tell the number of cached tokens."""
    timings = {"cache_n": 7, "prompt_n": 9, "prompt_ms": 1.5, "predicted_n": 3, "predicted_ms": 20.5, "x": 1}
    stream = decode_stream([1, 2], [event({"content": "a"}, timings=timings), DONE])
    assert stream.timings is not None
    assert (stream.timings.predicted_n, stream.cached_tokens) == (3, 7)


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ((), "ended without [DONE]"),
        ((b'data: {"error": {"message": "no memory"}}\n\n', DONE), "no memory"),
        ((b'data: {"error": "no memory"}\n\n', DONE), "no memory"),
        ((b"data: {oops\n\n", DONE), "not a chat chunk"),
        ((b"data: \xff\n\n", DONE), "not a chat chunk"),
        ((b'data: {"choices": [{"delta": {"content": "cut off',), "not a chat chunk"),
        ((b'{"choices": []}',), "ended without [DONE]"),
    ],
)
def test_broken_streams(tail: tuple[bytes, ...], error: str) -> None:
    """What is wrong becomes the error; what arrived before is kept."""
    pieces = [*STREAM, *tail]
    stream = decode_stream([float(number) for number in range(len(pieces))], pieces)
    assert stream.error is not None
    assert error in stream.error
    assert stream.token_times_s == (1, 2)


def test_empty_stream_is_broken() -> None:
    assert decode_stream([], []).error == "the stream ended without [DONE]; its last bytes: (none)"


def test_unknown_fields_are_ignored() -> None:
    """So are all choices but the first."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "a", "new": 1}, "logprobs": {}}], "usage": None}
    stream = decode_stream([1, 2], [b"data: " + json.dumps(chunk).encode() + b"\n\n", DONE])
    assert (stream.text, stream.error) == ("a", None)
