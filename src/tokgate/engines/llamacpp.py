"""llama.cpp's own server, in a container or embedded. Source: llama.cpp, tools/server/README.md; log lines as
its builds of 2025 and 2026 were seen to write them."""

from __future__ import annotations

from tokgate.engines.engine import Engine, KnownFailure, LogFormat, owned_by

ENGINE = Engine(
    name="llama.cpp",
    marks=(owned_by("llamacpp"),),
    info=("/props",),
    version="build_info",
    settings=(
        "default_generation_settings.n_ctx",
        "n_ctx",
        "total_slots",
        "model_alias",
        "model_ftype",
        "model_path",
        "build_info",
    ),
    body={"cache_prompt": False},
    fixed_length={"ignore_eos": True},
    free_length={"ignore_eos": False},
    # It ends a connection after each stream without announcing it: a request on a pooled one could fail.
    headers={"Connection": "close"},
    rename="--alias",
    startup_s=2.0,  # it compiles nothing; embedded on two cores it took 0.9 s, weights of 98 MB included
    # No `help`: it names a wrong option in its first tenth of a second. No `counters`: `timings` in the last
    # event of each answer says more.
    failures=(
        KnownFailure(
            r"failed to open GGUF",
            "the model file is not where the server looks: compare `launch.args` with `launch.volumes`",
        ),
        KnownFailure(
            r"invalid magic|failed to read key-value pairs|unknown model architecture|tensor .* out of bounds"
            r"|data is not within the file bounds|corrupted or incomplete",
            "the model file is damaged, cut short, or newer than this engine: check its sha256, or update the image",
        ),
        KnownFailure(
            r"GGML_ASSERT",
            "the engine itself crashed: report this line and the version to its project",
        ),
    ),
    log=LogFormat(
        prefix=r"[\d.]+ E (?:\w+ {2,})?",  # time, level and short component
        harmless=r"[\d.]+ [IDW] ",
        error=r"^[\d.]+ E ",
        consequence=r"exiting due to|failed to (load|init)( the)? (model|server)\b|error loading model",
    ),
)
