"""The line of a log that explains why a server ended, and what to do about it. Pure.

The last line seldom explains: engines end with a summary such as "Engine core initialization failed", and
the cause stands dozens of lines higher. So known causes are looked for first, then the first exception.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

import msgspec


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The line without its logger's prefix, and what to do about it.

    explains: False when no line speaks of an error, and `line` is merely the last (empty for an empty log).
    """

    line: str
    hint: str = ""
    explains: bool = True


# Most specific first: a log often holds the consequences of its cause as well.
_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (
            r"insufficient space in /dev/shm|/dev/shm.*(no space|too small)|no space left on device.*shm"
            r"|insufficient shared memory|unable to (open|write to|allocate) shared memory",
            "the container's /dev/shm is too small: raise `launch.shm_size`, or set `launch.ipc: host`",
        ),
        (
            r"unrecognized arguments|invalid choice|error: (argument|the following arguments)|invalid argument: -"
            r"|unknown argument|error while handling argument",
            "this version of the engine does not take that argument: compare `launch.args` with its --help",
        ),
        (
            r"address already in use|errno 98|couldn't bind|failed to bind|cannot assign requested address",
            "something else listens on that port: end it, or change `launch.port`",
        ),
        (
            r"out of memory|outofmemory|ErrorOut(Of)?(Device|Host)Memory|hipErrorOutOfMemory|MemoryError"
            r"|cannot allocate memory|failed to allocate|unable to allocate|no available memory for the cache"
            r"|is less than desired GPU memory utilization|larger than the available KV cache memory"
            r"|larger than the maximum number of tokens that can be stored in KV cache",
            "not enough memory: a shorter context, fewer sequences, a smaller model, or more GTT for the GPU "
            "(ttm.pages_limit); see what else holds memory",
        ),
        (
            r"NoBinaryForGpu|invalid device function|no kernel image is available|INVALID_ISA|TensileLibrary"
            r"|unsupported (gpu )?arch|no such gfx",
            "the image has no kernels for this GPU: use an image built for its gfx version",
        ),
        (
            r"unable to open /dev/(kfd|dri)|/dev/(kfd|dri)\S*.*(permission denied|no such file)"
            r"|no (HIP|CUDA) GPUs are available|no ROCm-capable device|hipErrorNoDevice"
            r"|failed to infer device type|ErrorIncompatibleDriver|no vulkan devices",
            "the engine sees no GPU: give it `launch.devices` (/dev/kfd, /dev/dri) and `launch.device_groups: true`",
        ),
        (
            r"error while loading shared libraries|cannot open shared object file",
            "a system library is missing where the engine runs: install its package (libgomp.so.1: libgomp1)",
        ),
        (
            r"failed to open GGUF|no such file or directory|FileNotFoundError",
            "a file is not where the server looks: compare `launch.args` with `launch.volumes`",
        ),
        (
            r"invalid magic|failed to read key-value pairs|unknown model architecture|tensor .* out of bounds"
            r"|data is not within the file bounds|corrupted or incomplete",
            "the model file is damaged, cut short, or newer than this engine: check its sha256, or update the image",
        ),
        (
            r"Repository ?Not ?Found|GatedRepo|401 Client Error|403 Client Error|LocalEntryNotFound"
            r"|outgoing traffic has been disabled|couldn't connect to .*huggingface|not a valid model identifier",
            "the model is not on this machine and could not be fetched: download it once, and mount its folder",
        ),
        (
            r"hip ?error|hipError\w+|rocBLAS error|HSA_STATUS_ERROR|memory access fault by GPU|vk::\w*Error"
            r"|ErrorDeviceLost|ROCm error|CUDA error",
            "the GPU's driver or runtime failed: see `dmesg`, and whether driver, ROCm or Mesa changed",
        ),
        (r"exec format error", "the image is built for another processor architecture"),
        (
            r"illegal instruction|GGML_ASSERT|segmentation fault|terminate called after|what\(\):",
            "the engine itself crashed: this line and the version belong in a report to its project",
        ),
        (r"permission denied", "a file or device may not be read: see its owner and `launch.device_groups`"),
    )
)
_GENERIC = re.compile(
    r"engine core initialization failed|enginecore failed to start|see root cause above|exiting due to"
    r"|failed to (load|init)( the)? (model|server)\b|error loading model|WorkerProc initialization failed",
    re.IGNORECASE,
)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception)\b(: .*)?$")
_ERROR = re.compile(r"\b(error|fatal|critical)\b|^[\d.]+ E ", re.IGNORECASE)

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HARMLESS = re.compile(r"(INFO|DEBUG|WARNING|WARN)\b|[\d.]+ [IDW] ")
_PREFIX = re.compile(
    r"\([A-Z]\w* (?:\w+=\d+ ?)+\) ?"  # (EngineCore pid=7)
    r"|(?:ERROR|CRITICAL|FATAL)\b:?\s*(?:\d\d-\d\d [\d:]+ )?(?:\[[^\]]*:\d+\] )?"  # ERROR 01-31 09:30:00 [core.py:7]
    r"|[\d.]+ E (?:\w+ {2,})?"  # llama.cpp's time, level and short component
)


def root_cause(lines: Iterable[str]) -> Cause:
    """The explaining line among `lines` of a log, oldest first."""
    said = [(line, text) for line in lines if (text := _clean(line))]
    suspects = [(line, text) for line, text in said if not _HARMLESS.match(text)]
    for pattern, hint in _KNOWN:
        for _, text in suspects:
            if pattern.search(text):
                return Cause(line=text, hint=hint)
    exceptions = [text for _, text in suspects if _EXCEPTION.match(text)]
    errors = [text for line, text in suspects if _ERROR.search(line)]
    for found in (exceptions, errors):
        for text in [text for text in found if not _GENERIC.search(text)] or found[:1]:
            return Cause(line=text)
    return Cause(line=said[-1][1] if said else "", explains=False)


def exit_words(code: int | None) -> str:
    """An exit code as a person reads it: signals by name, whether as -9 (process) or 137 (container)."""
    if code is None:
        return "exit code unknown"
    number = -code if code < 0 else code - 128
    names = {item.value: item.name for item in signal.Signals}
    if number not in names:
        return f"exit code {code}"
    why = {"SIGKILL": ", perhaps by the kernel for lack of memory", "SIGILL": ", built for another processor"}
    return f"exit code {code}: {names[number]}{why.get(names[number], '')}"


def _clean(line: str) -> str:
    line = _ESCAPES.sub("", line).strip()
    while (prefix := _PREFIX.match(line)) and prefix.end():
        line = line[prefix.end() :].strip()
    return line
