"""Load shapes: a sequence of requests is sent to a server in a closed or an open loop, and timed."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import msgspec

from tokgate.config.bounds import limit_stream
from tokgate.config.words import format_count
from tokgate.config.workload import Closed, Constant, Load, Poisson
from tokgate.drive.client import Call, Client, Endpoint, Request
from tokgate.drive.sample import Sample
from tokgate.drive.wire import Exchange, TappedLoop

_HELD_BYTES = 256 * 2**20
"""Undecoded bytes of ended requests that are kept, because decoding takes time from the event loop. When there are
more, each response is decoded as soon as it ends, because memory is limited."""

_TICK_S = 0.01  # between two checks of how late the event loop is
_LOOK_S = 0.2  # between two looks at stalls and progress


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a drive.

    completed, total: number of requests.
    arrivals: number of pieces of streams received so far; each has one token or more.
    elapsed_s: seconds since the start of the timed region.
    """

    completed: int
    total: int
    arrivals: int
    elapsed_s: float


class DriveResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a drive.

    samples: one for each request, in their order.
    zero_s: start of the timed region on the clock of `perf_counter`: the zero of all samples.
    wall_s: length of the timed region, seconds.
    client_cpu_s: CPU time of this process in it, seconds.
    max_lag_s: longest delay of the event loop in it, seconds.
    """

    samples: tuple[Sample, ...]
    zero_s: float
    wall_s: float
    client_cpu_s: float
    max_lag_s: float


class Interrupted(KeyboardInterrupt):
    """A drive was interrupted. result: the requests that had ended by then."""

    def __init__(self, result: DriveResult) -> None:
        self.result = result
        super().__init__(f"interrupted after {format_count(len(result.samples), 'request')}")


def drive(
    endpoint: Endpoint,
    requests: Sequence[Request],
    load: Load,
    *,
    request_timeout_s: float,
    stall_timeout_s: float,
    seed: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> DriveResult:
    """Send every request once, in the shape of `load`, and return a sample for each, in order.

    request_timeout_s: longest time for one request.
    stall_timeout_s: longest silence within a stream, checked five times per second.
    seed: of the sampling at the server and of Poisson intervals.
    on_progress: called five times per second.
    What goes wrong with a request becomes its sample's `error`. Raises Interrupted (a KeyboardInterrupt) with the
    requests that had ended, after closing every connection. Raises ValueError: no requests.
    """
    if not requests:
        raise ValueError("expected at least one request")
    run = _Drive(len(requests), stall_timeout_s, on_progress)
    try:
        with asyncio.Runner(loop_factory=TappedLoop) as runner:
            runner.run(run.go(endpoint, requests, load, seed, request_timeout_s))
    except KeyboardInterrupt as interrupt:
        raise Interrupted(run.result()) from interrupt
    return run.result()


class _Drive:
    """The state of one drive: calls in progress and ended, its clock, and its CPU time."""

    def __init__(self, total: int, stall_timeout_s: float, on_progress: Callable[[Progress], None] | None) -> None:
        self._total, self._stall_timeout_s, self._on_progress = total, stall_timeout_s, on_progress
        self._open: set[Call] = set()
        self._ended: list[Call] = []
        self._decoded: list[Sample] = []
        self._held = self._arrived = 0
        self._zero_s = self._end_s = perf_counter()
        self._cpu_zero_s = self._cpu_end_s = time.process_time()
        self._max_lag_s = 0.0

    async def go(
        self, endpoint: Endpoint, requests: Sequence[Request], load: Load, seed: int, request_timeout_s: float
    ) -> None:
        async with Client(endpoint, seed=seed, request_timeout_s=request_timeout_s) as client:
            await client.open(_connections(load, len(requests)))
            self._client = client
            with _quiet_gc():
                self._zero_s, self._cpu_zero_s = perf_counter(), time.process_time()
                watch = asyncio.create_task(self._watch())
                try:
                    if isinstance(load, Closed):
                        await self._closed(requests, load.concurrency)
                    else:
                        await self._arriving(requests, load, seed)
                finally:
                    self._end_s, self._cpu_end_s = perf_counter(), time.process_time()
                    watch.cancel()
            if watch.done() and not watch.cancelled():
                watch.result()  # a progress callback that raised
            self._report()

    async def _closed(self, requests: Sequence[Request], concurrency: int) -> None:
        queue = iter(enumerate(requests))

        async def user() -> None:
            for index, request in queue:
                await self._send(index, request)

        async with asyncio.TaskGroup() as users:
            for _ in range(min(concurrency, len(requests))):
                users.create_task(user())
                await asyncio.sleep(0)  # lets sockets be read between the requests when many users start

    async def _arriving(self, requests: Sequence[Request], load: Constant | Poisson, seed: int) -> None:
        async with asyncio.TaskGroup() as users:
            for index, (request, due_s) in enumerate(zip(requests, _arrivals(load, seed), strict=False)):
                while (wait_s := self._zero_s + due_s - perf_counter()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(wait_s)  # uvloop's timers may come a millisecond early
                users.create_task(self._send(index, request, scheduled_s=due_s))

    async def _send(self, index: int, request: Request, scheduled_s: float | None = None) -> None:
        call = Call(
            index=index,
            request=request,
            exchange=Exchange(limit_stream(request.max_tokens)),
            begun_s=perf_counter(),
            scheduled_s=scheduled_s,
        )
        self._open.add(call)
        try:
            await self._client.send(call)
        finally:
            self._open.discard(call)
        self._arrived += len(call.exchange.pieces)
        size = sum(map(len, call.exchange.pieces))
        if self._held + size > _HELD_BYTES:
            self._decoded.append(call.sample(self._zero_s))
        else:
            self._held += size
            self._ended.append(call)

    async def _watch(self) -> None:
        """Measure the delay of the event loop, end streams that stall, and report progress."""
        look_s = perf_counter()
        while True:
            before_s = perf_counter()
            await asyncio.sleep(_TICK_S)
            now_s = perf_counter()
            self._max_lag_s = max(self._max_lag_s, now_s - before_s - _TICK_S)
            if now_s < look_s + _LOOK_S:
                continue
            look_s = now_s
            for call in self._open:
                last_s = call.exchange.last_s
                if last_s is not None and now_s - last_s > self._stall_timeout_s:
                    call.fail_stalled(now_s - last_s)
            self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    completed=len(self._ended) + len(self._decoded),
                    total=self._total,
                    arrivals=self._arrived + sum(len(call.exchange.pieces) for call in self._open),
                    elapsed_s=perf_counter() - self._zero_s,
                )
            )

    def result(self) -> DriveResult:
        samples = [*self._decoded, *(call.sample(self._zero_s) for call in self._ended)]
        return DriveResult(
            samples=tuple(sorted(samples, key=lambda sample: sample.index)),
            zero_s=self._zero_s,
            wall_s=self._end_s - self._zero_s,
            client_cpu_s=self._cpu_end_s - self._cpu_zero_s,
            max_lag_s=self._max_lag_s,
        )


def _connections(load: Load, requests: int) -> int:
    """The number of connections to open in advance: one per user, or the arrivals of one second."""
    connections = load.concurrency if isinstance(load, Closed) else math.ceil(load.rate_per_s)
    return min(connections, requests)


def _arrivals(load: Constant | Poisson, seed: int) -> Iterator[float]:
    """Yield the time of each request, in seconds after the start, without end; the first is 0."""
    rng = random.Random(seed)
    due_s = 0.0
    while True:
        yield due_s
        due_s += rng.expovariate(load.rate_per_s) if isinstance(load, Poisson) else 1 / load.rate_per_s


@contextmanager
def _quiet_gc() -> Iterator[None]:
    """Disable garbage collection: a full collection would stop every stream while it runs."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
