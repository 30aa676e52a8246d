"""A suite against a server that sends back every secret it could know: none is in a file of the run, or in its output."""

from __future__ import annotations

import json
import os
import socketserver
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

USER, PASSWORD = "someone", "correct/horse battery"
API_KEY, HF_TOKEN = "sk-4eC39HqLyjWDarjtT1zdp7dc", "hf_QWxhZGRpbjpvcGVuIHNlc2FtZQ"
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, "correct%2Fhorse%20battery", API_KEY, HF_TOKEN, BASIC)
ECHO = f"wrong: Basic {BASIC}, {PASSWORD}, Bearer {API_KEY}, {HF_TOKEN}"
TOKENS = 32


class Echoing(socketserver.ThreadingTCPServer):
    """Requires Basic authentication; every page, header, error and token of it contains the secrets."""

    daemon_threads, block_on_close = True, False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.authorizations: set[str] = set()
        self.chats = count()

    def answer(self, head: str) -> bytes:
        lines = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if ": " in line)
        path, authorization = head.split()[1], lines.get("authorization", "none")
        self.authorizations.add(authorization)
        if authorization != f"basic {BASIC}".lower():
            return _page(401, {"error": {"message": ECHO}})
        if path == "/v1/models":
            return _page(200, {"data": [{"id": "m", "owned_by": "llamacpp", "aliases": [ECHO]}]})
        if path == "/props":
            return _page(200, {"build_info": f"b1 {ECHO}", "model_path": ECHO, "model_alias": API_KEY})
        if path == "/v1/chat/completions":
            return _page(401, {"error": {"message": ECHO}}) if next(self.chats) % 2 else _stream()
        return _page(200, {"status": ECHO})


class _Handler(socketserver.BaseRequestHandler):
    server: Echoing

    def handle(self) -> None:
        with suppress(OSError, IndexError):
            with self.request.makefile("rb") as file:
                lines = [*takewhile(lambda line: line not in (b"\r\n", b""), iter(file.readline, None))]
                sizes = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
                file.read(sum(sizes))  # closing a socket with unread data would discard the answer
            self.request.sendall(self.server.answer(b"".join(lines).decode()))


def _page(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    return (
        f"HTTP/1.1 {status} -\r\nX-Key: {API_KEY}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _stream() -> bytes:
    """The secrets, a few characters a token, and then an error that contains them."""
    size = len(ECHO) // TOKENS + 1
    texts = [ECHO[at : at + size] for at in range(0, len(ECHO), size)]
    events = [f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n" for text in texts]
    events.append(f"data: {json.dumps({'error': {'message': ECHO}})}\n\n")
    return ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + "".join(events)).encode()


@pytest.fixture
def echoing() -> Iterator[Echoing]:
    with Echoing() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def assert_no_secret(where: str, text: str) -> None:
    forms = (*SECRETS, *(json.dumps(secret)[1:-1].replace("/", "\\/") for secret in SECRETS))
    for form in forms:
        assert form not in text, f"{where}: …{text[max(0, text.find(form) - 200) : text.find(form) + 200]}…"


def test_no_secret_is_written(project: Any, echoing: Echoing) -> None:
    environment = {**os.environ, "OPENAI_API_KEY": API_KEY, "HF_TOKEN": HF_TOKEN}
    url = f"http://{USER}:correct%2Fhorse%20battery@{echoing.address}"
    attach = ("--tokgate-url", url, "--tokgate-model", "m", "--tokgate-profile", "brief")
    finished = project.perf(*attach, "--tokgate-report=link", "-v", env=environment)
    assert echoing.authorizations == {f"basic {BASIC}".lower()}
    assert finished.code == 6, finished.output  # invalid: a server that sends errors
    assert "HTTP 401" in finished.output
    assert "***" in finished.output
    (launch, *_) = project.record()["measurements"]
    assert launch["facts"]["base_url"] == f"http://{echoing.address}"
    assert "b1 wrong: " in launch["facts"]["engine_version"]
    assert any("wrong: " in sample["text"] for sample in launch["samples"])
    assert f"http://***@{echoing.address}" in project.record()["command"]
    history = project.tokgate("history")
    measure = ("measure", url, "--model", "m", "--prompts", "fixtures/prompts/short-chat.jsonl", "--requests", "1")
    measured = project.tokgate(*measure, "--json", "out.json", env=environment)
    for place, text in (("run", finished.output), ("history", history.output), ("measure", measured.output)):
        assert_no_secret(place, text)
    files = [path for name in ("runs", "link", "out.json") for path in list_files(project.folder / name)]
    assert {"run.json", "junit.xml", "benchmark.json", "report.html", "history.sqlite", "out.json"} <= {
        path.name for path in files
    }
    for path in files:
        assert_no_secret(str(path), path.read_text(errors="replace"))


def list_files(place: Path) -> list[Path]:
    return [path for path in (place, *place.rglob("*")) if path.is_file()]
