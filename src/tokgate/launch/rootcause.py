"""The line of a log that explains why a server ended, and what to do about it. Pure.

The last line seldom explains: engines end with a summary such as "Engine core initialization failed", and
the cause is dozens of lines above it. So known causes are searched for first, then the first exception.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

import msgspec

from tokgate.engines import ENGINES
from tokgate.engines.engine import Engine, KnownFailure


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The line without its logger's prefix, and what to do about it.

    explains: False when no line speaks of an error, and `line` is merely the last (empty for an empty log).
    """

    line: str
    hint: str = ""
    explains: bool = True


# For every engine, most specific first: a log often holds the consequences of its cause as well.
_GENERAL = (
    KnownFailure(
        r"insufficient space in /dev/shm|/dev/shm.*(no space|too small)|no space left on device.*shm"
        r"|insufficient shared memory|unable to (open|write to|allocate) shared memory",
        "the container's /dev/shm is too small: raise `launch.shm_size`, or set `launch.ipc: host`",
    ),
    KnownFailure(
        r"unrecognized arguments|invalid choice|error: (argument|the following arguments)|invalid argument: -"
        r"|unknown argument|error while handling argument",
        "this version of the engine does not accept that argument: compare `launch.args` with its --help",
    ),
    KnownFailure(
        r"address already in use|errno 98|couldn't bind|failed to bind|cannot assign requested address",
        "another program listens on that port: stop it, or change `launch.port`",
    ),
    KnownFailure(
        r"out of memory|outofmemory|ErrorOut(Of)?(Device|Host)Memory|hipErrorOutOfMemory|MemoryError"
        r"|cannot allocate memory|failed to allocate|unable to allocate",
        "not enough memory: try a shorter context, fewer sequences, a smaller model, or more GTT for the GPU "
        "(ttm.pages_limit); check which other programs hold memory",
    ),
    KnownFailure(
        r"NoBinaryForGpu|invalid device function|no kernel image is available|INVALID_ISA|TensileLibrary"
        r"|unsupported (gpu )?arch|no such gfx",
        "the image has no kernels for this GPU: use an image built for its gfx version",
    ),
    KnownFailure(
        r"unable to open /dev/(kfd|dri)|/dev/(kfd|dri)\S*.*(permission denied|no such file)"
        r"|no (HIP|CUDA) GPUs are available|no ROCm-capable device|hipErrorNoDevice"
        r"|ErrorIncompatibleDriver|no vulkan devices",
        "the engine sees no GPU: give it `launch.devices` (/dev/kfd, /dev/dri) and `launch.device_groups: true`; NVIDIA: `launch.gpus: all`",
    ),
    KnownFailure(
        r"error while loading shared libraries|cannot open shared object file",
        "a system library is missing where the engine runs: install its package (libgomp.so.1: libgomp1)",
    ),
    KnownFailure(
        r"no such file or directory|FileNotFoundError",
        "a file is not where the server looks: compare `launch.args` with `launch.volumes`",
    ),
    KnownFailure(
        r"Repository ?Not ?Found|GatedRepo|401 Client Error|403 Client Error|LocalEntryNotFound"
        r"|outgoing traffic has been disabled|couldn't connect to .*huggingface|not a valid model identifier",
        "the model is not on this machine and could not be fetched: download it once, and mount its folder",
    ),
    KnownFailure(
        r"hip ?error|hipError\w+|rocBLAS error|HSA_STATUS_ERROR|memory access fault by GPU|vk::\w*Error"
        r"|ErrorDeviceLost|ROCm error|CUDA error",
        "the GPU's driver or runtime failed: see `dmesg`, and whether driver, ROCm or Mesa changed",
    ),
    KnownFailure(r"exec format error", "the image is built for another processor architecture"),
    KnownFailure(
        r"illegal instruction|segmentation fault|terminate called after|what\(\):",
        "the engine itself crashed: report this line and the version to its project",
    ),
    KnownFailure(
        r"permission denied",
        "no permission to read a file or device: check its owner and `launch.device_groups`",
    ),
)


def _any_of(*patterns: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern), flags)


_LOGS = [engine.log for engine in ENGINES]
_LOOKED_AT = 2000  # characters of a line: patterns take long on one that a program made on purpose
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PREFIX = _any_of(r"(?:ERROR|CRITICAL|FATAL)\b:?\s*", *(log.prefix for log in _LOGS))
_HARMLESS = _any_of(r"(?:INFO|DEBUG|WARNING|WARN)\b", *(log.harmless for log in _LOGS))
_ERROR = _any_of(r"\b(?:error|fatal|critical)\b", *(log.error for log in _LOGS), flags=re.IGNORECASE)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception)\b(: .*)?$")
_CONSEQUENCE = _any_of(*(log.consequence for log in _LOGS), flags=re.IGNORECASE)


def find_root_cause(lines: Iterable[str], engine: Engine) -> Cause:
    """The explaining line among `lines` (oldest first) of a log.

    Known causes of its own engine come first, then those of all engines, then those of the others: a server
    may run another engine than the one its spec names.
    """
    written = [(line, text) for line in lines if (text := _clean(line))]
    suspects = [(line, text) for line, text in written if not _HARMLESS.match(text)]
    others = (failure for other in ENGINES if other is not engine for failure in other.failures)
    for failure in (*engine.failures, *_GENERAL, *others):
        pattern = re.compile(failure.pattern, re.IGNORECASE)
        for _, text in suspects:
            if pattern.search(text):
                return Cause(line=text, hint=failure.hint)
    exceptions = [text for _, text in suspects if _EXCEPTION.match(text)]
    errors = [text for line, text in suspects if _ERROR.search(line)]
    for candidates in (exceptions, errors):
        for text in [text for text in candidates if not _CONSEQUENCE.search(text)] or candidates[:1]:
            return Cause(line=text)
    return Cause(line=written[-1][1] if written else "", explains=False)


def describe_exit(code: int | None) -> str:
    """An exit code in plain text: signals by name, whether as -9 (process) or 137 (container)."""
    if code is None:
        return "exit code unknown"
    number = -code if code < 0 else code - 128
    names = {item.value: item.name for item in signal.Signals}
    if number not in names:
        return f"exit code {code}"
    why = {"SIGKILL": ", perhaps by the kernel for lack of memory", "SIGILL": ", built for another processor"}
    return f"exit code {code}: {names[number]}{why.get(names[number], '')}"


def _clean(line: str) -> str:
    line = _ESCAPES.sub("", line[:_LOOKED_AT]).strip()
    while (prefix := _PREFIX.match(line)) and prefix.end():
        line = line[prefix.end() :].strip()
    return line
