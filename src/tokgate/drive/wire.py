"""The wire under the OpenAI client: aiohttp's connections, with a timestamp for everything that leaves the socket.

An event loop of our own puts a `Tap` between the socket and aiohttp's protocol. It takes the time before anything is
parsed, and the bytes as soon as aiohttp has decoded them. No task wakes up during a stream: the one that made the
request sleeps until the response has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx2
import uvloop

from tokgate.config.bounds import ARRIVAL_BYTES, PAGE_BYTES


class Exchange:
    """One request and its response on the wire. Times are seconds of `perf_counter`.

    sent_s: when the request's last byte was handed to the socket.
    first_byte_s, last_s: times of the first and of the latest arrival.
    status: HTTP status of the response.
    times_s: time of each arrival with a part of the body.
    pieces: decoded bytes of each of these arrivals.
    content: aiohttp's buffer of the response.
    transport: of the connection that the response arrives on.
    most_bytes: longest body, in bytes; each arrival counts as ARRIVAL_BYTES more.
    is_full: whether the body is longer: the connection was then closed, and the rest is lost.
    """

    __slots__ = (
        *("content", "first_byte_s", "is_full", "last_s", "most_bytes", "pieces", "sent_s", "status", "times_s"),
        *("_size", "transport"),
    )

    def __init__(self, most_bytes: int = PAGE_BYTES) -> None:
        self.sent_s: float | None = None
        self.first_byte_s: float | None = None
        self.last_s: float | None = None
        self.status: int | None = None
        self.times_s: list[float] = []
        self.pieces: list[bytes] = []
        self.content: aiohttp.StreamReader | None = None
        self.transport: asyncio.Transport | None = None
        self.most_bytes = most_bytes
        self.is_full = False
        self._size = 0

    def take(self) -> None:
        """Store what aiohttp has decoded so far as the arrival at `last_s`."""
        if self.content is None or self.last_s is None:
            return
        try:
            piece = self.content.read_nowait()
        except Exception:  # the response broke; aiohttp raises it where its end is awaited
            self.content = None
            return
        if not piece:
            return
        self._size += len(piece) + ARRIVAL_BYTES
        if self._size > self.most_bytes:
            self.is_full, self.content = True, None
            assert self.transport is not None  # it has delivered the piece
            self.transport.abort()
            return
        self.times_s.append(self.last_s)
        self.pieces.append(piece)


CURRENT: ContextVar[Exchange] = ContextVar("exchange")
"""Where the request of this task is recorded."""


class Tap(asyncio.Protocol):
    """Sits between the socket and aiohttp's protocol of one connection, and takes the time of each arrival."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self.exchange: Exchange | None = None
        self._feed = inner.data_received
        self.connection_made = inner.connection_made  # type: ignore[method-assign]
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        exchange = self.exchange
        if exchange is None:
            self._feed(data)
            return
        exchange.last_s = now
        self._feed(data)
        if exchange.content is not None:
            exchange.take()
        elif exchange.first_byte_s is None:
            exchange.first_byte_s = now


class TappedLoop(uvloop.Loop):
    """uvloop with a Tap in every outgoing connection."""

    async def create_connection(
        self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        inner = protocol_factory()
        transport, _ = await super().create_connection(lambda: Tap(inner), *args, **kwargs)
        return transport, inner


class _Response(aiohttp.ClientResponse):
    """Connects the Tap with the exchange of the task that sends the request."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        exchange = CURRENT.get()
        tap = connection.transport.get_protocol()
        assert isinstance(tap, Tap), "the wire needs a TappedLoop"
        tap.exchange, exchange.transport = exchange, connection.transport
        await super().start(connection)
        exchange.content = self.content
        exchange.take()
        return self


_DROPPED_HEADERS = (b"content-encoding", b"set-cookie")  # aiohttp has decoded the body; httpx would keep the cookie


class _Stream(httpx2.AsyncByteStream):
    """The body as one piece after its end: the exchange already has its arrivals."""

    def __init__(self, response: aiohttp.ClientResponse, exchange: Exchange) -> None:
        self._response, self._exchange = response, exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await self._response.content.wait_eof()
        self._exchange.take()
        yield b"".join(self._exchange.pieces)

    async def aclose(self) -> None:
        self._response.close()


async def _stamp_sent(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestChunkSentParams
) -> None:
    context.trace_request_ctx.sent_s = perf_counter()


class WireTransport(httpx2.AsyncBaseTransport):
    """aiohttp under the OpenAI client, without what would distort a measurement: retries, redirects, a proxy, a limit of
    connections, and timeouts."""

    def __init__(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(_stamp_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=None),
            timeout=aiohttp.ClientTimeout(total=None),
            response_class=_Response,
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = CURRENT.get()
        response = await self._session.request(
            request.method,
            str(request.url),
            headers=request.headers,
            data=request.content or None,
            allow_redirects=False,
            trace_request_ctx=exchange,
        )
        exchange.status = response.status
        headers = [(name, value) for name, value in response.raw_headers if name.lower() not in _DROPPED_HEADERS]
        return httpx2.Response(response.status, headers=headers, stream=_Stream(response, exchange), request=request)

    async def aclose(self) -> None:
        await self._session.close()
