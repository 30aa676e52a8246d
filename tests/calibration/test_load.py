"""Load shapes, interruption and failure, against a server whose every send is known."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import threading
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import psutil
import pytest

from tokgate.config.workload import Closed, Constant, Poisson
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import DriveResult, Interrupted, Progress, drive
from tokgate.drive.truth.scenario import Record, Scenario

Run = Callable[..., tuple[DriveResult, list[Record]]]


def most_open(result: DriveResult) -> int:
    """The most requests that were under way at one time."""
    edges = sorted(edge for sample in result.samples for edge in ((sample.sent_s, 1), (sample.end_s, -1)))
    level = most = 0
    for _, step in edges:
        level += step
        most = max(most, level)
    return most


@pytest.mark.parametrize("users", [1, 3])
def test_closed_loop(run: Run, users: int) -> None:
    """It keeps the given number of streams open."""
    result, _ = run(Scenario(ttft_s=0.02, itl_s=0.005), requests=9, load=Closed(concurrency=users))
    assert most_open(result) == users
    assert [sample.index for sample in result.samples] == list(range(9))
    assert {sample.scheduled_s for sample in result.samples} == {None}


def test_constant_rate(run: Run) -> None:
    """Requests are sent on time whatever the server does."""
    result, _ = run(Scenario(ttft_s=0.3), requests=30, load=Constant(rate_per_s=50))
    due_s = [sample.scheduled_s for sample in result.samples]
    assert due_s == pytest.approx([number / 50 for number in range(30)])
    assert most_open(result) > 10
    gaps = [after.sent_s - before.sent_s for before, after in pairwise(result.samples)]
    assert median(gaps) == pytest.approx(1 / 50, rel=0.1)


def test_poisson_gaps(run: Run) -> None:
    """The seed determines the gaps."""
    result, _ = run(Scenario(), requests=20, load=Poisson(rate_per_s=200))
    rng = random.Random(1)
    due_s = [sample.scheduled_s for sample in result.samples if sample.scheduled_s is not None]
    assert len(due_s) == 20
    gaps = [after - before for before, after in pairwise(due_s)]
    assert gaps == pytest.approx([rng.expovariate(200) for _ in gaps])
    assert all(sample.sent_s >= due for sample, due in zip(result.samples, due_s, strict=True))


def test_times_are_on_one_clock(run: Run) -> None:
    """The zero of all samples is that of the result."""
    result, [record] = run(Scenario(ttft_s=0.1, itl_s=0.01))
    [sample] = result.samples
    assert result.zero_s + sample.sent_s < record.received_s
    assert record.sends[0][0] < result.zero_s + sample.token_times_s[0]
    assert sample.end_s <= result.wall_s
    assert 0 < result.client_cpu_s < result.wall_s


def test_progress(run: Run) -> None:
    """It grows to the total."""
    seen: list[Progress] = []
    run(Scenario(itl_s=0.02), requests=4, tokens=40, on_progress=seen.append)
    assert 5 <= len(seen) <= 40
    assert all(
        before.arrivals <= after.arrivals and before.completed <= after.completed for before, after in pairwise(seen)
    )
    assert (seen[-1].completed, seen[-1].total) == (4, 4)
    assert seen[-1].arrivals > 80  # of 160 tokens; a busy machine delivers some of them together


def test_garbage_collection_is_restored(run: Run) -> None:
    run(Scenario())
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption(run: Run, number: signal.Signals) -> None:
    """It returns the requests that had ended and leaves no connection open."""

    def stop(*_: object) -> None:  # as the plugin does it: raised here, the event loop might swallow it
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else stop)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), number))
    timer.start()
    try:
        with pytest.raises(Interrupted, match=r"interrupted after [1-9]\d* requests?") as caught:
            run(Scenario(ttft_s=0.05, itl_s=0.01), requests=1000, load=Closed(concurrency=4))
    finally:
        timer.cancel()
        signal.signal(number, before)
    result = caught.value.result
    assert all(sample.error is None and len(sample.token_times_s) == 10 for sample in result.samples)
    connections = psutil.Process().net_connections(kind="tcp")
    assert [one for one in connections if one.status == psutil.CONN_ESTABLISHED and one.raddr] == []


def test_failing_progress_callback(run: Run) -> None:
    """Its exception is raised."""

    def fail(_: Progress) -> None:
        raise ZeroDivisionError("in the callback")

    with pytest.raises(ZeroDivisionError, match="in the callback"):
        run(Scenario(itl_s=0.05), on_progress=fail)


def test_no_server() -> None:
    """Each request has an error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}", model="m")
    request = Request(prompt_id="p", messages=({"role": "user", "content": "hi"},), max_tokens=4)
    result = drive(endpoint, [request] * 3, Closed(), request_timeout_s=5, stall_timeout_s=5, seed=1)
    assert len(result.samples) == 3
    for sample in result.samples:
        assert sample.error is not None
        assert f"could not send: Cannot connect to host 127.0.0.1:{port}" in sample.error


def test_no_requests_is_an_error() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:1", model="m")
    with pytest.raises(ValueError, match="expected at least one request"):
        drive(endpoint, [], Closed(), request_timeout_s=5, stall_timeout_s=5, seed=1)
