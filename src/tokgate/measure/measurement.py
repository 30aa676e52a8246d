"""Measurement: the metrics of one workload on one launch of one server."""

from __future__ import annotations

import msgspec

from tokgate.drive.sample import Sample
from tokgate.launch.server import ServerFacts
from tokgate.machine.host import HostReport


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a measurement is not valid. rule: a stable name; detail: the evidence, in words."""

    rule: str
    detail: str


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One cell on one launch (the replicate).

    metrics: medians over requests, in the units of the metric's name.
    gated: by gated metric, the launch's one value that enters the statistics: the geometric mean
    over requests of a rate, the median of ttft_s, the whole of output_tps.
    warmup_passes: how many passes it took until two agreed.
    host: what the machine did meanwhile; client_cpu_s, max_lag_s: what the client itself cost.
    """

    server: str
    workload: str
    launch: int
    started: str
    valid: bool
    problems: tuple[Problem, ...]
    metrics: dict[str, float]
    gated: dict[str, float]
    facts: ServerFacts
    warmup_passes: int
    host: HostReport
    client_cpu_s: float
    max_lag_s: float
    samples: tuple[Sample, ...]
