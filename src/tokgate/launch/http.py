"""One GET to a server, outside any measured time: limited in bytes and in time as a whole, and never redirected."""

from __future__ import annotations

import io
import os
import socket
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

import msgspec

from tokgate._secrets import find_credentials, redact, redact_bytes, remember, take_credentials
from tokgate.config.bounds import PAGE_BYTES
from tokgate.config.reading import decode_any_json
from tokgate.config.words import format_duration, format_size

_SHOWN_BYTES = 200  # of an answer in a message: enough for an error's text, too little for a page of HTML
_CONNECTIONS = {"http": HTTPConnection, "https": HTTPSConnection}  # no proxy: it must not get requests to loopback


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one GET: status and body, or `error` as text when no complete answer came (status None).

    location: where a redirect leads; None for any other answer.
    """

    url: str
    status: int | None = None
    body: bytes = b""
    location: str | None = None
    error: str = ""

    @property
    def summary(self) -> str:
        """The answer as one line of a message."""
        if self.status is None:
            return f"GET {self.url}: {self.error}"
        if self.location is not None:
            return f"GET {self.url} answered {self.status}, {describe_redirect(self.location)}"
        body = " ".join(self.body[:_SHOWN_BYTES].decode(errors="replace").split())
        return f"GET {self.url} answered {self.status}{f' {body}' if body else ''}"

    def content(self) -> object:
        """The body as decoded JSON, as text when it is none; None when the answer was not 200."""
        if self.status != 200:
            return None
        try:
            return decode_any_json(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.body.decode(errors="replace")

    def json(self) -> dict[str, object]:
        """The body as a JSON object; empty when it is none, or the answer was not 200."""
        content = self.content()
        return content if isinstance(content, dict) else {}


def describe_redirect(location: str) -> str:
    """The end of a message about a redirect, which is never followed: it may lead to another server than the declared."""
    target = location if len(location) <= _SHOWN_BYTES else f"{location[:_SHOWN_BYTES]}…"
    return f"a redirect to {target}, which is not followed"


def get(url: str, *, timeout_s: float = 2.0) -> Answer:
    """One GET, with the URL's credentials or OPENAI_API_KEY; never raises for what the server or the network does.

    The answer is without the secrets that the server may send back. timeout_s: for the whole of it.
    """
    url = take_credentials(url)
    authorization = find_authorization(url)
    ends_s = perf_counter() + timeout_s
    try:
        parts = urlsplit(url)
        if parts.scheme not in _CONNECTIONS or not parts.hostname:
            return Answer(url=url, error=f"unknown url type {url!r}; expected http://HOST:PORT")
        connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=timeout_s)
        connection.connect()
        with connection.sock as sock:
            connection.sock = cast(socket.socket, _TimedSocket(sock, ends_s))
            target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("GET", target, headers={"Authorization": authorization} if authorization else {})
            return _read(url, connection.getresponse())
    except IncompleteRead:
        return Answer(url=url, error="the answer broke off")
    except TimeoutError:
        return Answer(url=url, error=f"no complete answer within {format_duration(timeout_s)}")
    except (OSError, HTTPException, ValueError) as error:
        return Answer(url=url, error=_describe(error))


def find_authorization(url: str) -> str | None:
    """The `Authorization` of a request: the credentials of its URL, otherwise the key in OPENAI_API_KEY, if there is one."""
    key = os.environ.get("OPENAI_API_KEY")
    if key:
        remember(key)
    return find_credentials(url) or (f"Bearer {key}" if key else None)


class _TimedSocket:
    """What http.client needs of a socket, until `ends_s`, however slowly the other side sends.

    A socket's own timeout begins again with each byte.
    """

    def __init__(self, sock: socket.socket, ends_s: float) -> None:
        self._sock, self._ends_s = sock, ends_s

    def recv_into(self, buffer: memoryview) -> int:
        self._set_timeout()
        return self._sock.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        self._set_timeout()
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def close(self) -> None:
        """http.client closes its socket before it has read the body; `get` does it after."""

    def _set_timeout(self) -> None:
        left_s = self._ends_s - perf_counter()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: _TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._sock.recv_into(buffer)


def _read(url: str, response: HTTPResponse) -> Answer:
    """The answer. Of another one than 200, as much as came: the status says what counts."""
    status = response.status
    if status != 200:
        location = redact(response.headers.get("Location") or "") if 300 <= status < 400 else None
        return Answer(url=url, status=status, location=location or None, body=redact_bytes(_read_rest(response)))
    body = response.read(PAGE_BYTES + 1)
    if len(body) > PAGE_BYTES:
        return Answer(url=url, error=f"the answer is longer than {format_size(PAGE_BYTES)}")
    if response.length:
        return Answer(url=url, error=f"the answer broke off: {response.length} bytes of it did not arrive")
    return Answer(url=url, status=status, body=redact_bytes(body))


def _read_rest(response: HTTPResponse) -> bytes:
    try:
        return response.read(PAGE_BYTES)
    except IncompleteRead as cut:
        return cut.partial
    except (OSError, HTTPException):
        return b""


def _describe(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return redact(str(error)) or type(error).__name__
