"""SGLang. Sources: its documentation (Native APIs, Production Metrics, Server Arguments, Troubleshooting and FAQ) and
the request fields of its OpenAI-compatible server (sglang/srt/entrypoints/openai/protocol.py)."""

from __future__ import annotations

from tokgate.engines.engine import Counters, Engine, KnownFailure, LogFormat, owned_by

ENGINE = Engine(
    name="sglang",
    marks=(owned_by("sglang"),),
    # Renamed: older versions have only the second.
    info=("/server_info", "/get_server_info"),
    settings=(
        "model_path",
        "dtype",
        "quantization",
        "kv_cache_dtype",
        "context_length",
        "max_total_num_tokens",
        "max_running_requests",
        "mem_fraction_static",
        "chunked_prefill_size",
        "disable_radix_cache",
        "attention_backend",
        "tp_size",
    ),
    fixed_length={"ignore_eos": True},
    free_length={"ignore_eos": False},
    stream_options={"include_usage": True, "continuous_usage_stats": True},
    rename="--served-model-name",
    reserves_memory=True,  # --mem-fraction-static
    startup_s=90.0,  # imports and the capture of graphs, as vLLM's, without compiling
    # No `help`: its images run any command, so that their arguments begin with a program.
    # Only totals are compared: where its histograms start and stop was not yet seen on a real server. Its page
    # of counters exists only with --enable-metrics.
    counters=Counters(prompt_tokens="sglang:prompt_tokens_total", generation_tokens="sglang:generation_tokens_total"),
    failures=(
        KnownFailure(
            r"out of memory|outofmemory|mem[-_]fraction[-_]static",
            "not enough memory: lower --mem-fraction-static, --chunked-prefill-size or --max-running-requests, "
            "shorten --context-length, or give the GPU more GTT (ttm.pages_limit)",
        ),
    ),
    log=LogFormat(prefix=r"\[\d{4}-\d\d-\d\d [\d:]+(?: \w+)*\] "),  # [2026-01-31 09:30:00 TP0]
)
