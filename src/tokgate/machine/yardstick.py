"""Yardstick: a fixed piece of CPU work, timed beside each launch.

A guest cannot see that its host slowed it down: no steal, no other process, the same clock. On a shared
virtual machine of two CPUs this work was seen to fall from 204 to 144 GFLOP/s for minutes, unannounced,
and llama.cpp's decode with it. What the machine lost is not the server's regression.
"""

from __future__ import annotations

import time
from statistics import median

_SIZE = 512  # three matrices of 1 MB: they stay in a core's cache
_SECONDS = 0.3


def cpu_gflops() -> float:
    """GFLOP/s of float32 matrix products on all CPUs this process may use: the median over 0.3 s."""
    import numpy as np  # the machine room is read by commands that need no arrays

    factor = np.ones((_SIZE, _SIZE), np.float32)
    product = factor @ factor  # starts the library's threads
    times = []
    ends = time.perf_counter() + _SECONDS
    while (begun := time.perf_counter()) < ends:
        np.matmul(factor, factor, out=product)
        times.append(time.perf_counter() - begun)
    return 2 * _SIZE**3 / median(times) / 1e9
