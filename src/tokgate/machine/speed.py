"""Speed: how fast this machine's CPUs read memory, measured in about a second.

The roofline of a run whose profile names no chip. What a probe reaches is not a limit: it ran at one moment, and a
model that fits into the caches is read faster than memory is. Arithmetic is not probed: a matrix product in FP32 says
little about prefill, which engines compute in 8 bits for quantized weights.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tokgate.config.hardware import PROBED, Hardware
from tokgate.machine.cores import count_usable_cores
from tokgate.machine.sysfs import parse_int, read_text

_SECONDS = 0.3  # enough repetitions for the best of them, short against a launch

_LEAST_BYTES, _MOST_BYTES = 256 * 10**6, 1024 * 10**6
"""To read: more than the caches of a desktop, and no more than can be filled in a fraction of a second."""

_CACHES = 2
"""How many times the size of the caches is read. A cache that keeps what was used last then holds nothing of the next
round."""

_CPUS = Path("/sys/devices/system/cpu")


def probe_speed() -> Hardware:
    """This machine as a chip without limits on paper. Takes about a second, and up to 1 GB of memory."""
    return Hardware(
        name=PROBED,
        description="what the CPUs of this machine reach",
        source="probed before the first launch: the best rate at which all cores read memory",
        bandwidth_measured_GBps=measure_bandwidth(),
    )


def measure_bandwidth() -> float:
    """The best rate at which all usable cores together read memory, GB/s (10^9 bytes per second)."""
    import numpy as np  # late: commands that need no arrays import this package too

    cores = count_usable_cores()
    size = min(max(_LEAST_BYTES, _CACHES * read_cache_bytes()), _MOST_BYTES, psutil.virtual_memory().available // 4)
    with ThreadPoolExecutor(cores) as pool:
        # Each thread fills its own part, so that the part is in the memory next to the thread's core.
        parts = list(pool.map(lambda _: np.ones(size // cores // 8, np.int64), range(cores)))
        # The maximum is the reduction of numpy that computes least for each byte; it holds no lock meanwhile.
        best_s, until_s = math.inf, time.perf_counter() + _SECONDS
        while (begun := time.perf_counter()) < until_s:
            list(pool.map(np.max, parts))
            best_s = min(best_s, time.perf_counter() - begun)
    return sum(part.nbytes for part in parts) / best_s / 1e9


def read_cache_bytes(cpus: Path = _CPUS) -> int:
    """The size of all last-level caches together; 0 where the kernel does not say."""
    caches: dict[tuple[int, str], int] = {}
    for index in cpus.glob("cpu[0-9]*/cache/index[0-9]*"):
        level, shared, size = (read_text(index / name) for name in ("level", "shared_cpu_list", "size"))
        number, size_kB = parse_int(level), parse_int((size or "").removesuffix("K"))
        if number is not None and shared is not None and size_kB is not None:
            caches[number, shared] = size_kB * 1024
    last = max((level for level, _ in caches), default=0)
    return sum(size for (level, _), size in caches.items() if level == last)
