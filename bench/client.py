#!/usr/bin/env python3
"""Compare load clients: CPU time and memory per token, and the error of their latencies.

    .venv/bin/python bench/client.py [--tools a,b] [--streams 1,16] [--json FILE] [--markdown FILE]

Needs a machine that runs nothing else. Each tool runs in its own process (tools other than
tokgate also in their own virtual environment) against the same reference server. For each number of streams:
- *idle*: as little work as possible; its CPU time is that of start-up and requests.
- *fast*: the server emits as fast as it can. tok/s comes from the server's record, from the first request
  received to the last token sent; CPU per token is the CPU time beyond *idle*, divided by the additional tokens.
- *paced*: the server keeps a schedule that every tool can follow easily. The TTFT error is the median TTFT that
  the tool reports minus the median in the server's record; the decode error compares median rates.
  The first chunk holds a token: otherwise a client that counts a role as a token would be off by the whole TTFT.
Tools take turns, again in every repeat. Values that a goal needs are measured `--repeats` times, the others once;
the results are medians, with the lowest and the highest value.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent)]

from goals import Row, is_needed, markdown  # noqa: E402
from inputs import prepare, serve_book  # noqa: E402
from tools import TOOLS, Claim, Job, Tool, install  # noqa: E402

from tokgate.drive.truth.process import TruthServer, start_truth_server  # noqa: E402
from tokgate.drive.truth.scenario import Record, Scenario  # noqa: E402

STREAMS = (1, 16, 100, 500, 1000)
TIMEOUT_S = 600
PACED_TOKENS = 20
LEAST_REQUESTS = 10


class Run(NamedTuple):
    """One run of a tool: its output, the server's records, and the cost of the tool with all its children."""

    output: str
    records: list[Record]
    cpu_s: float
    peak_mb: float

    @property
    def tokens(self) -> int:
        return sum(count for record in self.records for _, count in record.sends)


@contextmanager
def peak_memory(process: subprocess.Popen[str]) -> Iterator[list[float]]:
    """Peak memory of the process and its children together, in MB, sampled five times a second."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            try:
                tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                peak[0] = max(peak[0], sum(process.memory_info().rss for process in tree) / 1e6)
            except psutil.NoSuchProcess:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def run(tool: Tool, job: Job, truth_server: TruthServer, scenario: Scenario) -> Run:
    """Run the job with the tool. Raises RuntimeError with the end of its output when it fails."""
    truth_server.serve(scenario)
    truth_server.truth()
    environment = os.environ | {"OPENAI_API_KEY": "none"}
    before = os.times()
    process = subprocess.Popen(
        [str(part) for part in tool.command(job)],
        cwd=job.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with peak_memory(process) as peak:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            raise RuntimeError(f"not done after {TIMEOUT_S} s: {output[-2000:]}") from None
    after = os.times()
    if process.returncode != 0:
        raise RuntimeError(f"exit code {process.returncode}: {output[-2000:]}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    records = [record for record in truth_server.truth() if record.sends]
    records = records[-job.requests :]  # some tools send one request first, to check that the server answers
    if len(records) < job.requests:
        raise RuntimeError(f"sent {len(records)} of {job.requests} requests: {output[-2000:]}")
    return Run(output, records, cpu_s, peak[0])


class Bench:
    """Measures one tool at one number of streams, one phase at a time."""

    def __init__(self, truth_server: TruthServer, book_url: str) -> None:
        self._truth_server, self._book_url = truth_server, book_url
        self._idle: dict[tuple[str, int], Run] = {}

    def fast(self, name: str, streams: int) -> dict[str, float]:
        """tok_s, cpu_us_per_token and peak_mb."""
        tool = TOOLS[name]
        rounds = 8 if streams <= 16 else 2
        tokens = max(50, tool.throughput_tokens // (streams * rounds))
        with self._job(streams, streams * rounds, tokens) as job:
            if (name, streams) not in self._idle:
                idle = run(tool, job._replace(tokens=2), self._truth_server, Scenario(tokens=2))
                self._idle[name, streams] = idle
            fast = run(tool, job, self._truth_server, Scenario(tokens=tokens))
        idle = self._idle[name, streams]
        first_s = min(record.received_s for record in fast.records)
        last_s = max(record.sends[-1][0] for record in fast.records)
        return {
            "tok_s": fast.tokens / (last_s - first_s),
            "cpu_us_per_token": (fast.cpu_s - idle.cpu_s) / (fast.tokens - idle.tokens) * 1e6,
            "peak_mb": fast.peak_mb,
        }

    def paced(self, name: str, streams: int) -> dict[str, float]:
        """ttft_error_ms and decode_error, a fraction of the true rate."""
        tool = TOOLS[name]
        pace = Scenario(
            ttft_s=0.5 if streams > 100 else 0.1,
            itl_s=max(0.01, streams / 4000),
            tokens=PACED_TOKENS,
            role=False,
        )
        with self._job(streams, max(streams, LEAST_REQUESTS), PACED_TOKENS) as job:
            paced = run(tool, job, self._truth_server, pace)
            claim: Claim = tool.claim(job, paced.output)
        return {
            "ttft_error_ms": claim.ttft_ms - median(record.ttft_s for record in paced.records) * 1e3,
            "decode_error": 1e3 / claim.tpot_ms / median(record.decode_tps for record in paced.records) - 1,
        }

    @contextmanager
    def _job(self, streams: int, requests: int, tokens: int) -> Iterator[Job]:
        with tempfile.TemporaryDirectory() as folder:
            job = Job(self._truth_server.url, streams, requests, tokens, Path(folder), self._book_url)
            prepare(job)
            yield job


def machine() -> str:
    """One line that describes this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"
    )


class Turn:
    """A file lock that everyone who measures on this machine takes in turn, for a few minutes each."""

    LONGEST_S = 200.0

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("w")
        self._since_s = -inf

    def wait(self) -> None:
        """Return when this process holds the lock; after holding it for long, let the others have it first."""
        if self._file is not None and time.perf_counter() - self._since_s > self.LONGEST_S:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            time.sleep(1)  # a waiting process is woken, but would lose to one that locks again at once
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._since_s = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare load clients: cost per token, and error of their latencies.")
    parser.add_argument("--tools", default=",".join(TOOLS), help=f"default: {','.join(TOOLS)}")
    parser.add_argument("--streams", default=",".join(map(str, STREAMS)), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="of values that a goal needs; default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--markdown", type=Path, help="write the tables here, with this machine's description")
    parser.add_argument("--lock", type=Path, help="share the machine by this file's lock")
    options = parser.parse_args()
    failures: dict[str, str] = {}
    names = []
    for name in options.tools.split(","):
        try:
            install(name, TOOLS[name])
            names.append(name)
        except subprocess.CalledProcessError as error:
            failures[name] = f"it could not be installed ({error})"
    streams = [int(number) for number in options.streams.split(",")]
    rows = {(name, number): Row(name, number) for number in streams for name in names}
    phases = [(name, number, phase) for name, number in rows for phase in ("fast", "paced")]
    repeated = [phase for phase in phases if is_needed(*phase)]
    rest = [phase for phase in phases if not is_needed(*phase)]
    turn = Turn(options.lock)
    with start_truth_server() as truth_server, serve_book() as book_url, suppress(KeyboardInterrupt):
        bench = Bench(truth_server, book_url)
        for name, number, phase in repeated * options.repeats + rest:
            turn.wait()
            started = time.perf_counter()
            try:
                rows[name, number].add(getattr(bench, phase)(name, number))
            except (RuntimeError, OSError, LookupError, ValueError, ArithmeticError) as error:
                failures[f"{name} at {number} streams, {phase}"] = " ".join(str(error).split())[-300:]
                print(f"{name} at {number}: {error!r}", file=sys.stderr, flush=True)
            took_s = time.perf_counter() - started
            print(f"{rows[name, number]} {phase} in {took_s:.0f} s", file=sys.stderr, flush=True)
    measured_rows = [row for row in rows.values() if row.values]
    text = markdown(measured_rows, failures)
    print(text)
    if options.json:
        options.json.write_text(json.dumps([row.plain(measured_rows) for row in measured_rows], indent=1))
    if options.markdown:
        options.markdown.write_text(f"{HEADING}\n{machine()}.\n\n{text}\n")
    if not measured_rows:
        sys.exit("nothing was measured")


HEADING = """\
# Load clients compared

How much CPU time a client spends on each token, and how far off its latencies are. Written by

```sh
python bench/client.py --markdown docs/benchmarks.md
```

which installs each client into its own environment (versions in `bench/tools.py`) and runs all of them, in turns,
against one reference server without a model. The docstring of the script explains how each value is measured. Values
are medians, with the lowest and the highest where a value was measured more than once. The server emits tokens as fast
as it can, or, for the two errors, on a much slower schedule. guidellm and aiperf use several processes. vLLM's time per
token includes the end of the stream, which here comes one gap after the last token. The machine:"""


if __name__ == "__main__":
    main()
