"""What a server reports as a count or a time, and is none, is never read as one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.drive.decode import decode_stream
from tokgate.drive.sample import ServerTimings
from tokgate.drive.usage import MOST_TOKENS, NotACount, Usage, read_timings, read_usage

COUNTS = st.integers(0, MOST_TOKENS)
TIMINGS = {"cache_n": 0, "prompt_n": 9, "prompt_ms": 1.5, "predicted_n": 3, "predicted_ms": 20.5}

# As JSON: json.dumps cannot write all of them.
WRONG = [
    "-1",
    "-5.0",
    "2.5",
    "1e9",
    "1e400",
    "100000001",
    "9" * 400,
    "9" * 5000,
    '"12"',
    "true",
    "false",
    "[]",
    "[3]",
    "{}",
    "[" * 300 + "]" * 300,
]


def chunk(**fields: str) -> bytes:
    """A chunk with one token of text, and these fields as JSON."""
    more = "".join(f', "{name}": {value}' for name, value in fields.items())
    return f'data: {{"choices": [{{"delta": {{"content": "tok"}}}}]{more}}}\n\n'.encode()


@given(prompt=COUNTS, completion=COUNTS, cached=COUNTS)
def test_counts_round_trip(prompt: int, completion: int, cached: int) -> None:
    details = {"cached_tokens": cached}
    raw = json.dumps({"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details})
    assert read_usage(raw.encode()) == Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ("null", None),
        ("{}", Usage()),
        ('{"prompt_tokens": null, "prompt_tokens_details": null}', Usage()),
        ('{"prompt_tokens": 12.0, "prompt_tokens_details": {}}', Usage(prompt_tokens=12)),
        ('{"prompt_tokens": 0, "total_tokens": "many"}', Usage(prompt_tokens=0)),
    ],
)
def test_what_servers_leave_out(raw: str, usage: Usage | None) -> None:
    """A missing count is unknown, and nothing is wrong with it."""
    assert read_usage(raw.encode()) == usage


@pytest.mark.parametrize("wrong", WRONG, ids=lambda text: text[:12])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "cached_tokens"])
def test_what_is_no_count(name: str, wrong: str) -> None:
    field = f'"{name}": {wrong}'
    raw = f'{{"prompt_tokens_details": {{{field}}}}}' if name == "cached_tokens" else f"{{{field}}}"
    with pytest.raises(NotACount, match=rf"{name} is .*; expected a whole number from 0 to 100000000"):
        read_usage(raw.encode())


@pytest.mark.parametrize("raw", ["5", "[]", '"x"', "true"])
def test_usage_that_is_no_object(raw: str) -> None:
    with pytest.raises(NotACount, match=r"usage is .*; expected an object"):
        read_usage(raw.encode())
    with pytest.raises(NotACount, match=r"usage\.prompt_tokens_details is .*; expected an object"):
        read_usage(f'{{"prompt_tokens_details": {raw}}}'.encode())


@pytest.mark.parametrize("wrong", ["-1", "1e300", '"1"', "true", "[]", "1e99999"])
@pytest.mark.parametrize("name", [*TIMINGS])
def test_timings_that_are_none(name: str, wrong: str) -> None:
    raw = json.dumps(TIMINGS | {name: 0}).replace(f'"{name}": 0', f'"{name}": {wrong}')
    with pytest.raises(NotACount, match=rf"timings\.{name} is .*; expected"):
        read_timings(raw.encode())


@pytest.mark.parametrize("raw", ["null", "7", "[]", "{}", '{"prompt_ms": 3, "total": -1}'])
def test_timings_of_other_engines(raw: str) -> None:
    """They are not llama.cpp's, and nothing is wrong with them."""
    assert read_timings(raw.encode()) is None


def test_timings_of_llama_cpp() -> None:
    assert read_timings(json.dumps(TIMINGS).encode()) == ServerTimings(**TIMINGS)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda text: text[:12])
def test_stream_with_a_wrong_count(wrong: str) -> None:
    """The stream is complete; the count is unknown, and the reason is kept."""
    pieces = [
        chunk(),
        chunk(),
        chunk(usage=f'{{"prompt_tokens": {wrong}, "completion_tokens": 3}}'),
        b"data: [DONE]\n\n",
    ]
    stream = decode_stream([1, 2, 3, 4], pieces)
    assert (stream.error, stream.text, len(stream.token_times_s)) == (None, "toktoktok", 3)
    assert (stream.prompt_tokens, stream.completion_tokens) == (None, None)
    assert stream.count_problem is not None
    assert "usage.prompt_tokens" in stream.count_problem
    assert len(stream.count_problem) < 200


def test_wrong_count_of_the_first_chunk() -> None:
    """It would make decode_tps too high."""
    usage = '{"prompt_tokens": 9, "completion_tokens": -50}'
    last = '{"prompt_tokens": 9, "completion_tokens": 2}'
    stream = decode_stream([1, 2, 3], [chunk(usage=usage), chunk(usage=last), b"data: [DONE]\n\n"])
    assert stream.first_chunk_told is False
    assert stream.count_problem == ("usage.completion_tokens is -50; expected a whole number from 0 to 100000000")
