"""JSON of pytest-benchmark (`--benchmark-json`, `--benchmark-save`), including that of tokgate's own suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tokgate._exceptions import SpecError
from tokgate.config.metric import METRIC_NAMES
from tokgate.store.importers import Importer
from tokgate.store.importers._read import as_fact, parse_number, parse_time, read_text
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
    """Read median_s of each benchmark, and the metrics of tokgate in its extra_info.

    The server is the project, as its commit_info names it. Raises SpecError: the file is not of this format.
    """
    try:
        read = msgspec.json.decode(read_text(file), type=_File)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SpecError(f"not recognized as JSON of pytest-benchmark: {error}", file=file) from error
    cpu, commit = read.machine_info.get("cpu"), read.commit_info
    if not isinstance(cpu, dict):  # older versions write a text, or nothing
        cpu = {}
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
    started = parse_time(read.datetime, file=file, what="`datetime`")
    return tuple(
        Imported(
            started=started,
            server=str(commit.get("project") or "unknown project"),
            workload=benchmark.fullname,
            metric=metric,
            value=parse_number(values, metric, file=file, what=benchmark.fullname),
            machine={key: as_fact(value) for key, value in machine.items() if value is not None},
            suspects={key: as_fact(value) for key, value in suspects.items() if value is not None},
        )
        for benchmark in read.benchmarks
        for values in [{"median_s": benchmark.stats.get("median"), **benchmark.extra_info}]
        for metric in values
        if metric == "median_s" or metric in METRIC_NAMES
    )


IMPORTER = Importer(read_benchmark)
