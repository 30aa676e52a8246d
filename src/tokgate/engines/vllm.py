"""vLLM. Sources: its documentation (OpenAI-compatible server, engine arguments, metrics), its release notes and,
for log lines, what vLLM 0.29 and 0.32 were seen to write."""

from __future__ import annotations

import re

from tokgate.engines.engine import Counters, Engine, KnownFailure, LogFormat, Removed, owned_by

_CONFIG = re.compile(r"LLM engine \(v\S+\) with config: (.+)")
_NESTED = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]")
_ITEM = re.compile(r"(?:^|, )(\w+)=('[^']*'|[^,']+)")
_STATED = {
    "max_num_batched_tokens": re.compile(r"\bmax_num_batched_tokens=(\d+)"),
    "kv_cache_tokens": re.compile(r"KV cache size: ([\d,]+) tokens"),
    "max_concurrency": re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x"),
    "attention_backend": re.compile(r"Using (\S+(?: Attention)?) backend"),
    "non_default_args": re.compile(r"non-default args: (\{.*\})"),
}


def read_log(log: str) -> dict[str, str]:
    """Setting → value as the log of a start states them, which no endpoint does; empty when it states none.

    Nested settings are left out; they follow from the image and the arguments.
    """
    settings: dict[str, str] = {}
    if config := _CONFIG.search(log):
        settings = {key: value.strip("'") for key, value in _ITEM.findall(_drop_brackets(config[1]))}
    for key, pattern in _STATED.items():
        if stated := pattern.search(log):
            settings[key] = stated[1].replace(",", "") if key == "kv_cache_tokens" else stated[1]
    return settings


def _drop_brackets(text: str) -> str:
    """`text` without everything in brackets, and so without the items inside."""
    while (shorter := _NESTED.sub("", text)) != text:
        text = shorter
    return text


ENGINE = Engine(
    name="vllm",
    marks=(owned_by("vllm"),),
    info=("/version",),
    read_log=read_log,
    fixed_length={"ignore_eos": True},
    free_length={"ignore_eos": False},
    # With usage in every chunk it is known how many tokens the first one held.
    stream_options={"include_usage": True, "continuous_usage_stats": True},
    rename="--served-model-name",
    # Imports, torch.compile and the capture of graphs; the CPU build took 36 s without compiling and 3 minutes with it.
    startup_s=240.0,
    reserves_memory=True,  # --gpu-memory-utilization, 0.9 by default
    # vLLM names a wrong option only after all of its imports, at the end of hundreds of lines of usage.
    help=("--help=all",),
    removed=(
        Removed(
            option="--swap-space",
            since=(0, 18, 0),
            instead="remove it and its value; it had no effect since the V1 engine",
        ),
        Removed(option="--disable-log-requests", since=(0, 17, 0), instead="write --no-enable-log-requests"),
    ),
    counters=Counters(
        prompt_tokens="vllm:prompt_tokens_total",
        generation_tokens="vllm:generation_tokens_total",
        ttft="vllm:time_to_first_token_seconds",
        decode="vllm:request_decode_time_seconds",
        # Its TTFT leaves out its front end, which reads and tokenizes a request and writes the answer: 2 to
        # 25 ms with 1 to 8 streams, on two cores that the engine used as well.
        front_end_s=0.05,
    ),
    failures=(
        KnownFailure(
            r"no available memory for the cache|is less than desired GPU memory utilization"
            r"|larger than the available KV cache memory"
            r"|larger than the maximum number of tokens that can be stored in KV cache",
            "not enough memory for the KV cache: try a shorter context (--max-model-len), a smaller model, a "
            "--gpu-memory-utilization that fits the free memory, or more GTT for the GPU (ttm.pages_limit)",
        ),
        KnownFailure(
            r"failed to infer device type",
            "the engine sees no GPU: give it `launch.devices` (/dev/kfd, /dev/dri) and `launch.device_groups: true`",
        ),
    ),
    log=LogFormat(
        # (EngineCore pid=7) ERROR 01-31 09:30:00 [core.py:7]; the level is stripped as in every log
        prefix=r"\([A-Z]\w* (?:\w+=\d+ ?)+\) ?|\d\d-\d\d [\d:]+ (?:\[[^\]]*:\d+\] )?",
        consequence=r"engine core initialization failed|enginecore failed to start|see root cause above"
        r"|WorkerProc initialization failed",
    ),
)
