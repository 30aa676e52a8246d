"""The settings that vLLM states in its log."""

from __future__ import annotations

from tokgate.engines.vllm import read_log

LOG = """\
(APIServer pid=1) INFO 09-12 22:43:11 [api_utils.py:286] non-default args: {'model_tag': '/snap', 'seed': 7}
(APIServer pid=1) INFO 09-12 22:43:21 [scheduler.py:277] Chunked prefill is enabled with max_num_batched_tokens=8192.
(EngineCore pid=9) INFO 09-12 22:43:30 [core.py:123] Initializing a V1 LLM engine (v0.29.0) with config: model='/snap, new', \
speculative_config=None, dtype=torch.float16, max_seq_len=4096, quantization=awq, enforce_eager=False, \
structured_outputs_config=StructuredOutputsConfig(backend='auto', disable_fallback=False), \
enable_prefix_caching=False, compilation_config={'mode': 3, 'sizes': [1, 2], 'graph': <Mode.FULL: (2, 1)>, 'x=y': 1}, kv_cache_dtype=auto
(EngineCore pid=9) INFO 09-12 22:43:40 [rocm.py:250] Using Triton backend on V1 engine.
(EngineCore pid=9) INFO 09-12 22:43:50 [kv_cache_utils.py:1087] GPU KV cache size: 267,760 tokens
(EngineCore pid=9) INFO 09-12 22:43:50 [kv_cache_utils.py:1091] Maximum concurrency for 4,096 tokens per request: 65.37x
"""


def test_settings_from_log() -> None:
    """The engine config, and what follows from the memory it found, are read."""
    settings = read_log(LOG)
    assert settings["model"] == "/snap, new"
    assert settings["dtype"] == "torch.float16"
    assert settings["quantization"] == "awq"
    assert settings["enable_prefix_caching"] == "False"
    assert settings["kv_cache_dtype"] == "auto"
    assert settings["max_num_batched_tokens"] == "8192"
    assert settings["kv_cache_tokens"] == "267760"
    assert settings["max_concurrency"] == "65.37"
    assert settings["attention_backend"] == "Triton"
    assert settings["non_default_args"] == "{'model_tag': '/snap', 'seed': 7}"


def test_nested_settings_are_left_out() -> None:
    """A key inside a nested setting is not taken for one of the engine."""
    settings = read_log(LOG)
    assert not {"backend", "disable_fallback", "mode", "y"} & set(settings)


def test_log_without_settings() -> None:
    assert read_log("INFO starting\n") == {}
