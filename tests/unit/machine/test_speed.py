"""The probe of this machine: how much it reads to be beyond the caches, and that it gives rates."""

from __future__ import annotations

from pathlib import Path

from tokgate.machine.speed import probe_speed, read_cache_bytes


def cache(root: Path, cpu: int, index: int, *, level: int, shared: str, size: str) -> None:
    folder = root / f"cpu{cpu}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, value in (("level", str(level)), ("shared_cpu_list", shared), ("size", size)):
        (folder / name).write_text(f"{value}\n")


def test_last_level_caches_are_counted_once(tmp_path: Path) -> None:
    """Two dies with an L3 each, which their CPUs share; smaller caches do not count."""
    for cpu, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        cache(tmp_path, cpu, 0, level=1, shared=str(cpu), size="48K")
        cache(tmp_path, cpu, 3, level=3, shared=shared, size="32768K")
    assert read_cache_bytes(tmp_path) == 64 * 2**20
    assert read_cache_bytes(tmp_path / "absent") == 0


def test_probe_gives_measured_limits_only() -> None:
    """What the probe reaches is not a limit on paper."""
    speed = probe_speed()
    assert speed.bandwidth_measured_GBps is not None
    assert speed.bandwidth_measured_GBps > 0
    assert speed.bandwidth_GBps is None
