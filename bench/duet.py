#!/usr/bin/env python3
"""How often a duet finds a planted slowdown while another process comes and goes, and what a stored baseline would say.

    .venv/bin/python bench/duet.py [--runs 10] [--planted 0,0.05,0.1] [--workload chat-c1] [--json FILE]

Both arms are the same container; the candidate's process is stopped for the planted share of the time. Meanwhile
another process keeps one CPU busy for some seconds, again and again. Each run is what `pytest -m perf
--tokgate-against` does. The stored baseline is the reference arm of the first run, and each run's candidate is compared
with it as with any baseline, with the rules for a quiet host (`stored_invalid`). Needs Docker and the image of
ci/images.sh; a run takes two to five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from simulated import Silence

from tokgate.config.catalogue import Catalogue
from tokgate.config.quiet import QuietLimits
from tokgate.config.server import ServerSpec
from tokgate.engines.specs import open_catalogue
from tokgate.judge.cell import Cell, CellKey, Reference
from tokgate.judge.gate import judge
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.launch.server import Server
from tokgate.measure.measurement import Measurement
from tokgate.measure.quiet import check_host
from tokgate.store.runs import RunWriter, new_run_folder
from tokgate.suite.against import Against
from tokgate.suite.live import Live
from tokgate.suite.plan import Opponent, RunPlan, plan_run
from tokgate.suite.record import make_first_record

SERVER, OPPONENT, CANDIDATE = "llamacpp-cpu", "llamacpp-cpu/unchanged", "llamacpp-cpu/candidate"
BUSY_S, IDLE_S = (2.0, 6.0), (4.0, 16.0)
"""The other process is busy for so long, and then idle for so long."""

PERIOD_S = 0.25  # of stopping and continuing: longer than either takes


COME_AND_GO = """
import os, random, sys, time
seed, parent = int(sys.argv[1]), sys.argv[2]
busy, idle = [float(text) for text in sys.argv[3:5]], [float(text) for text in sys.argv[5:7]]
draw = random.Random(seed)
while os.path.exists("/proc/" + parent):
    until = time.monotonic() + draw.uniform(*busy)
    while time.monotonic() < until:
        sum(range(10_000))
    time.sleep(draw.uniform(*idle))
"""

STOP_AND_GO = """
import os, signal, sys, time
parent, share, period_s, pids = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), [int(pid) for pid in sys.argv[4:]]
while os.path.exists("/proc/" + parent):
    for number, part in ((signal.SIGSTOP, share), (signal.SIGCONT, 1 - share)):
        for pid in pids:
            os.kill(pid, number)
        time.sleep(part * period_s)
"""


@contextmanager
def run_beside(program: str, *arguments: object) -> Iterator[None]:
    """Run a program that is not one of ours to the monitor: the shell ends at once, and the program belongs to init."""
    shell = ["sh", "-c", '"$0" -c "$@" >/dev/null 2>&1 & echo $!', sys.executable, program, *map(str, arguments)]
    pid = int(subprocess.run(shell, capture_output=True, text=True, check=True).stdout)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class SlowedLive(Live):
    """Stops the candidate's processes for a share of the time, as long as they live."""

    def __init__(self, writer: RunWriter, share: float) -> None:
        super().__init__(writer, observer=Silence())
        self._share, self._slowing = share, ExitStack()

    def start_together(self, specs: Mapping[str, ServerSpec], launch: int) -> dict[str, Server]:
        servers = super().start_together(specs, launch)
        slowed = [
            pid for server in servers.values() if server.spec.name == CANDIDATE for pid in server.facts.pids or ()
        ]
        if self._share:
            self._slowing.enter_context(run_beside(STOP_AND_GO, os.getpid(), self._share, PERIOD_S, *slowed))
        return servers

    def stop(self) -> None:
        self._slowing.close()
        super().stop()


def make_plan(catalogue: Catalogue, workload: str) -> RunPlan:
    """The server against itself; a field that changes nothing tells the arms apart, because equal arms are refused."""
    plan = plan_run(catalogue, profile="container")
    declared = next(case for case in plan.cases if case.workload.name == workload)
    other = msgspec.structs.replace(
        declared.server, name=OPPONENT, request={**declared.server.request, "user": "unchanged"}
    )
    opponent = Opponent(label="unchanged", cases={SERVER: (msgspec.structs.replace(declared, server=other),)})
    return msgspec.structs.replace(plan, cases=(declared,), opponent=opponent)


def run(
    plan: RunPlan, folder: Path, planted: float, seed: int
) -> tuple[dict[str, Verdict], tuple[Measurement, ...], float]:
    """The verdicts by metric, the measurements of both arms, and the seconds that it took."""
    path = new_run_folder(folder)
    writer = RunWriter(path, make_first_record(plan, run_id=path.name, command=()))
    case = plan.cases[0]
    keys = [CellKey(SERVER, case.workload.name, metric) for metric in case.workload.gated]
    began = time.monotonic()
    beside = run_beside(COME_AND_GO, seed, os.getpid(), *BUSY_S, *IDLE_S)
    with beside, SlowedLive(writer, planted) as live:
        against = Against(plan, live, keys, goes_on=lambda: True)
        verdicts = {key.metric: against.verdict(key) for key in keys}
    return verdicts, writer.record.measurements, time.monotonic() - began


def judge_stored(plan: RunPlan, now: Sequence[Measurement], then: Sequence[Measurement]) -> Outcome:
    """What the gate would say of the candidate's decode rate against a stored baseline."""
    case = plan.cases[0]
    tolerance, promise = case.limits("decode_tps")
    disturbed = next((problem for run in now for problem in check_host(run.host, QuietLimits())), None)
    cell = Cell(
        server=SERVER,
        workload=case.workload.name,
        metric="decode_tps",
        current=tuple(run.gated["decode_tps"] for run in now),
        reference=Reference(kind="launches", values=tuple(run.gated["decode_tps"] for run in then), label="baseline"),
        invalid=None if disturbed is None else disturbed.detail,
        tolerance=tolerance,
        promise=promise,
    )
    (verdict,) = judge([cell], family=len(case.workload.gated))
    return verdict.outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--planted", default="0,0.05,0.1", help="shares of the time for which the candidate is stopped")
    parser.add_argument("--workload", default="chat-c1")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    catalogue = open_catalogue(Path(__file__).parents[1] / "fixtures")
    rows: list[dict[str, Any]] = []
    baseline: list[Measurement] = []
    with tempfile.TemporaryDirectory() as name:
        for planted in map(float, options.planted.split(",")):
            plan = make_plan(catalogue, options.workload)
            outcomes: Counter[str] = Counter()
            seconds: list[float] = []
            for number in range(options.runs):
                verdicts, measurements, took_s = run(plan, Path(name), planted, seed=number)
                now = [run for run in measurements if run.server == CANDIDATE]
                baseline = baseline or [run for run in measurements if run.server == OPPONENT]
                outcomes_here = {verdict.outcome for verdict in verdicts.values()}
                outcomes["regressed"] += Outcome.REGRESSED in outcomes_here
                outcomes["passed"] += outcomes_here <= {Outcome.PASS, Outcome.IMPROVED}
                outcomes[f"stored_{judge_stored(plan, now, baseline)}"] += 1
                seconds.append(round(took_s, 1))
                decode = verdicts["decode_tps"]
                print(
                    f"planted {planted:.0%}, run {number + 1}: {decode.outcome}, {decode.launches} launch pairs, "
                    f"{took_s:.0f} s: {decode.reason}",
                    file=sys.stderr,
                    flush=True,
                )
                row: dict[str, Any] = {"planted": planted, "runs": number + 1, "regressed": outcomes["regressed"]}
                row |= {"passed": outcomes["passed"], "seconds": seconds}
                row |= {what: count for what, count in outcomes.items() if what.startswith("stored")}
                if options.json:
                    options.json.write_text(json.dumps([*rows, row], indent=1) + "\n")
            rows.append(row)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
