"""The OpenAI client, for one chat completion at a time: what is sent, and the Sample that results."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import Any

import aiohttp
import msgspec
import openai

from tokgate._secrets import MASK, redact, take_credentials
from tokgate.config.words import format_count, format_quantity, format_size
from tokgate.drive.decode import Stream, decode_stream
from tokgate.drive.sample import Sample
from tokgate.drive.wire import CURRENT, Exchange, WireTransport
from tokgate.engines import FALLBACK
from tokgate.engines.engine import Engine
from tokgate.launch.http import describe_redirect, find_authorization

_SHOWN_CHARACTERS = 300  # of an error from elsewhere, which may be a whole page


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go.

    base_url: without `/v1`.
    engine: what answers there. body: fields of every request beyond OpenAI's own (`Engine.timed_body`).
    """

    base_url: str
    model: str
    engine: Engine = FALLBACK
    body: dict[str, object] = {}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One chat completion of `max_tokens` tokens."""

    prompt_id: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int

    @property
    def prompt_bytes(self) -> int:
        """Size of the messages' text in UTF-8."""
        return sum(len(message["content"].encode()) for message in self.messages)


class Call(msgspec.Struct, kw_only=True, eq=False):
    """A request in progress; once it has ended, the data of its sample."""

    index: int
    request: Request
    exchange: Exchange
    begun_s: float
    scheduled_s: float | None = None
    deadline: asyncio.Timeout | None = None
    stalled_s: float | None = None
    end_s: float | None = None
    error: str | None = None

    def fail_stalled(self, silence_s: float) -> None:
        """End the request now. silence_s: seconds for which its stream has been silent."""
        if self.deadline is not None and not self.deadline.expired():
            self.stalled_s = silence_s
            self.deadline.reschedule(asyncio.get_running_loop().time())

    def sample(self, zero_s: float) -> Sample:
        """Decode the stream. zero_s: start of the timed region, on the clock of `perf_counter`."""
        wire = self.exchange
        stream = decode_stream([time_s - zero_s for time_s in wire.times_s], wire.pieces)
        stream.error = self.error or stream.error
        _redact(stream)
        assert self.end_s is not None, "the request has not ended"
        return Sample(
            index=self.index,
            prompt_id=self.request.prompt_id,
            asked_tokens=self.request.max_tokens,
            prompt_bytes=self.request.prompt_bytes,
            scheduled_s=self.scheduled_s,
            sent_s=(self.begun_s if wire.sent_s is None else wire.sent_s) - zero_s,
            first_byte_s=None if wire.first_byte_s is None else wire.first_byte_s - zero_s,
            end_s=self.end_s - zero_s,
            status=wire.status,
            **msgspec.structs.asdict(stream),
        )


class Client:
    """`AsyncOpenAI` on a tapped wire. Use within a TappedLoop, as an async context manager."""

    def __init__(self, endpoint: Endpoint, *, seed: int, request_timeout_s: float) -> None:
        self._endpoint, self._seed, self._request_timeout_s = endpoint, seed, request_timeout_s
        base_url = take_credentials(endpoint.base_url)
        authorization = find_authorization(base_url)
        self._openai = openai.AsyncOpenAI(
            base_url=f"{base_url.rstrip('/')}/v1",
            api_key="none",  # unless there is another authorization
            max_retries=0,
            timeout=None,
            # Compression would delay and merge the events that are timed.
            default_headers={"Accept-Encoding": "identity"}
            | ({"Authorization": authorization} if authorization else {}),
            http_client=openai.DefaultAioHttpClient(transport=WireTransport(), follow_redirects=False),
        )
        self._create = self._openai.chat.completions.with_streaming_response.create

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._openai.close()

    async def open(self, connections: int) -> None:
        """Open this many pooled connections, so that no timed request waits for a handshake.

        Each asks for the list of models. A server that refuses shows with the first request.
        """
        await asyncio.gather(*(self._open_one() for _ in range(connections)))

    async def _open_one(self) -> None:
        CURRENT.set(Exchange())
        with suppress(openai.OpenAIError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(self._request_timeout_s):
                await self._openai.with_raw_response.models.list()

    async def send(self, call: Call) -> None:
        """Send the request of `call` and wait for the end of its stream.

        A failure becomes `call.error`; only cancellation is raised.
        """
        CURRENT.set(call.exchange)
        request = call.request
        try:
            async with (
                asyncio.timeout(self._request_timeout_s) as call.deadline,
                self._create(  # type: ignore[call-overload]  # plain dicts for its TypedDicts
                    model=self._endpoint.model,
                    messages=request.messages,
                    max_tokens=request.max_tokens,
                    stream=True,
                    stream_options=self._endpoint.engine.stream_options,
                    temperature=0,
                    seed=self._seed,
                    extra_body=self._endpoint.body,
                    extra_headers=self._endpoint.engine.headers,
                ) as response,
            ):
                await response.read()
        except TimeoutError:
            call.error = self._timeout_message(call)
        except openai.APIStatusError as error:
            call.error = f"HTTP {error.status_code}: {_status_message(error)}"
        except (openai.APIConnectionError, aiohttp.ClientError) as error:
            call.error = _connection_message(error, call.exchange)
        if call.exchange.is_full:
            call.error = f"the response is longer than {format_size(call.exchange.most_bytes)}, the limit for {format_count(request.max_tokens, 'token')}"
        ended_s = call.exchange.last_s if call.error is None else None
        call.end_s = perf_counter() if ended_s is None else ended_s

    def _timeout_message(self, call: Call) -> str:
        received = f"{len(call.exchange.pieces)} pieces of data"
        if call.stalled_s is not None:
            return f"the stream stalled: nothing for {format_quantity(call.stalled_s, 's')} after {received}"
        return f"no complete answer within {self._request_timeout_s:g} s (request_timeout), after {received}"


def _redact(stream: Stream) -> None:
    """Remove secrets that the server sent back; of a text with secrets, no chunk is kept, which may be a part of one."""
    text = redact(stream.text)
    if text != stream.text:
        stream.text, stream.first_chunk_text = text, MASK[0] * len(stream.first_chunk_text)
    for name in ("error", "finish_reason", "count_problem"):
        if (value := getattr(stream, name)) is not None:
            setattr(stream, name, redact(value))


def _status_message(error: openai.APIStatusError) -> str:
    if (location := error.response.headers.get("location")) is not None and error.status_code < 400:
        return _shorten(describe_redirect(location))
    body: Any = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return _shorten(str(message or error.response.text or error.message))


def _connection_message(error: Exception, exchange: Exchange) -> str:
    cause = (error.__cause__ or error) if isinstance(error, openai.APIConnectionError) else error
    reason = _shorten(str(cause) or type(cause).__name__)
    if exchange.sent_s is None:
        return f"could not send: {reason}"
    if exchange.status is None:
        return f"the connection broke before any answer: {reason}"
    return f"the stream broke after {len(exchange.pieces)} pieces of data: {reason}"


def _shorten(text: str) -> str:
    line = " ".join(redact(text).split())  # before it is cut: a part of a secret would not be recognized
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
