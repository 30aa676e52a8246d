"""Lemonade Server, which runs llama.cpp, FastFlowLM or ONNX Runtime. Source: its documentation (Server Spec: health,
models, chat completions).

It hands a request on to the engine behind it, so the fields are llama.cpp's. Where that engine ignores them an answer
may end early, and its launch is then invalid.
"""

from __future__ import annotations

from tokgate.engines.engine import Engine, owned_by

ENGINE = Engine(
    name="lemonade",
    marks=(owned_by("lemonade"),),
    health="/v1/health",
    # No settings: a model is loaded by the first request, and facts are read before it.
    info=("/v1/health",),
    body={"cache_prompt": False},
    fixed_length={"ignore_eos": True},
    free_length={"ignore_eos": False},
    # llama.cpp behind it ends a connection after each stream; a new one opens before a request counts as sent.
    headers={"Connection": "close"},
)
