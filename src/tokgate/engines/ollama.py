"""Ollama. Source: its documentation (OpenAI compatibility; API: version).

It has no field that makes an answer go on after its end: `max_tokens` is an upper limit, and a timed answer that
ends earlier makes its launch invalid. Use prompts with long answers.
"""

from __future__ import annotations

from tokgate.engines.engine import Engine, Mark

ENGINE = Engine(
    name="ollama",
    marks=(Mark(path="/", value="Ollama is running"),),
    # Other servers (llama.cpp, SGLang, Lemonade, …) imitate its API, so they are tried first.
    rank=1,
    health="/api/version",
    # No settings: a model is loaded by the first request, and facts are read before it.
    info=("/api/version",),
)
