"""Measurement: the metrics of one workload on one launch of one server."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokgate.drive.sample import Sample
from tokgate.launch.server import ServerFacts
from tokgate.machine.host import HostReport


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a measurement is not valid.

    rule: a stable name.
    detail: the evidence.
    """

    rule: str
    detail: str


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What a memory bandwidth and a peak of arithmetic allow; None where the limit is unknown.

    bandwidth_GBps: memory bandwidth.
    fp16_tflops: peak of the arithmetic.
    decode_tps: decode rate of one stream.
    prefill_tps: prompt tokens per second.
    streams: number of streams at which the arithmetic takes as long as reading the weights; up to it, more
        streams cost nothing.
    """

    bandwidth_GBps: float | None
    fp16_tflops: float | None
    decode_tps: float | None
    prefill_tps: float | None
    streams: float | None


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """What a chip allows one cell: its model at the workload's context and number of streams.

    hardware: name of the chip.
    streams: number of answers generated at once.
    bytes_per_token: bytes of the weights and of the KV cache of the mean context.
    parameters_per_token: number of weights multiplied for one token; None if unknown.
    paper: the ceiling by the data sheet.
    measured: the ceiling as measured on such chips.
    """

    hardware: str
    streams: int
    bytes_per_token: float
    parameters_per_token: float | None
    paper: Ceiling
    measured: Ceiling


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """What the client adds to its values, measured with a server that records every send.

    streams: number of requests at once.
    requests: number of requests in all.
    ttft_s, itl_s: measured minus true value, seconds.
    decode_tps, output_tps: measured minus true value, as a share of the true value.
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

    answers: the answers.
    agreement: share of the stored answers' tokens that are the same; None without stored answers.
    entropy_bits: entropy per character of all answers.
    repeating: number of repetitive answers.
    right: number of correct answers to questions with a known answer.
    known: number of these questions.
    """

    answers: Answers
    agreement: float | None
    entropy_bits: float
    repeating: int
    right: int
    known: int


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One cell on one launch (the replicate).

    server, workload: names of the cell.
    launch: number of the launch, from 1.
    started: when the timed pass started; UTC, ISO 8601.
    valid: whether there are no problems.
    problems: why it is not valid.
    metrics: every metric that can be computed, for the reader: rates are medians over requests.
    gated: by gated metric, the launch's one value that verdicts are based on (see config/metric.py).
    facts: what the server says about itself.
    warmup_passes: number of warm-up passes until two agreed.
    host: what the machine did in the timed pass.
    client_cpu_s: CPU time of the client in it.
    max_lag_s: longest delay of the client's event loop in it.
    samples: the requests.
    roofline: what the chip allows this cell; None if the chip or the model is unknown.
    bias: the bias of the client at this number of streams.
    canary: what the answers to the canary questions show; None without questions.
    disturbed: why an earlier timed pass of this launch was discarded, or rounds of a duet left out; empty if none was.
    rounds: of a duet, by gated metric its value in each round that counts; the rounds are those of the other arms of
        this launch. Its samples are on a clock that stands still while another arm works.
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
    roofline: Roofline | None = None
    bias: Bias | None = None
    canary: Canary | None = None
    disturbed: tuple[Problem, ...] = ()
    rounds: dict[str, tuple[float, ...]] = {}


def collect_gated(launches: Iterable[dict[str, float]]) -> dict[str, tuple[float, ...]]:
    """By gated metric, the values of the launches that have one. launches: `gated` of each."""
    values: dict[str, tuple[float, ...]] = {}
    for gated in launches:
        for name, value in gated.items():
            values[name] = (*values.get(name, ()), value)
    return values
