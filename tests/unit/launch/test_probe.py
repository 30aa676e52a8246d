"""What a server answers over HTTP: its engine, version, settings and models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.server import AttachLaunch, Model, ServerSpec
from tokgate.engines import FALLBACK, find
from tokgate.launch.http import get
from tokgate.launch.probe import check_health, check_model, find_engine, read_info

Page = tuple[int, bytes, int]
"""Status, body, and the length that is announced."""


@contextmanager
def serving(pages: Mapping[str, object]) -> Iterator[str]:
    """The URL of a server with these pages: text as it is, everything else as JSON; others are 404."""

    def find_page(path: str) -> Page:
        page = pages.get(path)
        body = (page if isinstance(page, str) else json.dumps(page)).encode()
        return 404 if page is None else 200, body, len(body)

    with answering(find_page) as url:
        yield url


@contextmanager
def answering(find_page: Callable[[str], Page]) -> Iterator[str]:
    """The URL of a server that answers each path so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, length = find_page(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def models(*names: str, owner: str) -> dict[str, object]:
    return {"/v1/models": {"data": [{"id": name, "owned_by": owner} for name in names]}}


def test_ollama_by_its_root_page() -> None:
    pages = models("qwen3:8b", owner="library") | {
        "/": "Ollama is running",
        "/api/version": {"version": "0.30.7"},
    }
    with serving(pages) as url:
        engine = find_engine(url)
        assert engine is find("ollama")
        assert check_health(engine, url) is None
        assert read_info(engine, url) == ("0.30.7", {})


@pytest.mark.parametrize("path", ["/server_info", "/get_server_info"])
def test_sglang_of_each_version(path: str) -> None:
    pages = models("m", owner="sglang") | {path: {"version": "0.5.6", "tp_size": 2}}
    with serving(pages) as url:
        assert find_engine(url) is find("sglang")
        assert read_info(find("sglang"), url) == ("0.5.6", {"tp_size": "2"})


def test_unknown_server() -> None:
    with serving(models("m", owner="somebody")) as url:
        assert find_engine(url) is FALLBACK
        assert check_health(FALLBACK, url) is None
        assert read_info(FALLBACK, url) == (None, {})
        assert check_health(find("vllm"), url) == f"GET {url}/health answered 404 null"


def spec(model: str) -> ServerSpec:
    return ServerSpec(
        name="x",
        description="",
        engine="openai",
        launch=AttachLaunch(url="http://127.0.0.1:1"),
        model=Model(id=model),
    )


def test_model_that_is_not_served() -> None:
    """The error names the nearest one, and the engine's own way to start it under another name."""
    with serving(models("Qwen/Qwen3-8B", "other", owner="vllm")) as url:
        assert check_model(spec("other"), FALLBACK, url) == "other"
        with pytest.raises(LaunchError, match=r"Did you mean `Qwen/Qwen3-8B`.*vllm: --served-model-name"):
            check_model(spec("qwen3-8b"), find("vllm"), url)
        with pytest.raises(LaunchError, match=r"or start the server with that name\.$"):
            check_model(spec("qwen3-8b"), FALLBACK, url)


def test_no_list_of_models() -> None:
    with serving({}) as url, pytest.raises(ServerUnreachable, match=r"answered 404 .*\(expected 200\)"):
        check_model(spec("m"), FALLBACK, url)


def test_what_is_no_json_object() -> None:
    with serving({"/list": [1], "/text": "a text"}) as url:
        assert (get(f"{url}/list").content(), get(f"{url}/list").json()) == ([1], {})
        assert (get(f"{url}/text").content(), get(f"{url}/text").json()) == ("a text", {})
        assert get(f"{url}/none").content() is None


@pytest.mark.parametrize(
    ("page", "read"),
    [(b'{"a": "\xe9"}', '{"a": "\N{REPLACEMENT CHARACTER}"}'), (b"[" * 5000, "[" * 5000)],
    ids=["not UTF-8", "nested"],
)
def test_a_page_that_is_no_json_is_text(page: bytes, read: str) -> None:
    with answering(lambda _: (200, page, len(page))) as url:
        assert get(url).content() == read


def test_an_error_page_that_is_cut_off() -> None:
    """A proxy in front of a server that loads: the status counts, whatever became of the body."""
    with answering(lambda _: (503, b"load", 4000)) as url:
        answer = get(url)
    assert (answer.status, answer.body) == (503, b"load")
