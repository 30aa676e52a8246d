"""llama-swap, a proxy that starts the server of the requested model. Sources: its README (endpoints) and
config.example.yaml; its handler of /api/version (proxy/proxymanager_api.go).

It passes a request on as it is; the fields are those of llama.cpp, for which it was made, and `ignore_eos` is also
that of vLLM and SGLang. To measure without the proxy, attach to its /upstream/MODEL.
"""

from __future__ import annotations

from tokgate.engines.engine import Engine, owned_by

ENGINE = Engine(
    name="llama-swap",
    marks=(owned_by("llama-swap"),),
    info=("/api/version",),
    body={"cache_prompt": False},
    fixed_length={"ignore_eos": True},
    free_length={"ignore_eos": False},
    rename="a key of `models`, or of its `aliases`, in config.yaml",
)
