#!/usr/bin/env python3
"""What a token costs the client that counts it: tokgate beside other clients, on one emitting server.

    .venv/bin/python ci/bench/client.py [--tools a,b] [--streams 1,16] [--json FILE] [--markdown FILE]

Each tool runs in a process, and where it is not ours in an environment, of its own, three times for each
number of streams, always against the reference server:
- *idle*: the least work; its CPU time is start-up and requests.
- *fast*: the server emits as fast as it can. tok/s is by the server's record, from the first request
  received to the last token sent; CPU per token is what this took beyond *idle*, by the tokens more.
- *paced*: the server keeps a schedule far below what any tool can do. TTFT error is the median TTFT that
  the tool claims less the median of the server's record.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent)]

from tools import TOOLS, Job, Tool, install  # noqa: E402

from tokgate.drive.reference import Record, Reference, Scenario, reference_server  # noqa: E402

STREAMS = (1, 16, 100, 500, 1000)
TIMEOUT_S = 600
PACED_TOKENS = 20
LEAST_REQUESTS = 10

TOKENIZER = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "tok": 1}, "unk_token": "[UNK]"},
}


class Run(NamedTuple):
    """One run of a tool: what it claims, what the server says, and what it cost with all its children."""

    output: str
    records: list[Record]
    cpu_s: float
    peak_mb: float

    @property
    def tokens(self) -> int:
        return sum(count for record in self.records for _, count in record.sends)


@contextmanager
def peak_memory(process: subprocess.Popen[str]) -> Iterator[list[float]]:
    """The most memory of the process and its children together, in MB, looked at five times a second."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            try:
                tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                peak[0] = max(peak[0], sum(one.memory_info().rss for one in tree) / 1e6)
            except psutil.NoSuchProcess:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def run(tool: Tool, job: Job, reference: Reference, scenario: Scenario) -> Run:
    """Let the tool do the job. Raises RuntimeError with the end of its output when it fails."""
    reference.serve(scenario)
    reference.truth()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OPENAI_API_KEY": "none"}
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
    records = [record for record in reference.truth() if record.sends]
    if len(records) < job.requests:
        raise RuntimeError(f"sent {len(records)} of {job.requests} requests: {output[-2000:]}")
    return Run(output, records, cpu_s, peak[0])


def measure(name: str, tool: Tool, streams: int, reference: Reference) -> dict[str, Any]:
    """One row of the table."""
    rounds = 8 if streams <= 16 else 2
    tokens = max(50, tool.throughput_tokens // (streams * rounds))
    pace = Scenario(
        ttft_s=0.5 if streams > 100 else 0.1, itl_s=max(0.01, streams / 4000), tokens=PACED_TOKENS
    )
    with tempfile.TemporaryDirectory() as folder:
        job = Job(reference.url, streams, streams * rounds, tokens, Path(folder))
        _prepare(job)
        fast = run(tool, job, reference, Scenario(tokens=tokens))
        idle = run(tool, job._replace(tokens=1), reference, Scenario(tokens=1))
        job = job._replace(requests=max(streams, LEAST_REQUESTS), tokens=PACED_TOKENS)
        paced = run(tool, job, reference, pace)
        claimed_ms = tool.ttft_ms(job, paced.output)
    true_ms = median(record.ttft_s for record in paced.records) * 1e3
    first_s = min(record.received_s for record in fast.records)
    last_s = max(record.sends[-1][0] for record in fast.records)
    return {
        "tool": name,
        "streams": streams,
        "tok_s": fast.tokens / (last_s - first_s),
        "cpu_us_per_token": (fast.cpu_s - idle.cpu_s) / (fast.tokens - idle.tokens) * 1e6,
        "peak_mb": max(fast.peak_mb, paced.peak_mb),
        "ttft_error_ms": claimed_ms - true_ms,
    }


def _prepare(job: Job) -> None:
    (job.folder / "tokenizer").mkdir()
    (job.folder / "tokenizer" / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (job.folder / "tokenizer" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", "model_max_length": 100000}'
    )
    line = json.dumps({"prompt": "count to one thousand"}) + "\n"
    (job.folder / "prompts.jsonl").write_text(line * job.requests)


def machine() -> str:
    """This machine in a line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def table(rows: list[dict[str, Any]], failures: dict[str, str]) -> str:
    """Markdown: the rows, and what did not run with its reason."""
    lines = [
        "| tool | streams | tok/s | CPU µs per token | peak MB | TTFT error ms |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['tool']} | {row['streams']} | {row['tok_s']:,.0f} | {row['cpu_us_per_token']:.2f} | "
        f"{row['peak_mb']:.0f} | {row['ttft_error_ms']:+.2f} |"
        for row in rows
    ]
    lines += [f"\nNot measured: {what}: {why}" for what, why in failures.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a token costs the client that counts it.")
    parser.add_argument("--tools", default=",".join(TOOLS), help=f"default: {','.join(TOOLS)}")
    parser.add_argument("--streams", default=",".join(map(str, STREAMS)), help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--markdown", type=Path, help="write the table here, with this machine's description")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    with reference_server() as reference:
        for name in options.tools.split(","):
            try:
                install(name, TOOLS[name])
            except subprocess.CalledProcessError as error:
                failures[name] = f"it could not be installed ({error})"
                continue
            for streams in map(int, options.streams.split(",")):
                started = time.perf_counter()
                try:
                    rows.append(measure(name, TOOLS[name], streams, reference))
                    print(f"{rows[-1]} in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
                except (RuntimeError, OSError, LookupError, ValueError) as error:
                    failures[f"{name} at {streams} streams"] = " ".join(str(error).split())[-300:]
                    print(f"{name} at {streams}: {error}", file=sys.stderr, flush=True)
    print(table(rows, failures))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.markdown:
        options.markdown.write_text(f"{HEADING}\n{machine()}.\n\n{table(rows, failures)}\n")
    if not rows:
        sys.exit("nothing was measured")


HEADING = """\
# Clients side by side

Written by `ci/bench/client.py`, whose text says how each figure is taken. The machine:"""


if __name__ == "__main__":
    main()
