"""Made nights of a box with a GPU: requests on a seeded schedule, judged by the real gate and experiment code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.config.workload import Closed, Workload
from tokgate.drive.sample import Sample
from tokgate.judge.blocks import Block
from tokgate.judge.cell import Cell, Reference
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.hypothesis import decide, judge_failed_arm
from tokgate.launch.server import ServerFacts
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.machine.host import Culprit, HostReport, Level
from tokgate.measure.measurement import Answers, Bias, Canary, Measurement
from tokgate.measure.metrics import Pass, compute_gated, compute_metrics
from tokgate.measure.roofline import compute_roofline
from tokgate.store.files import write_atomically
from tokgate.store.runs import RECORD, RunRecord

BOX = Hardware(name="gfx1151", description="", source="", bandwidth_GBps=256, fp16_tflops=59.4)
SERVERS = {"vllm-fp16": 6.4, "llamacpp-q4": 24.0}
WORKLOADS = {"chat-c1": 1.0, "depth-c1": 0.8}
START = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)


ANSWERS = Answers(model="m", engine="vllm", prompts_sha256="abc", texts={"capital": "Paris"})


class Box:
    """A box whose nights are made: `night(3)` is a complete run, the same every time."""

    def night(self, day: int, *, speed: dict[str, float] | None = None, kernel: str = "6.17") -> RunRecord:
        """speed: by server, what its figures are multiplied with."""
        draw = np.random.default_rng(day)
        started = START + timedelta(days=day)
        run_id = f"{started:%Y%m%dT%H%M%SZ}-{day:06x}"
        taken = [
            self._measurement(draw, started, server, workload, launch, (speed or {}).get(server, 1.0))
            for server in SERVERS
            for launch in (1, 2, 3)
            for workload in WORKLOADS
        ]
        fingerprint = Fingerprint(
            {
                "gpu": Fact("gfx1151", Weight.MUST_MATCH),
                "kernel": Fact(kernel, Weight.MAY_DIFFER),
                "bios": Fact(None, Weight.MAY_DIFFER),
            }
        )
        return RunRecord(
            run_id=run_id,
            started=started.isoformat(timespec="milliseconds"),
            ended=(started + timedelta(minutes=42)).isoformat(timespec="milliseconds"),
            tokgate="0.1.0",
            command=("pytest", "-m", "perf"),
            profile="gfx1151",
            baselines="gfx1151",
            fingerprint=fingerprint,
            conditions={name: {"requests": "4"} for name in WORKLOADS},
            hypotheses=HYPOTHESES,
            not_checked=("the mi300x figures: this machine has no mi300x",),
            measurements=tuple(taken),
            verdicts=(*self._gates(draw, taken), *self._experiments(draw)),
        )

    def _measurement(
        self, draw: Any, started: datetime, server: str, workload: str, launch: int, speed: float
    ) -> Measurement:
        rate = SERVERS[server] * WORKLOADS[workload] * speed * draw.lognormal(0, 0.01)
        samples, clock = [], 0.0
        for index in range(4):
            first = clock + 0.3 * draw.lognormal(0, 0.05)
            tokens = first + np.cumsum(draw.lognormal(0, 0.05, 47) / rate)
            times = (first, *(float(one) for one in tokens))
            samples.append(
                Sample(
                    index=index,
                    prompt_id="p",
                    asked_tokens=48,
                    sent_s=clock,
                    first_byte_s=first,
                    token_times_s=times,
                    end_s=times[-1],
                    prompt_tokens=300,
                    cached_tokens=0,
                    completion_tokens=48,
                    text="words " * 48,
                )
            )
            clock = times[-1] + 0.01
        load = Workload(
            name=workload, description="", prompts="p", requests=4, max_tokens=48, load=Closed(concurrency=1)
        )
        seconds = range(max(2, int(clock)))
        timeline = {
            "gpu_sclk_MHz": tuple(2900 - 100 * draw.random() for _ in seconds),
            "gpu_power_W": tuple(110 + 8 * draw.random() for _ in seconds),
            "gpu_temp_C": tuple(70 + 0.1 * at for at in seconds),
            "others_cores": tuple(round(0.1 * draw.random(), 3) for _ in seconds),
        }
        minutes = list(SERVERS).index(server) * 20 + launch * 6 + list(WORKLOADS).index(workload) * 3
        size = 27_980_000_000 if server == "vllm-fp16" else 8_550_000_000
        timed = Pass(samples, streams=load.concurrency, bytes_per_token=size)
        return Measurement(
            server=server,
            workload=workload,
            launch=launch,
            started=(started + timedelta(minutes=minutes)).isoformat(timespec="milliseconds"),
            valid=True,
            problems=(),
            metrics=compute_metrics(timed),
            gated=compute_gated(timed, load),
            facts=ServerFacts(
                name=server,
                engine="vllm" if server.startswith("vllm") else "llama.cpp",
                base_url="http://127.0.0.1:8000",
                model="qwen2.5-14b",
                engine_version="1.0",
                startup_s=42.0,
                log_path=f"/tmp/anywhere/logs/{server}-{launch}.log",
            ),
            warmup_passes=2,
            roofline=compute_roofline(BOX, bytes_per_token=size, parameters_per_token=13_990_000_000, streams=1),
            bias=Bias(streams=1, requests=8, ttft_s=0.0015, itl_s=1e-6, decode_tps=-2e-4, output_tps=1e-4),
            canary=Canary(answers=ANSWERS, agreement=0.9, entropy_bits=4.1, repeating=0, right=1, known=1),
            host=HostReport(
                duration_s=clock,
                cpus=32,
                others_cores=0.05,
                culprit=Culprit(name="backup", pid=77, cores=0.06, processes=1),
                steal=None,
                pressure={},
                swapped_bytes=0,
                throttled={},
                governor=None,
                levels={key: Level(low=min(v), mean=sum(v) / len(v), high=max(v)) for key, v in timeline.items()},
                at_s=tuple(float(at) for at in seconds),
                timeline=timeline,
                unknown=("governor", "steal"),
                monitor_cores=0.001,
            ),
            client_cpu_s=0.1,
            max_lag_s=0.001,
            samples=tuple(samples),
        )

    def _gates(self, draw: Any, taken: list[Measurement]) -> list[Any]:
        cells = []
        for server, rate in SERVERS.items():
            for workload, part in WORKLOADS.items():
                mine = [one for one in taken if (one.server, one.workload) == (server, workload)]
                usual = {"decode_tps": rate * part, "ttft_s": 0.3, "prefill_tps": 1000.0}
                cells += [
                    Cell(
                        server=server,
                        workload=workload,
                        metric=metric,
                        current=tuple(one.gated[metric] for one in mine),
                        reference=Reference(
                            kind="launches",
                            values=tuple(value * draw.lognormal(0, 0.01) for _ in range(10)),
                            label="baseline of 2026-02-01 (run x, 10 launches)",
                        ),
                        invalid=None,
                        tolerance=0.03 if metric == "decode_tps" else 0.08,
                        promise=0.05 if metric == "decode_tps" else 0.12,
                    )
                    for metric, value in usual.items()
                ]
        verdicts = zip(cells, judge(cells), strict=True)
        return [
            confirm(one, cell.add_launch(float(np.mean(cell.current)))) if needs_confirmation(one) else one
            for cell, one in verdicts
        ]

    def _experiments(self, draw: Any) -> list[Any]:
        def block(ratio: float) -> Block:
            a, b, c, d = (float(one) for one in draw.lognormal(0, 0.01, 4))
            return Block(arms=("a", "b"), values=(10 * a, 10 * ratio * b, 10 * ratio * c, 10 * d))

        shm, batch, small, _ = HYPOTHESES
        return [
            decide(shm, [block(1.0) for _ in range(3)]),
            decide(batch, [block(1.9) for _ in range(3)]),
            judge_failed_arm(small, "a", root_cause="Insufficient space in /dev/shm: 160 MiB required, 64 MiB free"),
        ]


def _hypothesis(name: str, title: str, claim: Claim, **more: Any) -> Hypothesis:
    return Hypothesis(
        name=name,
        title=title,
        source="the owner's analysis, test 1",
        workload="chat-c1",
        claim=claim,
        rival="bandwidth bounds both",
        a=Arm(server="vllm-fp16"),
        b=Arm(server="vllm-fp16", override={"x": 1}),
        **more,
    )


HYPOTHESES = (
    _hypothesis("shm-size", "16 GiB of /dev/shm beat 64 MiB", Claim(metric="decode_tps", above=1.2)),
    _hypothesis("batch-c16", "A large batch wins at 16 users", Claim(metric="output_tps", above=1.2)),
    _hypothesis("shm-tiny", "64 MiB are too little", Claim(fails="a", cause="/dev/shm"), status="confirmed"),
    _hypothesis("awq-fp16", "AWQ decodes 2 to 3 times as fast", Claim(metric="decode_tps", above=2, below=3)),
)


@pytest.fixture(scope="session")
def box() -> Box:
    return Box()


@pytest.fixture(scope="session")
def slow_night(box: Box) -> RunRecord:
    """Night 11, on which llamacpp-q4 lost 15 % after a new kernel."""
    return box.night(11, speed={"llamacpp-q4": 0.85}, kernel="6.18")


@pytest.fixture(scope="session")
def runs(box: Box, slow_night: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve nights."""
    out = tmp_path_factory.mktemp("runs")
    for record in (*(box.night(day) for day in range(11)), slow_night):
        keep(out, record)
    return out


def keep(out: Path, record: RunRecord) -> Path:
    """Put a record where a run would have."""
    write_atomically(out / record.run_id / RECORD, msgspec.json.encode(record))
    return out / record.run_id


@pytest.fixture(scope="session")
def put() -> Callable[[Path, RunRecord], Path]:
    return keep
