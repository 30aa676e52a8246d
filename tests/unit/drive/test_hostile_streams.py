"""Servers that send too much, too long, too slowly, too deep or elsewhere: an error of the request, within bounds."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest

from tokgate.config.bounds import limit_stream
from tokgate.config.workload import Closed
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import drive
from tokgate.drive.sample import Sample

Serve = Callable[[Callable[[str], Iterable[bytes]]], str]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
# Connection: close, because the server closes each: the client would send its next request into one that just closes.
MODELS = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 11\r\n\r\n{"data":[]}'
)
TOKENS = 16
TIMEOUT_S = 1.0


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


GOOD = (
    event("tok") * TOKENS + b'data: {"usage": {"prompt_tokens": 5, "completion_tokens": 16}}\n\n' + b"data: [DONE]\n\n"
)


def send(serve: Serve, stream: Callable[[], Iterable[bytes]], *, requests: int = 1) -> list[Sample]:
    """What becomes of requests to a server that answers each with this stream."""
    url = serve(lambda request: [MODELS] if request.startswith("GET") else stream())
    message = {"role": "user", "content": "hello"}
    return [
        *drive(
            Endpoint(base_url=url, model="m"),
            [Request(prompt_id="p", messages=(message,), max_tokens=TOKENS)] * requests,
            Closed(),
            request_timeout_s=TIMEOUT_S,
            stall_timeout_s=60,
            seed=0,
        ).samples
    ]


def drip(data: bytes, every_s: float) -> Iterator[bytes]:
    for byte in data:
        yield bytes([byte])
        time.sleep(every_s)


def test_good_stream(serve: Serve) -> None:
    """The server of these tests is a valid one."""
    (sample,) = send(serve, lambda: [HEAD + b"\r\n", GOOD])
    assert (sample.error, sample.text, sample.completion_tokens) == (None, "tok" * TOKENS, TOKENS)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"\r\n", repeat(event("tok") * 100)),
        (b"\r\n", repeat(b"x" * 65536)),
        (b"\r\n", chain([b"data: "], repeat(b"x" * 65536))),
        (b"Content-Length: 1000000000\r\n\r\n", repeat(b"\n" * 65536)),
        (b"Transfer-Encoding: chunked\r\n\r\n", repeat(b"1000\r\n" + b": " + b"x" * 4094 + b"\r\n")),
    ],
    ids=["stream", "garbage", "line", "gigabyte", "comments"],
)
def test_endless_answer(serve: Serve, head: bytes, body: Iterable[bytes]) -> None:
    """It ends at the limit, before the time is up; what arrived before is kept."""
    (sample,) = send(serve, lambda: chain([HEAD + head], body))
    assert sample.error == "the response is longer than 4.256 MB, the limit for 16 tokens"
    assert len(sample.text) <= limit_stream(TOKENS)


def test_compressed_gigabyte(serve: Serve) -> None:
    """However small it arrives, it is not unpacked beyond the limit."""
    packed = gzip.compress(b"x" * 300_000_000, 1)
    (sample,) = send(serve, lambda: [HEAD + b"Content-Encoding: gzip\r\n\r\n", packed])
    assert sample.error is not None
    assert "within 1 s" in sample.error or "longer than" in sample.error


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        (lambda: chain([HEAD + b"\r\n"], drip(GOOD * 100, 0.02)), "no complete answer within 1 s"),
        (lambda: drip(HEAD + b"X: " + b"x" * 1000, 0.02), "no complete answer within 1 s"),
        (lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), "no complete answer within 1 s"),
        (lambda: chain([HEAD + b"X: "], repeat(b"x" * 65536)), "the connection broke before any answer"),
        (lambda: chain([HEAD], repeat(b"X: y\r\n")), "the connection broke before any answer"),
        (lambda: [HEAD + b"Content-Length: 5000\r\n\r\n" + event("tok")], "the stream broke after 1 pieces of data"),
        (lambda: [b"HTTP/1.1 503 Busy\r\nContent-Length: 5000\r\n\r\nload"], "the stream broke after 1 pieces of data"),
        (lambda: [b""], "the connection broke before any answer"),
        (lambda: [b"\0\1\2garbage\r\n\r\n"], "the connection broke before any answer"),
        (lambda: [HEAD + b"\r\n", b"data: " + b"[" * 2000 + b"]" * 2000 + b"\n\n"], "not a chat chunk"),
        (lambda: [HEAD + b"\r\n", b'data: {"x":' * 2000], "not a chat chunk"),
        (lambda: [HEAD + b"\r\n", b'data: {"error": ' + b"[" * 400 + b"]" * 400 + b"}\n\n"], "reported an error"),
        (lambda: [b"HTTP/1.1 500 No\r\n\r\n" + b"[" * 5000], "HTTP 500: [["),
    ],
    ids=[
        *("drip", "drip-head", "continue", "long-header", "many-headers", "cut", "cut-error", "nothing", "no-http"),
        *("nested", "nested-objects", "nested-error", "nested-page"),
    ],
)
def test_broken_answer(serve: Serve, pieces: Callable[[], Iterable[bytes]], error: str) -> None:
    (sample,) = send(serve, pieces)
    assert sample.error is not None
    assert error in sample.error
    assert len(sample.error) < 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(serve: Serve, status: int) -> None:
    """The error says where to; nothing is sent there."""
    visits: list[str] = []

    def visit(request: str) -> Iterable[bytes]:
        visits.append(request)
        return [HEAD + b"\r\n", GOOD]

    elsewhere = serve(visit)
    answer = f"HTTP/1.1 {status} -\r\nLocation: {elsewhere}/v1\r\nContent-Length: 0\r\n\r\n".encode()
    (sample,) = send(serve, lambda: [answer])
    assert sample.error == f"HTTP {status}: a redirect to {elsewhere}/v1, which is not followed"
    assert visits == []


def test_cookies_are_not_kept(serve: Serve) -> None:
    requests: list[str] = []

    def respond(request: str) -> Iterable[bytes]:
        requests.append(request)
        return [HEAD + b"Set-Cookie: session=1; Path=/\r\n\r\n", GOOD]

    url = serve(respond)
    message = {"role": "user", "content": "hello"}
    drive(
        Endpoint(base_url=url, model="m"),
        [Request(prompt_id="p", messages=(message,), max_tokens=TOKENS)] * 3,
        Closed(),
        request_timeout_s=5,
        stall_timeout_s=5,
        seed=0,
    )
    assert len(requests) >= 3
    assert [request for request in requests if "cookie:" in request.lower()] == []
