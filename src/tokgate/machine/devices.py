"""The GPUs of this box, AMD's and NVIDIA's, and which of them a process uses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokgate.machine.amd import find_amd_gpus
from tokgate.machine.gpu import Gpu
from tokgate.machine.nvidia import find_nvidia_gpus
from tokgate.machine.processes import find_family, read_open_files, read_processes
from tokgate.machine.sysfs import ROOT


def find_gpus(root: Path = ROOT) -> tuple[Gpu, ...]:
    """All GPUs that can be read, AMD's first; empty when there are none."""
    # NVML knows no other root: it always describes the machine that it runs on.
    return (*find_amd_gpus(root), *(find_nvidia_gpus() if root == ROOT else ()))


def find_gpu_of(pids: Iterable[int], gpus: Iterable[Gpu], root: Path = ROOT) -> Gpu | None:
    """The first of `gpus` that these processes, or their descendants, hold open.

    None when they hold none, and when this user cannot see their files.
    """
    opened = {file for pid in find_family(read_processes(root), pids) for file in read_open_files(pid, root)}
    return next((gpu for gpu in gpus if gpu.device_node and str(gpu.device_node) in opened), None)
