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


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair of limits allows; None where the limit behind it is not known.

    decode_tps: one stream; prefill_tps: prompt tokens a second; streams: how many at once until the
    arithmetic takes as long as the reading, below which more users cost nothing.
    """

    bandwidth_GBps: float | None
    fp16_tflops: float | None
    decode_tps: float | None
    prefill_tps: float | None
    streams: float | None


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """What a chip allows one cell: its model at the workload's context and number of streams.

    bytes_per_token: weights and the KV cache of the mean context; parameters_per_token: multiplied for one
    token, None where the model does not say. paper, measured: as on the data sheet, as seen on such chips.
    """

    hardware: str
    streams: int
    bytes_per_token: float
    parameters_per_token: float | None
    paper: Ceiling
    measured: Ceiling


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """What the client added to its figures at so many streams, seen against a server of known sends.

    ttft_s, itl_s: seconds more than the truth; decode_tps, output_tps: share of the truth more (+) or less.
    """

    streams: int
    requests: int
    ttft_s: float
    itl_s: float
    decode_tps: float
    output_tps: float


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """A model's greedy answers to the canary questions.

    model: id of the model.
    engine: name of the engine.
    prompts_sha256: hash of the questions' file.
    texts: answers by question id.
    """

    model: str
    engine: str
    prompts_sha256: str
    texts: dict[str, str]


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of one launch show.

    agreement: share of the stored answers' tokens that came again, None where none are stored.
    entropy_bits: of all answers' characters; repeating: answers that go round in circles.
    right, known: questions with a known answer that got it, and how many there are.
    """

    answers: Answers
    agreement: float | None
    entropy_bits: float
    repeating: int
    right: int
    known: int


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One cell on one launch (the replicate).

    metrics: medians over requests, in the units of the metric's name.
    gated: by gated metric, the launch's one value that enters the statistics: the geometric mean
    over requests of a rate, the median of ttft_s, the whole of output_tps.
    roofline: what the chip allows this cell, None where chip or model are not known.
    warmup_passes: how many passes it took until two agreed.
    cpu_gflops: the yardstick just before, where the CPU makes the tokens.
    host: what the machine did meanwhile; client_cpu_s, max_lag_s: what the client itself cost.
    bias: what the client adds at this number of streams; canary: what the model answers on this launch,
    None where no questions are declared.
    disturbed: why an earlier timed pass on this launch counts for nothing, and this one was made instead.
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
    cpu_gflops: float | None = None
    host: HostReport
    client_cpu_s: float
    max_lag_s: float
    samples: tuple[Sample, ...]
    roofline: Roofline | None = None
    bias: Bias | None = None
    canary: Canary | None = None
    disturbed: tuple[Problem, ...] = ()
