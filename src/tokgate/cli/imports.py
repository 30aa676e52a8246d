"""`tokgate import`: what other tools measured, into the history, marked as what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate.cli.options import RUNS, Runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokgate.store.imports import Imported

app = typer.Typer(
    help="Results of other tools into the history. They are marked as imported, and are never a baseline.",
    no_args_is_help=True,
)
File = Annotated[Path, typer.Argument(metavar="FILE", help="What the tool wrote.")]


@app.command("llama-bench")
def llama_bench(
    file: File,
    at: Annotated[str | None, typer.Option(help="When it ran (ISO 8601); md does not say.")] = None,
    runs: Runs = RUNS,
) -> None:
    """llama-bench's json, jsonl, csv, sql or md."""
    from tokgate.store.importers.llama_bench import read_llama_bench

    _keep(runs, read_llama_bench(file, at=at), f"llama-bench {file.name}")


@app.command("vllm-bench")
def vllm_bench(file: File, runs: Runs = RUNS) -> None:
    """The JSON of `vllm bench serve --save-result`."""
    from tokgate.store.importers.vllm_bench import read_vllm_bench

    _keep(runs, read_vllm_bench(file), f"vllm-bench {file.name}")


@app.command("pytest-benchmark")
def pytest_benchmark(file: File, runs: Runs = RUNS) -> None:
    """The JSON of `pytest --benchmark-json`."""
    from tokgate.store.importers.benchmark import read_benchmark

    _keep(runs, read_benchmark(file), f"pytest-benchmark {file.name}")


@app.command("csv")
def table(
    file: File,
    maps: Annotated[
        list[str],
        typer.Option(
            "--map",
            metavar="KEY=COLUMN",
            help="What a column means; may be given again. started, server, workload, metric, value: each once; "
            "condition, machine, suspect: any number. COLUMN+COLUMN joins two, KEY==TEXT says it of every row.",
        ),
    ],
    runs: Runs = RUNS,
) -> None:
    """Any CSV with a header, one figure a row."""
    from tokgate.store.importers.table import read_table

    _keep(runs, read_table(file, maps), f"csv {file.name}")


def _keep(runs: Path, rows: Sequence[Imported], source: str) -> None:
    from tokgate.store.imports import write_import

    record, new = write_import(runs, rows, source=source)
    series = len({(one.server, one.workload, one.metric) for one in rows})
    told = f"{len(rows)} figures of {series} cells from {source}"
    typer.echo(f"{told} → {runs / record.run_id}" if new else f"{told} are in {runs / record.run_id} already")
