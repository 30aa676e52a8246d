"""Duration: how long a launch takes by arithmetic, where no earlier run shows it.

The number of tokens is known from the workload and the text of its prompts. The rate is what somebody reported
for the server or, without a report, what the memory and the arithmetic of the chip allow, times the part of it that
engines are known to use.
"""

from __future__ import annotations

from math import ceil
from statistics import fmean

import msgspec

from tokgate import engines
from tokgate.config.server import AttachLaunch
from tokgate.config.workload import Closed, PromptSet, Workload
from tokgate.judge.plan import Source
from tokgate.measure.roofline import FLOP_PER_PARAMETER
from tokgate.suite.canary import TOKENS as CANARY_TOKENS
from tokgate.suite.plan import Case

INSTANT_S = 0.001
"""Seconds for the start of a server that is already up; plans need a time above zero."""

_DECODE_USE = 0.85
"""Of the measured bandwidth. Reported: 84 % (vLLM, FP16) and 97 % (llama.cpp, Q4_K_M); a plan must not be too short."""

_PREFILL_USE = 0.4
"""Of the measured FP16 peak: the 527 tok/s that llama-bench reports on gfx1151, of the 1,320 that the peak allows."""

_MACHINE_GBPS, _MACHINE_TFLOPS = 10.0, 0.1
"""Of a machine whose profile names no hardware: what llama.cpp was seen to use on two cores of a virtual machine."""

_MODEL_BYTES, _MODEL_PARAMETERS = 1e9, 1e9
"""Of a model whose spec states no size: small, because whoever has a large one mostly states it."""

_BYTES_PER_PARAMETER = 2
"""Of a model whose spec states the number of its parameters only: 16 bits, the most that engines serve by default."""

_WARM_UP_PASSES = 2
"""Fewer cannot agree; a machine that is quiet needs no more."""

_CHARACTERS_PER_TOKEN = 4.4
"""Of English text in the tokenizers of 2024 and later; prompts of fixtures/prompts are within 10 % of it."""

_ADDED_TOKENS = 32
"""Of the random digits before each prompt, and of the chat template."""

_LOAD_BYTES_PER_S = 1e9
"""Reading the weights: half of what an NVMe disk reads, because engines convert and copy them as well."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a server is expected to work.

    bytes_per_s: of weights and KV cache, read for decoded tokens.
    flop_per_s: of arithmetic, for prefill and for many streams.
    """

    bytes_per_s: float
    flop_per_s: float
    source: Source


def estimate_pace(case: Case, reported_tps: float | None) -> Pace:
    """reported_tps: decode rate of one stream on this server; None without a report."""
    chip = case.hardware
    bandwidth_GBps, tflops = _MACHINE_GBPS, _MACHINE_TFLOPS
    if chip is not None:
        bandwidth_GBps = chip.bandwidth_measured_GBps or chip.bandwidth_GBps or bandwidth_GBps
        tflops = chip.fp16_measured_tflops or chip.fp16_tflops or tflops
    source: Source = "assumed"
    bytes_per_s = _DECODE_USE * bandwidth_GBps * 1e9
    if reported_tps is not None:
        source, bytes_per_s = "reported", reported_tps * _read_weights(case)
    elif chip is not None and _states_size(case):
        source = "roofline"
    return Pace(bytes_per_s=bytes_per_s, flop_per_s=_PREFILL_USE * tflops * 1e12, source=source)


def estimate_startup_s(case: Case, pace: Pace) -> float:
    """Seconds from the start to the first measurement: of the engine, of its weights, and of the canary's answers."""
    if isinstance(case.server.launch, AttachLaunch):
        return INSTANT_S
    questions = len(case.canary.prompts) if case.canary else 0
    canary_s = questions * CANARY_TOKENS * _step_s(case, pace, streams=1, context=0)
    weights = case.server.model.size or _read_weights(case)
    return engines.find(case.server.engine).startup_s + weights / _LOAD_BYTES_PER_S + canary_s


def estimate_pass_s(case: Case, pace: Pace) -> float:
    """Seconds of warm-up and timed requests, in waves of one request for each stream."""
    workload = case.workload
    prompt = count_prompt_tokens(case.prompts)
    streams = workload.concurrency
    prefill_s = streams * prompt * FLOP_PER_PARAMETER * _parameters(case) / pace.flop_per_s
    step_s = _step_s(case, pace, streams=streams, context=prompt + workload.max_tokens / 2)
    wave_s = prefill_s + workload.max_tokens * step_s
    return _WARM_UP_PASSES * wave_s + _timed_s(workload, wave_s)


def count_waves(workload: Workload) -> int:
    """Waves of one request for each stream in a pass: of the warm-up, and timed."""
    return _WARM_UP_PASSES + ceil(workload.requests / workload.concurrency)


def count_prompt_tokens(prompts: PromptSet) -> float:
    """The mean number of tokens of a request's prompt, by the length of its text."""
    texts = [sum(len(message["content"]) for message in prompt.messages) for prompt in prompts.prompts]
    return fmean(texts) / _CHARACTERS_PER_TOKEN + _ADDED_TOKENS


def _timed_s(workload: Workload, wave_s: float) -> float:
    if isinstance(workload.load, Closed):
        return ceil(workload.requests / workload.load.concurrency) * wave_s
    return workload.requests / workload.load.rate_per_s + wave_s


def _step_s(case: Case, pace: Pace, *, streams: int, context: float) -> float:
    """One decoded token of each stream: the time of the memory or of the arithmetic, whichever is longer."""
    read = _read_weights(case) + streams * (case.server.model.kv_bytes_per_token or 0) * context
    return max(read / pace.bytes_per_s, streams * FLOP_PER_PARAMETER * _parameters(case) / pace.flop_per_s)


def _states_size(case: Case) -> bool:
    model = case.server.model
    return any((model.bytes_per_token, model.size, model.parameters))


def _read_weights(case: Case) -> float:
    """Bytes of weights that one decoded token reads."""
    model = case.server.model
    read = model.bytes_per_token or model.size
    return read or (_BYTES_PER_PARAMETER * model.parameters if model.parameters else _MODEL_BYTES)


def _parameters(case: Case) -> float:
    """Weights multiplied for one token."""
    model = case.server.model
    return model.parameters_per_token or model.parameters or _MODEL_PARAMETERS
