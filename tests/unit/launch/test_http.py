"""One GET: limited in bytes and in time as a whole, never redirected, and never an exception."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest

from tokgate.config.bounds import PAGE_BYTES
from tokgate.launch.http import get

Serve = Callable[[Callable[[str], Iterable[bytes]]], str]

HEAD = b"HTTP/1.1 200 OK\r\n"
TIMEOUT_S = 0.5


def drip(data: bytes) -> Iterator[bytes]:
    for byte in data:
        yield bytes([byte])
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        (lambda: chain([HEAD + b"\r\n"], repeat(b"x" * 65536)), "the answer is longer than 4 MB"),
        (
            lambda: chain([HEAD + b"Content-Length: 1000000000\r\n\r\n"], repeat(b"x" * 65536)),
            "the answer is longer than 4 MB",
        ),
        (
            lambda: chain([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1000\r\n" + b"x" * 4096 + b"\r\n")),
            "the answer is longer than 4 MB",
        ),
        (lambda: chain([HEAD + b"\r\n"], drip(b"x" * 1000)), "no complete answer within 0.5s"),
        (lambda: drip(HEAD + b"X: " + b"x" * 1000), "no complete answer within 0.5s"),
        (lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), "no complete answer within 0.5s"),
        (lambda: chain([HEAD + b"X: "], repeat(b"x" * 65536)), "header line"),
        (lambda: chain([HEAD], repeat(b"X: y\r\n")), "got more than 100 headers"),
        (lambda: [HEAD + b"Content-Length: 4000\r\n\r\nload"], "the answer broke off: 3996 bytes of it did not arrive"),
        (lambda: [HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nte"], "the answer broke off"),
        (lambda: [b"garbage\r\n"], "garbage"),
        (lambda: [], "closed connection without response"),
    ],
    ids=[
        *("endless", "gigabyte", "chunks", "drip", "drip-head", "continue", "long-header", "many-headers", "cut"),
        *("cut-chunk", "garbage", "nothing"),
    ],
)
def test_hostile_page(serve: Serve, pieces: Callable[[], Iterable[bytes]], error: str) -> None:
    answer = get(serve(lambda _: pieces()), timeout_s=TIMEOUT_S)
    assert answer.status is None
    assert error in answer.error
    assert answer.content() is None


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirect(serve: Serve, status: int) -> None:
    """It is an answer, which says where to; nothing is sent there."""
    visits: list[str] = []
    elsewhere = serve(lambda request: visits.append(request) or [HEAD + b"\r\n{}"])  # type: ignore[func-returns-value]
    answer = get(serve(lambda _: [f"HTTP/1.1 {status} -\r\nLocation: {elsewhere}/x\r\n\r\n".encode()]))
    assert (answer.status, answer.location, answer.content()) == (status, f"{elsewhere}/x", None)
    assert answer.summary.endswith(f"answered {status}, a redirect to {elsewhere}/x, which is not followed")
    assert visits == []


def test_error_page(serve: Serve) -> None:
    """The status counts; of the page as much is kept as came, up to the limit."""
    answer = get(serve(lambda _: chain([b"HTTP/1.1 503 -\r\n\r\n"], repeat(b"busy " * 10_000))))
    assert (answer.status, len(answer.body)) == (503, PAGE_BYTES)
    assert len(answer.summary) < 300


@pytest.mark.parametrize("depth", [65, 900, 2000, 100_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_nested_page_is_text(serve: Serve, depth: int, brackets: tuple[str, str]) -> None:
    """Nothing that follows its levels can fail later."""
    opening, closing = brackets
    page = f"{opening * depth}1{closing * depth}"
    answer = get(serve(lambda _: [HEAD + b"\r\n" + page.encode()]))
    assert (answer.content(), answer.json()) == (page, {})


def test_usual_page(serve: Serve) -> None:
    requests: list[str] = []

    def respond(request: str) -> Iterable[bytes]:
        requests.append(request)
        return [HEAD + b'Content-Length: 8\r\n\r\n{"a": 1}']

    assert get(f"{serve(respond)}/props?model=m").json() == {"a": 1}
    assert requests[0].startswith("GET /props?model=m HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    "url", ["localhost:1", "ftp://x/", "http://", "//x", "", "http://[::1", "http://x:99999/", "http://a b/"]
)
def test_what_is_no_url(url: str) -> None:
    answer = get(url)
    assert answer.status is None
    assert answer.error
