"""A server that somebody else started: found, asked, waited for, and never stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from tokgate._exceptions import LaunchError, ServerNotReady, ServerUnreachable
from tokgate.config.catalogue import Catalogue
from tokgate.config.server import AttachLaunch, Model, ServerSpec
from tokgate.config.units import Duration
from tokgate.launch.server import Server
from tokgate.launch.start import start


def attach(
    url: str, *, engine: str = "llama.cpp", model: str = "smollm2-135m-instruct", timeout_s: float = 10
) -> ServerSpec:
    return ServerSpec(
        name="theirs",
        description="a server that is already up",
        engine=engine,
        launch=AttachLaunch(url=url),
        model=Model(id=model),
        start_timeout=Duration(timeout_s),
    )


@pytest.fixture
def theirs(catalogue: Catalogue, tmp_path: Path) -> Iterator[Server]:
    """A real server, which stands for one that somebody else started."""
    with start(catalogue.server("embedded-smollm2"), log_dir=tmp_path) as server:
        yield server


@pytest.mark.parametrize("tail", ["", "/", "/v1"])
def test_it_is_known_by_what_it_tells_and_left_running(theirs: Server, tmp_path: Path, tail: str) -> None:
    with start(attach(theirs.facts.base_url + tail), log_dir=tmp_path) as server:
        server.check_alive()
        assert server.facts.base_url == theirs.facts.base_url
        assert server.facts.settings == theirs.facts.settings
        assert server.facts.pids == theirs.facts.pids
        assert server.facts.startup_s is None
        assert server.facts.shm_bytes is None
        assert server.facts.log_path is None
    theirs.check_alive()


def test_engine_of_an_openai_server_is_recognized(theirs: Server, tmp_path: Path) -> None:
    """A server declared as OpenAI-compatible is recognized as the engine that it is."""
    with start(attach(theirs.facts.base_url, engine="openai"), log_dir=tmp_path) as server:
        server.check_alive()
        assert server.facts.engine == "llama.cpp"
        assert server.facts.settings == theirs.facts.settings


def test_nothing_there_is_said_at_once(free_port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port}"
    with (
        pytest.raises(LaunchError, match=rf"could not connect to {url}: connection refused"),
        start(attach(url, timeout_s=3600), log_dir=tmp_path),
    ):
        pass


def test_a_url_without_scheme_is_said(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="unknown url type"), start(attach("localhost:1"), log_dir=tmp_path):
        pass


def test_a_model_that_is_not_served_names_the_nearest(theirs: Server, tmp_path: Path) -> None:
    spec = attach(theirs.facts.base_url, model="HuggingFaceTB/SmolLM2-135M")
    with (
        pytest.raises(LaunchError, match="Did you mean `smollm2-135m-instruct`"),
        start(spec, log_dir=tmp_path),
    ):
        pass


def test_its_end_is_noticed(theirs: Server, tmp_path: Path) -> None:
    with start(attach(theirs.facts.base_url), log_dir=tmp_path) as server:
        assert theirs.facts.pids is not None
        process = psutil.Process(theirs.facts.pids[0])
        process.kill()
        process.wait(30)
        with pytest.raises(ServerUnreachable, match=r"answered before, and now: .*connection refused") as raised:
            server.check_alive()
        assert raised.value.url == f"{theirs.facts.base_url}/health"


class Loading(ThreadingHTTPServer):
    """Answers 503 as llama.cpp does while it loads, `times` times."""

    def __init__(self, times: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.times = times
        self.asked: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Loading

    def do_GET(self) -> None:
        self.server.asked.add(self.path)
        self.server.times -= 1
        loading = self.server.times >= 0
        body = b'{"error":{"message":"Loading model"}}' if loading else b'{"data":[{"id":"m"}]}'
        self.send_response(503 if loading else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def loading() -> Iterator[Loading]:
    with Loading(4) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_one_that_still_loads_is_waited_for(loading: Loading, tmp_path: Path) -> None:
    with start(attach(loading.url, model="m"), log_dir=tmp_path) as server:
        assert server.facts.model == "m"
    assert loading.times < 0


def test_unknown_engine_is_asked_for_its_models(loading: Loading, tmp_path: Path) -> None:
    """An unknown engine without a health page is asked for its models."""
    with start(attach(loading.url, model="m", engine="openai"), log_dir=tmp_path) as server:
        server.check_alive()
        assert server.facts.engine == "openai"
        assert server.facts.settings == {}
    assert loading.asked == {"/v1/models", "/"}  # the second is the page by which Ollama is known


def test_one_that_loads_for_ever_says_what_it_answered(loading: Loading, tmp_path: Path) -> None:
    loading.times = float("inf")
    with (
        pytest.raises(ServerNotReady, match=r"answered 503 .*Loading model.*start_timeout"),
        start(attach(loading.url, timeout_s=0.3), log_dir=tmp_path),
    ):
        pass
