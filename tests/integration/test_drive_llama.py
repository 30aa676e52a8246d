"""The driver on a real engine: the length of prompts, cold caches, its refusals, and its death."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.workload import Closed, Prompt, PromptSet
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import DriveResult, Progress, drive
from tokgate.drive.prompts import make_requests
from tokgate.drive.scrape import scrape, subtract
from tokgate.engines.llamacpp import ENGINE as LLAMA_CPP
from tokgate.launch.server import Server
from tokgate.launch.start import start


@pytest.fixture(scope="module")
def llama(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    spec = catalogue.server("embedded-smollm2", {"launch": {"context": 512, "parallel": 4, "threads": 1}})
    with start(spec, log_dir=tmp_path_factory.mktemp("logs")) as server:
        yield server


def run(
    server: Server,
    requests: tuple[Request, ...],
    concurrency: int = 4,
    on_progress: Callable[[Progress], None] | None = None,
) -> DriveResult:
    return drive(
        Endpoint(
            base_url=server.facts.base_url,
            model=server.facts.model,
            engine=LLAMA_CPP,
            body=LLAMA_CPP.timed_body({}),
        ),
        requests,
        Closed(concurrency=concurrency),
        request_timeout_s=120,
        stall_timeout_s=60,
        seed=1,
        on_progress=on_progress,
    )


def test_prefixes_keep_length_and_share_no_cache(llama: Server) -> None:
    prompt = Prompt(id="hi", messages=({"role": "user", "content": "hi"},))
    prompts = PromptSet(name="hi", sha256="", prompts=(prompt,))
    result = run(llama, make_requests(prompts, 50, seed=1, max_tokens=2))
    assert {sample.error for sample in result.samples} == {None}
    assert {sample.cached_tokens for sample in result.samples} == {0}
    assert len({sample.prompt_tokens for sample in result.samples}) == 1


def test_same_request_gives_the_same_text(llama: Server, catalogue: Catalogue) -> None:
    """The same request gives the same text, of exactly the requested length."""
    requests = make_requests(catalogue.prompts("short-chat"), 1, seed=1, max_tokens=16)
    first, second = run(llama, requests * 2, concurrency=1).samples
    assert first.text == second.text
    assert first.completion_tokens == second.completion_tokens == 16
    assert first.timings is not None
    assert (first.timings.predicted_n, first.cached_tokens, first.finish_reason) == (16, 0, "length")


def test_context_overflow_has_the_servers_message(llama: Server) -> None:
    """A context overflow is an error with the server's own message."""
    long = Request(prompt_id="long", messages=({"role": "user", "content": "word " * 2000},), max_tokens=8)
    [sample] = run(llama, (long,)).samples
    assert sample.status == 400
    assert sample.error is not None
    assert sample.error.startswith("HTTP 400: ")
    assert "context" in sample.error


def test_its_counters_grow_by_what_was_asked(llama: Server, catalogue: Catalogue) -> None:
    before = scrape(f"{llama.facts.base_url}/metrics")
    run(llama, make_requests(catalogue.prompts("short-chat"), 4, seed=3, max_tokens=8))
    after = scrape(f"{llama.facts.base_url}/metrics")
    assert before is not None
    assert after is not None
    assert subtract(before, after)["llamacpp:tokens_predicted_total"] == 4 * 8


def test_server_killed_in_the_middle_of_a_stream(catalogue: Catalogue, tmp_path: Path) -> None:
    spec = catalogue.server("embedded-smollm2", {"launch": {"context": 2048, "parallel": 1, "threads": 1}})
    with start(spec, log_dir=tmp_path) as server:
        requests = make_requests(catalogue.prompts("short-chat"), 2, seed=1, max_tokens=1500)

        assert server.facts.pids is not None
        (pid,) = server.facts.pids

        def kill(progress: Progress) -> None:
            if progress.arrivals > 10 and psutil.pid_exists(pid):
                psutil.Process(pid).kill()

        broken, never = run(server, requests, concurrency=1, on_progress=kill).samples
        assert broken.error is not None
        assert "the stream broke after" in broken.error
        assert len(broken.token_times_s) > 5
        # Its socket may still be closing when the second request comes: refused, or broken off.
        assert never.error is not None
        assert never.error.startswith(("could not send", "the connection broke before any answer"))
