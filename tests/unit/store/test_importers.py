"""Other tools' files become figures, or an error that names the place."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate._exceptions import RecordError, SpecError, UsageError
from tokgate.store.history import read_history
from tokgate.store.importers.csv import read_csv
from tokgate.store.importers.llama_bench import read_llama_bench
from tokgate.store.importers.pytest_benchmark import read_benchmark
from tokgate.store.importers.vllm_bench import read_vllm_bench
from tokgate.store.imports import Imported, write_import
from tokgate.store.runs import find_run, read_run


def llama_row(**changes: Any) -> dict[str, Any]:
    """One result, with the fields llama-bench writes (its README)."""
    return {
        "build_commit": "8cf427ff",
        "build_number": 5163,
        "cpu_info": "AMD Ryzen 7 7800X3D 8-Core Processor",
        "gpu_info": "NVIDIA GeForce RTX 4080",
        "backends": "CUDA",
        "model_filename": "models/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
        "model_type": "qwen2 7B Q4_K - Medium",
        "model_size": 4677120000,
        "model_n_params": 7615616512,
        "n_batch": 2048,
        "n_threads": 8,
        "type_k": "f16",
        "n_gpu_layers": 99,
        "flash_attn": False,
        "no_host": False,
        "n_prompt": 512,
        "n_gen": 0,
        "n_depth": 0,
        "test_time": "2025-04-24T11:58:50Z",
        "avg_ns": 72135640,
        "stddev_ns": 1453752,
        "avg_ts": 7100.002165,
        "stddev_ts": 140.341520,
    } | changes


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps([row | {"samples_ts": [1.0, 2.0], "samples_ns": [1, 2]} for row in rows], indent=2)


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row | {"samples_ts": [1.0]}) + "\n" for row in rows)


def plain(value: Any) -> str:
    return str(int(value) if isinstance(value, bool) else value)


def as_csv(rows: list[dict[str, Any]]) -> str:
    lines = [",".join(rows[0])]
    for row in rows:
        quoted = (plain(value).replace('"', '""') for value in row.values())
        lines.append(",".join(f'"{value}"' for value in quoted))
    return "\n".join(lines) + "\n"


def as_sql(rows: list[dict[str, Any]]) -> str:
    """Values are quoted whatever their type, as llama-bench does."""
    kinds = {str: "TEXT", int: "INTEGER", bool: "INTEGER", float: "REAL"}
    fields = ",\n".join(f"  {key} {kinds[type(value)]}" for key, value in rows[0].items())
    text = f"CREATE TABLE IF NOT EXISTS llama_bench (\n{fields}\n);\n\n"
    for row in rows:
        values = ", ".join("'" + plain(value).replace("'", "''") + "'" for value in row.values())
        text += f"INSERT INTO llama_bench ({', '.join(row)}) VALUES ({values});\n"
    return text


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
llama_rows = st.lists(
    st.builds(
        llama_row,
        gpu_info=names,
        model_filename=names.map(lambda name: f"models/{name.replace('/', '')}x.gguf"),
        flash_attn=st.booleans(),
        n_batch=st.integers(1, 8192),
        n_prompt=st.sampled_from([0, 512]),
        n_gen=st.sampled_from([128, 32]),
        n_depth=st.sampled_from([0, 4096]),
        avg_ts=st.floats(0.01, 1e5).map(lambda value: round(value, 6)),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=50)
@given(rows=llama_rows)
def test_llama_bench_formats_agree(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.mktemp("llama")
    read = []
    for written in (as_json(rows), as_jsonl(rows), as_csv(rows), as_sql(rows)):
        file = folder / "results"
        file.write_text(written, encoding="utf-8")
        read.append(read_llama_bench(file))
    assert read[0] == read[1] == read[2] == read[3]
    assert [one.value for one in read[0]] == [row["avg_ts"] for row in rows]


def test_llama_bench_result(tmp_path: Path) -> None:
    """A result has its settings, machine and build."""
    file = tmp_path / "bench.json"
    file.write_text(as_json([llama_row(), llama_row(n_prompt=0, n_gen=128, n_depth=4096, avg_ts=118.9)]))
    prefill, decode = read_llama_bench(file)
    assert prefill == Imported(
        started="2025-04-24T11:58:50.000+00:00",
        server="Qwen2.5-7B-Instruct-Q4_K_M",
        workload="pp512",
        metric="prefill_tps",
        value=7100.002165,
        conditions={
            "n_batch": "2048",
            "n_threads": "8",
            "type_k": "f16",
            "n_gpu_layers": "99",
            "flash_attn": "0",
        },
        machine={
            "cpu_model": "AMD Ryzen 7 7800X3D 8-Core Processor",
            "gpu": "NVIDIA GeForce RTX 4080",
            "backend": "CUDA",
        },
        suspects={
            "build_commit": "8cf427ff",
            "build_number": "5163",
            "model_size": "4677120000",
            "model_n_params": "7615616512",
            "no_host": "0",
        },
    )
    assert (decode.workload, decode.metric, decode.value) == ("tg128 @ d4096", "decode_tps", 118.9)


MARKDOWN = """
| model                          |       size |     params | backend    | ngl | fa |            test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | --: | -: | --------------: | -------------------: |
| qwen2 7B Q4_K - Medium         |   4.36 GiB |     7.62 B | CUDA       |  99 |  1 |   pp512 @ d4096 |      7340.20 ± 23.45 |
| qwen2 7B Q4_K - Medium         |   4.36 GiB |     7.62 B | CUDA       |  99 |  1 |           tg128 |        120.60 ± 0.59 |
| qwen2 7B Q4_K - Medium         |   4.36 GiB |     7.62 B | CUDA       |  99 |  1 |     pp512+tg128 |        600.10 ± 0.59 |

build: 8cf427ff (5163)
"""


def test_llama_bench_markdown_requires_a_time(tmp_path: Path) -> None:
    file = tmp_path / "bench.md"
    file.write_text(MARKDOWN)
    with pytest.raises(SpecError, match="does not state when it ran; add --at TIME"):
        read_llama_bench(file)
    found = read_llama_bench(file, at="2026-01-31T12:00:00+02:00")
    told = [(one.workload, one.metric, one.value) for one in found]
    assert told == [
        ("pp512 @ d4096", "prefill_tps", 7340.2),
        ("tg128", "decode_tps", 120.6),
        ("pp512+tg128", "total_tps", 600.1),
    ]
    assert {one.started for one in found} == {"2026-01-31T10:00:00.000+00:00"}
    assert found[0].conditions == {"n_gpu_layers": "99", "flash_attn": "1"}
    assert found[0].suspects == {"build_commit": "8cf427ff", "build_number": "5163"}
    file.write_text(MARKDOWN.replace("tg128 |", "tg many |", 1))
    with pytest.raises(SpecError, match=r"bench.md:5: not recognized as a row of llama-bench"):
        read_llama_bench(file, at="2026-01-31")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "not recognized as llama-bench output .json, jsonl, csv, sql or md"),
        ("[{]", "1: is not JSON"),
        (as_jsonl([llama_row()]) + '{"a": \n', "2: is not JSON"),
        (as_json([llama_row(avg_ts=None)]), "`avg_ts`: result 1: expected a number, got None"),
        (as_json([llama_row(avg_ts=float("nan"))]), "`avg_ts`: result 1: expected a number, got nan"),
        (as_json([{"n_prompt": 1}]), "`n_gen`: result 1: expected a number, it is missing"),
        (as_json([llama_row(test_time="yesterday")]), "result 1: expected an ISO 8601 time.* 'yesterday'"),
        ("[1, 2]", "result 1 is not an object"),
        (as_json([llama_row(n_depth="deep")]), "`n_depth`: result 1: expected a number, got 'deep'"),
        (as_csv([llama_row()]) + '"1","2"', "results:3: the row has 2 fields, the header has 23"),
        (
            as_sql([llama_row()]) + "ATTACH DATABASE 'x.sqlite' AS other;",
            "not recognized as SQL of llama-bench: not authorized",
        ),
        (as_sql([llama_row()]).replace("8cf4", "8\0f4"), "not recognized as SQL of llama-bench: "),
        (as_sql([llama_row()]) + "DROP TABLE llama_bench;", "SQL of llama-bench: not authorized"),
    ],
)
def test_llama_bench_rejects_other_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "results"
    file.write_text(text)
    with pytest.raises(SpecError, match=message):
        read_llama_bench(file)


def vllm_result(**changes: Any) -> dict[str, Any]:
    """What `vllm bench serve --save-result` writes, shortened."""
    return {
        "date": "20260131-120000",
        "endpoint_type": "openai",
        "backend": "openai",
        "label": None,
        "model_id": "Qwen/Qwen2.5-14B-Instruct",
        "tokenizer_id": "Qwen/Qwen2.5-14B-Instruct",
        "num_prompts": 100,
        "version": "0.14.1",
        "request_rate": "inf",
        "burstiness": 1.0,
        "max_concurrency": 8,
        "duration": 10.0,
        "completed": 100,
        "total_input_tokens": 12800,
        "total_output_tokens": 12800,
        "request_throughput": 10.0,
        "request_goodput": None,
        "output_throughput": 1280.0,
        "total_token_throughput": 2560.0,
        "median_ttft_ms": 50.0,
        "median_tpot_ms": 20.0,
        "median_itl_ms": 19.0,
        "p99_itl_ms": 30.0,
    } | changes


@pytest.mark.parametrize("separator", ["\n", "", "\n\n"])
def test_vllm_results(tmp_path: Path, separator: str) -> None:
    """A result is read alone or appended to others."""
    file = tmp_path / "serve.json"
    second = vllm_result(completed=99, request_goodput=7.5, max_concurrency=None, request_rate=4.0)
    file.write_text(json.dumps(vllm_result()) + separator + json.dumps(second))
    found = read_vllm_bench(file)
    first = {one.metric: one for one in found if one.workload == "serve c8 rate inf"}
    assert {name: one.value for name, one in first.items()} == pytest.approx(
        {"output_tps": 1280.0, "ttft_s": 0.05, "tpot_s": 0.02, "itl_s": 0.019, "itl_p99_s": 0.03}
    )
    one = first["ttft_s"]
    assert (one.server, one.started) == ("Qwen/Qwen2.5-14B-Instruct", "2026-01-31T12:00:00.000+00:00")
    assert one.valid
    assert one.suspects["version"] == "0.14.1"
    later = {one.metric: one for one in found if one.workload == "serve rate 4.0"}
    assert later["goodput_rps"].value == 7.5
    assert not any(one.valid for one in later.values())  # a request of it failed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no result of `vllm bench serve --save-result`"),
        ('{"model_id": "m"}', "result 1 is not a result of `vllm bench serve"),
        ("[3]", "result 1 is not a result of"),
        ('{"a": 1}\n{', "is not a result of"),
        (json.dumps(vllm_result()) + "\n{", "serve.json:2: is not JSON"),
        (
            json.dumps(vllm_result(median_ttft_ms="fast")),
            "`median_ttft_ms`: result 1: expected a number, got 'fast'",
        ),
    ],
)
def test_vllm_rejects_other_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "serve.json"
    file.write_text(text)
    with pytest.raises(SpecError, match=message):
        read_vllm_bench(file)


def test_pytest_benchmark_writes_and_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_sum.py").write_text(
        "def test_sum(benchmark):\n"
        "    benchmark.extra_info['decode_tps'] = 24.5\n"
        "    benchmark.extra_info['note'] = 'not a metric'\n"
        "    assert benchmark(sum, [1, 2]) == 3\n"
    )
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:tokgate", f"--benchmark-json={file}", "."]
    # A pytest that takes itself for an xdist worker benchmarks nothing.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = {one.metric: one for one in read_benchmark(file)}
    written = json.loads(file.read_text())
    assert found.keys() == {"median_s", "decode_tps"}
    assert found["median_s"].value == written["benchmarks"][0]["stats"]["median"]
    assert found["decode_tps"].value == 24.5
    assert found["median_s"].workload.endswith("test_sum.py::test_sum")
    assert found["median_s"].suspects["python"] == written["machine_info"]["python_version"]
    assert found["median_s"].machine["node"] == written["machine_info"]["node"]
    file.write_text("{}")
    with pytest.raises(SpecError, match=r"not recognized as JSON of pytest-benchmark: .*machine_info"):
        read_benchmark(file)


MAPS = ["started=date", "server=channel+model", "workload=test", "metric==decode_tps", "value=tps"]

figures = st.fixed_dictionaries(
    {
        "date": st.datetimes(timezones=st.none()).map(lambda one: one.isoformat(timespec="milliseconds")),
        "channel": names,
        "model": names,
        "test": names,
        "tps": st.floats(allow_nan=False, allow_infinity=False).map(repr),
        "kernel": st.one_of(st.just(""), names),
    }
)


@settings(deadline=None)
@given(rows=st.lists(figures, min_size=1, max_size=5))
def test_csv_is_read_by_its_map(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> None:
    file = tmp_path_factory.mktemp("table") / "results.csv"
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    file.write_text(text.getvalue(), encoding="utf-8", newline="")
    found = read_csv(file, [*MAPS, "suspect=kernel", "machine==my box"])
    assert [one.value for one in found] == [float(row["tps"]) for row in rows]
    assert [one.server for one in found] == [f"{row['channel']} {row['model']}" for row in rows]
    assert [one.suspects.get("kernel", "") for one in found] == [row["kernel"] for row in rows]
    assert {(one.metric, *one.machine.values()) for one in found} == {("decode_tps", "my box")}


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        ([*MAPS[:4]], UsageError, "--map value=COLUMN is missing .or value==TEXT.; columns: date, channel"),
        ([*MAPS, "valve=tps"], UsageError, "no key 'valve'; did you mean `value`"),
        ([*MAPS, "suspect=kernal"], UsageError, "no column 'kernal'; did you mean `kernel`"),
        ([*MAPS, "server=test"], UsageError, "server is already mapped"),
        ([*MAPS[:4], "value=test"], SpecError, r"x.csv:2: `value`: value: expected a number, got 'tg128'"),
        (["started=test", *MAPS[1:]], SpecError, r"x.csv:2: started: expected an ISO 8601 time"),
    ],
)
def test_wrong_map_is_an_error(tmp_path: Path, maps: list[str], error: type[Exception], message: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text("date,channel,model,test,tps,kernel\n2026-01-01,a,b,tg128,5.0,6.1\n")
    with pytest.raises(error, match=message):
        read_csv(file, maps)


def test_import_is_history_once(tmp_path: Path) -> None:
    """It is marked as imported."""
    file = tmp_path / "bench.json"
    file.write_text(as_json([llama_row(), llama_row(test_time="2025-04-25T00:00:00Z", build_number=6000)]))
    rows = read_llama_bench(file)
    record, new = write_import(tmp_path / "runs", rows, source="llama-bench bench.json")
    again = write_import(tmp_path / "runs", rows, source="llama-bench bench.json")
    assert new
    assert again == (msgspec.structs.replace(record, imported=again[0].imported), False)
    with pytest.raises(RecordError, match=r"run.json: cannot be read"):
        read_run(tmp_path / "runs" / record.run_id)  # so that it can be no baseline, and no report's run
    with pytest.raises(RecordError, match="no run in this folder"):
        find_run(tmp_path / "runs", "latest")
    (series,) = read_history(tmp_path / "runs")
    told = [(point.provenance, point.source, point.run_id, point.value) for point in series.points]
    assert told == [("imported", "llama-bench bench.json", record.run_id, 7100.002165)] * 2
