"""The explaining line is found wherever it is, in logs as engines write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.engines import ENGINES, FALLBACK, find
from tokgate.engines.engine import Engine
from tokgate.launch.rootcause import describe_exit, find_root_cause

WORKER = "(Worker pid=61) ERROR 11-02 10:00:09 [multiproc_executor.py:866] "
CORE = "(EngineCore pid=44) ERROR 11-02 10:00:10 [core.py:1010] "
API = "(APIServer pid=1) "

# A start with 64 MB of shared memory: the cause, then dozens of lines of what followed from it.
VLLM_SHM = f"""\
{API}INFO 11-02 10:00:01 [api_utils.py:286] non-default args: {{'model_tag': '/models/llama', 'port': 8000}}
{API}WARNING 11-02 10:00:02 [cpu.py:90] Environment variable VLLM_CPU_KVCACHE_SPACE is not set, 4 GiB is used.
(EngineCore pid=44) INFO 11-02 10:00:05 [core.py:105] Initializing a V1 LLM engine (v0.32.0) with config: model='/models/llama'
{CORE}EngineCore failed to start.
{CORE}Traceback (most recent call last):
{CORE}  File "/opt/vllm/v1/engine/core.py", line 999, in run_engine_core
{CORE}    engine_core = EngineCoreProc(*args, **kwargs)
{CORE}  File "/opt/vllm/distributed/device_communicators/shm_broadcast.py", line 210, in __init__
{CORE}    raise RuntimeError(
{CORE}RuntimeError: Insufficient space in /dev/shm for the message queue: 160 MiB required, 64 MiB free
(EngineCore pid=44) Process EngineCore:
(EngineCore pid=44) Traceback (most recent call last):
""" + "\n".join(
    [
        *(f'{API}  File "/opt/vllm/entrypoints/openai/api_server.py", line {n}, in build' for n in range(60)),
        f"{API}RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{}}",
    ]
)

LLAMA_MISSING = """\
0.00.000.240 I srv          init: initializing ...
0.00.002.483 W srv          init: security: no API key is set and CORS allows all origins
0.00.004.044 I srv    load_model: loading model '/models/x.gguf'
0.00.004.244 E gguf_init_from_file: failed to open GGUF file '/models/x.gguf' (No such file or directory)
0.00.004.342 E llama_model_load: error loading model: llama_model_loader: failed to load model from /models/x.gguf
0.00.004.344 E llama_model_load_from_file_impl: failed to load model
0.00.004.347 E srv    load_model: failed to load model, '/models/x.gguf'
0.00.004.627 E srv          init: exiting due to model loading error"""

CASES = {
    "vLLM, /dev/shm too small": (
        VLLM_SHM,
        "RuntimeError: Insufficient space in /dev/shm for the message queue: 160 MiB required, 64 MiB free",
        "shm_size",
    ),
    "vLLM, a flag that was removed": (
        "usage: vllm serve [model_tag] [options]\n"
        "vllm serve: error: unrecognized arguments: --swap-space 16 --disable-log-requests",
        "vllm serve: error: unrecognized arguments: --swap-space 16 --disable-log-requests",
        "--help",
    ),
    "vLLM, out of memory in a worker": (
        f"{WORKER}torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.19 GiB. GPU 0 has 96 GiB\n"
        f"{CORE}RuntimeError: WorkerProc initialization failed due to an exception\n"
        f"{API}RuntimeError: Engine core initialization failed. See root cause above.",
        "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.19 GiB. GPU 0 has 96 GiB",
        "ttm.pages_limit",
    ),
    "vLLM, memory promised that is not free": (
        f"{CORE}ValueError: Free memory on device (3.2/4.0 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 3.6 GiB).",
        "ValueError: Free memory on device (3.2/4.0 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 3.6 GiB).",
        "memory",
    ),
    "vLLM, no GPU in the container": (
        f"{API}RuntimeError: Failed to infer device type, please set the environment variable",
        "RuntimeError: Failed to infer device type, please set the environment variable",
        "/dev/kfd",
    ),
    "a chip without kernels": (
        "rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: for GPU arch : gfx1151\n"
        "Aborted (core dumped)",
        "rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: for GPU arch : gfx1151",
        "gfx version",
    ),
    "llama.cpp, no such model": (
        LLAMA_MISSING,
        "gguf_init_from_file: failed to open GGUF file '/models/x.gguf' (No such file or directory)",
        "launch.volumes",
    ),
    "llama.cpp, a damaged model": (
        "0.00.003.780 E gguf_init_from_reader: invalid magic characters: 'garb', expected 'GGUF'\n"
        "0.00.003.881 E llama_model_load: error loading model: llama_model_loader: failed to load model from x",
        "gguf_init_from_reader: invalid magic characters: 'garb', expected 'GGUF'",
        "sha256",
    ),
    "llama.cpp, Vulkan out of device memory": (
        "ggml_vulkan: Device memory allocation of size 9126805504 failed.\n"
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory\n"
        "llama_model_load: error loading model: unable to allocate Vulkan0 buffer",
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        "memory",
    ),
    "llama.cpp, an unknown argument": (
        "error: invalid argument: --swap-space",
        "error: invalid argument: --swap-space",
        "--help",
    ),
    "a port in use": (
        "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
        "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
        "launch.port",
    ),
    "a library that is not installed": (
        "Traceback (most recent call last):\n"
        "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory",
        "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory",
        "libgomp1",
    ),
    "an exception nobody knows, and its consequence": (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n'
        "pkg.errors.OddError: the moon is full\n"
        "During handling of the above exception, another exception occurred:\n"
        "Traceback (most recent call last):\n"
        "RuntimeError: cannot go on",
        "pkg.errors.OddError: the moon is full",
        "",
    ),
    "an error that is no exception": ("starting\nFATAL: tea is cold\nbye", "tea is cold", ""),
}


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize(("log", "line", "hint"), CASES.values(), ids=CASES)
def test_root_cause(log: str, line: str, hint: str, engine: Engine) -> None:
    """The explaining line is found, with its hint, whichever engine the spec names."""
    cause = find_root_cause(log.splitlines(), engine)
    assert cause.line == line
    assert cause.explains
    assert hint in cause.hint
    assert bool(cause.hint) == bool(hint)


def test_own_causes_come_first() -> None:
    """A line that the engine's own table and the general one explain has the hint of the engine's own."""
    line = "gguf_init_from_file: failed to open GGUF file 'x' (No such file or directory)"
    assert find_root_cause([line], find("llama.cpp")).hint.startswith("the model file")
    assert find_root_cause([line], find("vllm")).hint.startswith("a file")


def test_colors_do_not_hide_it() -> None:
    line = "\x1b[31mERROR\x1b[0m 01-31 09:30:00 [a.py:7] ValueError: no"
    assert find_root_cause([line], FALLBACK).line == "ValueError: no"


def test_log_without_an_error() -> None:
    """It ends with its last line, and an empty one with nothing."""
    assert not find_root_cause(["listening", "", "  "], FALLBACK).explains
    assert find_root_cause(["listening", "", "  "], FALLBACK).line == "listening"
    assert find_root_cause([], FALLBACK).line == ""


HARMLESS = st.sampled_from(
    [
        "INFO 11-02 10:00:01 [model.py:7] Using max model len 4096",
        f"{API}WARNING 11-02 10:00:02 [x.py:1] out of memory is handled by swapping",
        "0.00.000.240 I srv          init: no such file or directory is no problem",
        "0.00.000.240 W srv          init: address already in use, trying again",
        '  File "/opt/x.py", line 3, in f',
        "",
    ]
)


@given(before=st.lists(HARMLESS), after=st.lists(HARMLESS), case=st.sampled_from(sorted(CASES)))
def test_harmless_lines_change_nothing(before: list[str], after: list[str], case: str) -> None:
    log, line, _ = CASES[case]
    assert find_root_cause([*before, *log.splitlines(), *after], FALLBACK).line == line


@given(st.lists(st.text()))
def test_the_cause_is_a_line_of_the_log(lines: list[str]) -> None:
    cause = find_root_cause(lines, FALLBACK)
    assert cause.explains or not cause.hint
    assert not cause.line or any(cause.line in line or "\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (-9, "exit code -9: SIGKILL, perhaps by the kernel for lack of memory"),
        (137, "exit code 137: SIGKILL, perhaps by the kernel for lack of memory"),
        (139, "exit code 139: SIGSEGV"),
        (None, "exit code unknown"),
    ],
)
def test_exit_codes_as_text(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
