"""pytest-benchmark's JSON (`--benchmark-json`, `--benchmark-save`), that of tokgate's own suite included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tokgate._exceptions import SpecError
from tokgate.config.metric import METRIC_NAMES
from tokgate.store.importers.read import as_time, number, text_of
from tokgate.store.imports import Imported


class _Benchmark(msgspec.Struct):
    fullname: str
    stats: dict[str, Any]
    group: str | None = None
    extra_info: dict[str, Any] = {}


class _File(msgspec.Struct):
    machine_info: dict[str, Any]
    commit_info: dict[str, Any]
    benchmarks: list[_Benchmark]
    datetime: str
    version: str


def read_benchmark(file: Path) -> tuple[Imported, ...]:
    """median_s of each benchmark, and what its extra_info holds under a name of tokgate's metrics.

    The server is the project, as its commit_info names it. Raises SpecError: it is no such file.
    """
    try:
        read = msgspec.json.decode(text_of(file), type=_File)
    except msgspec.DecodeError as error:
        raise SpecError(f"is no JSON of pytest-benchmark: {error}", file=file) from error
    cpu, commit = read.machine_info.get("cpu") or {}, read.commit_info
    machine = {
        "cpu_model": cpu.get("brand_raw"),
        "cpus": cpu.get("count"),
        "node": read.machine_info.get("node"),
    }
    suspects = {
        "commit": commit.get("id"),
        "dirty": commit.get("dirty"),
        "python": read.machine_info.get("python_version"),
        "kernel": read.machine_info.get("release"),
        "pytest_benchmark": read.version,
    }
    started = as_time(read.datetime, file=file, what="`datetime`")
    return tuple(
        Imported(
            started=started,
            server=str(commit.get("project") or "unknown project"),
            workload=one.fullname,
            metric=metric,
            value=number(values, metric, file=file, what=one.fullname),
            machine={key: value for key, value in machine.items() if value is not None},
            suspects={key: value for key, value in suspects.items() if value is not None},
        )
        for one in read.benchmarks
        for values in [{"median_s": one.stats.get("median"), **one.extra_info}]
        for metric in values
        if metric == "median_s" or metric in METRIC_NAMES
    )
