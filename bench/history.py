#!/usr/bin/env python3
"""Measure the cost of a long history: 10,000 runs with their raw samples, 1 % of them truncated, read and reported.

Needs 2 GB of disk. A run has 2 servers × 2 workloads × 5 launches × 4 requests of 64 tokens, written
as the suite writes it. Each value is from a new process with the files in the page cache: `index_s` is the first read
of all records, needed once; `query_s` one metric of every cell over all runs and `query_all_s` every metric, as in
every later read; `report_s` the HTML report of the newest run. `peak_mb` is the largest of these processes.

Usage: .venv/bin/python bench/history.py [--runs N] [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from tokgate.drive.sample import Sample
from tokgate.launch.server import ServerFacts
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.machine.monitor import Monitor
from tokgate.measure.measurement import Measurement
from tokgate.store.index import INDEX
from tokgate.store.runs import RECORD, RunRecord

STEPS = {
    "index": "read_history(out)",
    "query": "history = read_history(out, metric='decode_tps'); unread = list_unreadable(out)",
    "query_all": "history = read_history(out)",
    "report": "write_report(max(out.glob('2*')), out, html=out / 'report.html')",
}
PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from tokgate.report.write import write_report
from tokgate.store.history import list_unreadable, read_history
out = Path(sys.argv[1])
history, unread = (), ()
started = time.perf_counter()
{step}
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, peak, sum(len(series.points) for series in history), len(unread)]))
"""


def write_runs(out: Path, runs: int) -> int:
    """Write runs a night apart, the newest one complete; returns the bytes of one run."""
    rng = np.random.default_rng(20261125)
    template = _template()
    size = 0
    for n in range(runs):
        at = datetime(2000, 1, 1, 2, tzinfo=UTC) + timedelta(days=n)
        kernel = f"6.{n // 100}"
        measurements = tuple(
            msgspec.structs.replace(
                measurement,
                gated={name: value * float(np.exp(rng.normal(0, 0.02))) for name, value in measurement.gated.items()},
            )
            for measurement in template.measurements
        )
        record = msgspec.structs.replace(
            template,
            run_id=f"{at:%Y%m%dT%H%M%SZ}-{n:06x}",
            started=at.isoformat(timespec="milliseconds"),
            fingerprint=template.fingerprint.merged({"kernel": Fact(kernel, Weight.MAY_DIFFER)}),
            measurements=measurements,
        )
        raw = msgspec.json.format(msgspec.json.encode(record), indent=1)
        size = len(raw)
        folder = out / record.run_id
        folder.mkdir()
        (folder / RECORD).write_bytes(raw[: size // 2] if n % 100 == 50 else raw)
    return size


def _template() -> RunRecord:
    with Monitor(server_pids=()) as monitor:
        pass
    sample = Sample(
        index=0,
        prompt_id="p",
        asked_tokens=64,
        sent_s=0.0,
        first_byte_s=0.1,
        token_times_s=tuple(0.1 + 0.0123456789 * n for n in range(64)),
        end_s=1.0,
        prompt_tokens=128,
        completion_tokens=64,
        text="word " * 64,
        status=200,
    )
    measurements = tuple(
        Measurement(
            server=server,
            workload=workload,
            launch=launch,
            started="2000-01-01T02:00:00.000+00:00",
            valid=True,
            problems=(),
            metrics={"decode_tps": 24.0, "prefill_tps": 1500.0, "ttft_s": 0.1},
            gated={"decode_tps": 24.0, "prefill_tps": 1500.0, "ttft_s": 0.1},
            facts=ServerFacts(name=server, engine="llama.cpp", base_url="http://x", model="m", startup_s=3.0),
            warmup_passes=2,
            host=monitor.report,
            client_cpu_s=0.1,
            max_lag_s=0.001,
            samples=(sample,) * 4,
        )
        for server in ("llamacpp-vulkan", "vllm-amd")
        for launch in range(1, 6)
        for workload in ("chat-c1", "chat-c8")
    )
    return RunRecord(
        run_id="",
        started="",
        ended="2000-01-01T03:00:00.000+00:00",
        tokgate="0",
        command=("pytest", "-m", "perf"),
        profile="gfx1151",
        baselines="gfx1151",
        fingerprint=Fingerprint({"gpu": Fact("gfx1151", Weight.MUST_MATCH)}),
        conditions={name: {"requests": "4"} for name in ("chat-c1", "chat-c8")},
        measurements=measurements,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument(
        "--folder", type=Path, help="write the runs there and keep them; runs that are there already are used"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one row of runs, query_s, report_s, peak_mb …")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.folder or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        if not any(out.glob(f"*/{RECORD}")):
            size = write_runs(out, options.runs)
            print(f"wrote {options.runs} runs of {size / 1e3:.0f} kB below {out}", flush=True)
        (out / INDEX).unlink(missing_ok=True)
        row: dict[str, float] = {"runs": sum(1 for _ in out.glob(f"*/{RECORD}")), "peak_mb": 0.0}
        for name, step in STEPS.items():
            program = PROGRAM.format(step=step)
            done = subprocess.run([sys.executable, "-c", program, str(out)], check=True, capture_output=True, text=True)
            seconds, peak, points, unread = json.loads(done.stdout)
            row[f"{name}_s"] = round(seconds, 3)
            row["peak_mb"] = max(row["peak_mb"], round(peak, 1))
            if name == "query":
                row |= {"points": points, "unreadable": unread}
            print(f"{name:10} {seconds:8.2f} s {peak:8.0f} MB", flush=True)
    if options.json:
        options.json.write_text(json.dumps([row], indent=1) + "\n")


if __name__ == "__main__":
    main()
