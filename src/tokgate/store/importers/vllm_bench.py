"""`vllm bench serve --save-result`: one JSON object, or one per line with --append-result (vllm/benchmarks/serve.py)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from tokgate._exceptions import SpecError
from tokgate.machine.fingerprint import Value
from tokgate.store.importers import Importer
from tokgate.store.importers._read import iterate_json, parse_number, parse_time, read_text
from tokgate.store.imports import Imported

# By tokgate's metric: its key, and the factor to our unit. TTFT and ITL are medians over requests, as in tokgate.
_METRICS = {
    "output_tps": ("output_throughput", 1.0),
    "ttft_s": ("median_ttft_ms", 1e-3),
    "tpot_s": ("median_tpot_ms", 1e-3),
    "itl_s": ("median_itl_ms", 1e-3),
    "itl_p99_s": ("p99_itl_ms", 1e-3),
    "goodput_rps": ("request_goodput", 1.0),
}
_CONDITIONS = (
    "endpoint_type",
    "num_prompts",
    "request_rate",
    "burstiness",
    "max_concurrency",
    "total_input_tokens",
)


def read_vllm_bench(file: Path) -> tuple[Imported, ...]:
    """Read the values of each result; a result with failed requests is not valid.

    Texts that the user added with --metadata are suspects. Raises SpecError: the file is not of this format.
    """
    results: list[Imported] = []
    for result in iterate_json(read_text(file), file=file):
        for entry in result if isinstance(result, list) else [result]:
            results += _read_result(file, len(results) + 1, entry)
    if not results:
        raise SpecError("has no result of `vllm bench serve --save-result`", file=file)
    return tuple(results)


def _read_result(file: Path, place: int, result: Any) -> list[Imported]:
    if not isinstance(result, dict) or not {"model_id", "date", "output_throughput"} <= result.keys():
        raise SpecError(
            f"result {place} is not a result of `vllm bench serve --save-result`: expected `model_id`, `date` and "
            "`output_throughput`",
            file=file,
        )
    what = f"result {place}"
    users, rate = result.get("max_concurrency"), result.get("request_rate", "inf")
    wanted, done = result.get("num_prompts"), result.get("completed")
    conditions = {key: str(result[key]) for key in _CONDITIONS if result.get(key) is not None}
    suspects: dict[str, Value] = {
        key: value
        for key, value in result.items()
        if isinstance(value, str) and key not in (*_CONDITIONS, "date", "model_id")
    }
    return [
        Imported(
            started=parse_time(_date(result["date"]), file=file, what=what),
            server=str(result["model_id"]),
            workload=" ".join(["serve", *([f"c{users}"] if users else []), f"rate {rate}"]),
            metric=metric,
            value=parse_number(result, key, file=file, what=what) * factor,
            conditions=conditions,
            suspects=suspects,
            valid=done is None or done == wanted,
        )
        for metric, (key, factor) in _METRICS.items()
        if result.get(key) is not None
    ]


def _date(text: object) -> object:
    """vLLM's `20260131-120000` as ISO 8601, without a zone; anything else unchanged."""
    try:
        return datetime.strptime(str(text), "%Y%m%d-%H%M%S").isoformat()
    except ValueError:
        return text


IMPORTER = Importer(read_vllm_bench)
