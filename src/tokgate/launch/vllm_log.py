"""What vLLM states of its engine configuration, which no endpoint tells. Pure."""

from __future__ import annotations

import re

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


def vllm_settings(log: str) -> dict[str, str]:
    """Setting → value as the log of a start states them; empty when it states none.

    Nested settings are left out; they follow from the image and the arguments.
    """
    settings: dict[str, str] = {}
    if config := _CONFIG.search(log):
        settings = {key: value.strip("'") for key, value in _ITEM.findall(_flat(config[1]))}
    for key, pattern in _STATED.items():
        if stated := pattern.search(log):
            settings[key] = stated[1].replace(",", "") if key == "kv_cache_tokens" else stated[1]
    return settings


def _flat(text: str) -> str:
    """`text` without what stands in brackets, and so without the items inside."""
    while (shorter := _NESTED.sub("", text)) != text:
        text = shorter
    return text
