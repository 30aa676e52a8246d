"""The ground truth: an OpenAI-compatible server without a model that streams on a known schedule.

    python -m tokgate.drive.truth.server        prints its base URL; ends when its stdin closes

A request gets the `scenario` in its body, or else the last one sent to `POST /scenario`.
`GET /truth` returns what was really sent, and when, since the last call.

One thread, epoll and plain sockets: each time is taken next to its system call, with no event loop or
buffer of a library in between. The schedule is kept to a millisecond, the record to microseconds.
"""

from __future__ import annotations

import heapq
import select
import socket
import struct
import sys
from collections.abc import Iterator
from itertools import count
from time import perf_counter

import msgspec

from tokgate.drive.truth.scenario import Record, Scenario
from tokgate.drive.truth.stream import Send, make_sends

_HEAD_END = b"\r\n\r\n"
_RECEIVE_BYTES = 65536
_TURN_SENDS = 8  # sends of one stream before the next stream is served
_MODELS = {"object": "list", "data": [{"id": "reference", "object": "model", "owned_by": "tokgate"}]}


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False
    continuous_usage_stats: bool = False


class Body(msgspec.Struct):
    """The fields of a chat request that the server reads."""

    messages: list[dict[str, object]]
    stream: bool = False
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: StreamOptions = StreamOptions()
    scenario: Scenario | None = None


class Connection:
    """One client's socket: bytes not yet parsed, bytes not yet sent, and the stream being sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.plan: Iterator[Send] | None = None
        self.next: Send | None = None
        self.record: Record | None = None
        self.stamped = False  # `unsent` is the last entry of the record's sends


class StreamServer:
    """Serves until stdin closes."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
        self._connections: dict[int, Connection] = {}
        self._due: list[tuple[float, int, Connection]] = []
        self._order = 0
        self._scenario = Scenario()
        self._truth: list[Record] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            for fd, events in self._epoll.poll(self._wait_s()):
                if fd == sys.stdin.fileno():
                    return
                if fd == self._listener.fileno():
                    self._accept()
                elif (connection := self._connections.get(fd)) is not None:
                    self._ready(connection, events)
            now = perf_counter()
            while self._due and self._due[0][0] <= now:
                connection = heapq.heappop(self._due)[2]
                if connection.sock.fileno() >= 0:
                    self._go_on(connection)

    def _wait_s(self) -> float | None:
        return max(0.0, self._due[0][0] - perf_counter()) if self._due else None

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(sock)
            self._epoll.register(sock, select.EPOLLIN)

    def _ready(self, connection: Connection, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._flush(connection)
            if events & ~select.EPOLLOUT:
                self._receive(connection)
        except OSError:
            self._close(connection)

    def _receive(self, connection: Connection) -> None:
        data = connection.sock.recv(_RECEIVE_BYTES)
        now = perf_counter()
        if not data:
            self._close(connection)
            return
        received = connection.received
        received += data
        if (head_end := received.find(_HEAD_END)) < 0:
            return
        head = bytes(received[:head_end]).split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in head[1:] if line.lower().startswith(b"content-length:")), 0)
        end = head_end + len(_HEAD_END) + length
        if len(received) >= end:
            body = bytes(received[end - length : end])
            del received[:end]
            method, path, _ = head[0].decode().split(" ", 2)
            self._answer(connection, method, path.partition("?")[0], body, now)

    def _answer(self, connection: Connection, method: str, path: str, body: bytes, now: float) -> None:
        match method, path:
            case "POST", "/v1/chat/completions":
                self._chat(connection, msgspec.json.decode(body, type=Body), now)
            case "GET", "/v1/models":
                self._reply(connection, 200, _MODELS)
            case "GET", "/health":
                self._reply(connection, 200, {"status": "ok"})
            case "POST", "/scenario":
                self._scenario = msgspec.json.decode(body, type=Scenario)
                self._reply(connection, 200, {})
            case "GET", "/truth":
                self._reply(connection, 200, self._truth)
                self._truth = []
            case _:
                self._reply(connection, 404, {"error": {"message": f"not found: {method} {path}"}})

    def _chat(self, connection: Connection, body: Body, now: float) -> None:
        scenario = body.scenario or self._scenario
        record = Record(prompt=str(body.messages[0].get("content")), received_s=now)
        self._truth.append(record)
        tokens = scenario.tokens or body.max_completion_tokens or body.max_tokens or 16
        if scenario.status is not None:
            self._reply(
                connection,
                scenario.status,
                {"error": {"message": f"the scenario asks for status {scenario.status}"}},
            )
        elif not body.stream:
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": "tok"},
                "finish_reason": "length",
            }
            self._reply(connection, 200, {"id": "c", "object": "chat.completion", "choices": [choice]})
        else:
            usage, options = scenario.usage or "none", body.stream_options
            if scenario.usage is None and options.include_usage:
                usage = "every" if options.continuous_usage_stats else "last"
            prompt_tokens = sum(len(str(message.get("content")).split()) for message in body.messages)
            connection.record = record
            connection.plan = make_sends(scenario, tokens, usage, prompt_tokens)
            connection.next = None
            self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """Send what is due of the stream, and schedule the rest."""
        assert connection.record is not None
        try:
            for turn in count():
                if connection.plan is None or connection.unsent:
                    return
                step = connection.next or next(connection.plan, None)
                if step is None:
                    connection.plan, connection.record.ended = None, True
                    return
                now = perf_counter()
                due = connection.record.received_s + step.after_s
                if due > now or turn == _TURN_SENDS:
                    connection.next = step
                    self._order += 1
                    heapq.heappush(self._due, (due, self._order, connection))
                    return
                connection.next = None
                if step.end is not None:
                    self._break_off(connection, step.end)
                    return
                if step.tokens:
                    connection.record.sends.append((now, step.tokens))
                connection.stamped = step.tokens > 0
                self._send(connection, step.data)
        except OSError:
            self._close(connection)

    def _break_off(self, connection: Connection, how: str) -> None:
        """End a stream abnormally: no more bytes, or a closed or reset connection."""
        connection.plan = None
        if how == "reset":
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how in ("reset", "close"):
            self._close(connection)

    def _reply(self, connection: Connection, status: int, content: object) -> None:
        body = msgspec.json.encode(content)
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.stamped = False
        self._send(connection, head.encode() + body)

    def _send(self, connection: Connection, data: bytes) -> None:
        connection.unsent = memoryview(data)
        self._flush(connection, waited=False)

    def _flush(self, connection: Connection, *, waited: bool = True) -> None:
        try:
            while connection.unsent:
                if connection.stamped and connection.record is not None:
                    connection.record.sends[-1] = (perf_counter(), connection.record.sends[-1][1])
                connection.unsent = connection.unsent[connection.sock.send(connection.unsent) :]
        except BlockingIOError:
            if not waited:
                self._epoll.modify(connection.sock, select.EPOLLIN | select.EPOLLOUT)
            return
        if waited:
            self._epoll.modify(connection.sock, select.EPOLLIN)
            if connection.plan is not None:
                self._go_on(connection)

    def _close(self, connection: Connection) -> None:
        if connection.sock.fileno() >= 0:
            del self._connections[connection.sock.fileno()]
            connection.sock.close()  # which also removes it from epoll


if __name__ == "__main__":
    server = StreamServer(*(int(port) for port in sys.argv[1:]))
    print(server.url, flush=True)
    server.serve()
