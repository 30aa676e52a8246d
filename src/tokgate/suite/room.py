"""Room: whether a server fits next to others that are alive, each held idle while another works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import psutil

from tokgate._exceptions import PortTaken
from tokgate.config.server import AttachLaunch, DockerLaunch, ServerSpec
from tokgate.config.words import format_size
from tokgate.launch.port import move_port
from tokgate.launch.server import Server
from tokgate.machine.gpu import Gpu
from tokgate.suite.passes import find_gpu

SPARE = 1.15
"""Memory that must be free, relative to what the largest server in place uses: the arms may differ a little in their
settings, and the client needs some, too."""


class NoRoom(Exception):
    """Servers do not fit next to each other, for the reason that is the message."""


def make_room(spec: ServerSpec, beside: Sequence[Server]) -> ServerSpec:
    """The spec to start next to others: on another port, where one of them has its own.

    beside: the servers that are alive; without any, everything fits.
    Raises NoRoom: a server that cannot be held idle, memory or a port is in the way, or how much memory is free
    cannot be read.
    """
    if not beside:
        return spec
    for server in beside:
        if server.freezer is None and not server.facts.pids:
            raise NoRoom(f"{server.spec.name} cannot be held idle: its processes cannot be seen from this machine")
    if isinstance(spec.launch, AttachLaunch):
        return spec
    for kind, needed, free in _read_memory(beside):
        if needed is None or free is None:
            raise NoRoom(f"how much {kind} is free, or how much {beside[0].spec.name} uses, cannot be read")
        if needed * SPARE > free:
            raise NoRoom(f"{spec.name} needs about {format_size(needed)} of {kind}, and {format_size(free)} is free")
    taken = [server.spec.launch.port for server in beside if isinstance(server.spec.launch, DockerLaunch)]
    try:
        return move_port(spec, taken=taken)
    except PortTaken as error:
        raise NoRoom(str(error)) from None


def _read_memory(beside: Sequence[Server]) -> Iterator[tuple[str, float | None, float | None]]:
    """By kind of memory: what one more server needs, as much as the largest in place, and what is free, in bytes."""
    yield "memory", max(_resident_bytes(server.facts.pids or ()) for server in beside), _free_bytes()
    if (gpu := find_gpu(beside[0])) is not None:
        used, free = _gpu_bytes(gpu)
        yield "GPU memory", None if used is None else used / len(beside), free


def _resident_bytes(pids: Iterable[int]) -> float:
    """Of the processes and their descendants. Pages that they share count once for each: rather too much."""
    total = 0
    for pid in pids:
        with suppress(psutil.Error):
            head = psutil.Process(pid)
            for process in (head, *head.children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
    return total


def _free_bytes() -> float:
    return float(psutil.virtual_memory().available)


def _gpu_bytes(gpu: Gpu) -> tuple[float | None, float | None]:
    """Used and free bytes of its pools together; of an APU's pool in the system's memory at most what is free there."""
    readers, size = gpu.make_readers(), gpu.read_memory()
    vram_used = readers["gpu_vram_used_bytes"]()
    if vram_used is None or size.vram_total is None:
        return None, None
    free = size.vram_total - vram_used
    if size.gtt_total is None:
        return vram_used, free
    gtt_used = readers["gpu_gtt_used_bytes"]() or 0.0
    return vram_used + gtt_used, free + min(size.gtt_total - gtt_used, _free_bytes())
