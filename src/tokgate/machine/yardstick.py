"""Yardstick: a fixed amount of CPU work, timed at each launch.

A guest cannot see that its host slows it down: no steal, no other process, the same clock. On a shared
virtual machine of two CPUs this work fell from 204 to 144 GFLOP/s for minutes, and llama.cpp's decode with
it. Such a loss of the machine is not a regression of the server.
"""

from __future__ import annotations

import time
from statistics import median

_SIZE = 512  # three matrices of 1 MB each, which fit into a core's cache
_SECONDS = 0.3  # enough products for a median, short against a launch


def measure_cpu_gflops() -> float:
    """GFLOP/s of float32 matrix products on all CPUs this process may use: the median over 0.3 s."""
    import numpy as np  # late: commands that need no arrays import this package too

    factor = np.ones((_SIZE, _SIZE), np.float32)
    product = factor @ factor  # starts the library's threads
    times = []
    ends = time.perf_counter() + _SECONDS
    while (begun := time.perf_counter()) < ends:
        np.matmul(factor, factor, out=product)
        times.append(time.perf_counter() - begun)
    return 2 * _SIZE**3 / median(times) / 1e9
