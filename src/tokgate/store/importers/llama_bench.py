"""Output of llama-bench as json, jsonl, csv, sql or md (llama.cpp, tools/llama-bench/README.md)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePath
from time import perf_counter
from typing import Any

from tokgate._exceptions import SpecError
from tokgate.config.bounds import IMPORT_BYTES, IMPORT_SQL_BYTES, IMPORT_SQL_S
from tokgate.config.words import format_duration
from tokgate.store.importers import Importer
from tokgate.store.importers._read import parse_json, parse_number, parse_time, read_csv_rows, read_text
from tokgate.store.imports import Imported

_MACHINE = {"cpu_info": "cpu_model", "gpu_info": "gpu", "backends": "backend"}
# Settings of the engine. All other fields may differ between builds, and are suspects.
_CONDITIONS = {
    *("n_batch", "n_ubatch", "n_threads", "type_k", "type_v", "n_gpu_layers", "n_cpu_moe", "split_mode"),
    *("main_gpu", "no_kv_offload", "flash_attn", "devices", "tensor_split", "use_mmap", "embeddings"),
}
_NO_FACT = {"n_prompt", "n_gen", "n_depth", "test_time", "model_filename", "model_type"}
_RESULT = re.compile(r"^(avg|stddev|samples)_")
_SHORT = {
    "ngl": "n_gpu_layers",
    "fa": "flash_attn",
    "threads": "n_threads",
    "ts": "tensor_split",
    "sm": "split_mode",
}
_TEST = re.compile(r"(?:pp ?(?P<pp>\d+))?\+?(?:tg ?(?P<tg>\d+))?(?: ?@ ?d(?P<depth>\d+))?")
_BUILD = re.compile(r"^build: (?P<commit>\w+) \((?P<number>\d+)\)", re.MULTILINE)
_SQL_STEPS = 100_000  # of SQLite's machine between two looks at the clock, some milliseconds
_SQL_ALLOWED = {
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_TRANSACTION,
}


def read_llama_bench(file: Path, *, at: str | None = None) -> tuple[Imported, ...]:
    """Read one value for each test: prefill_tps of pp, decode_tps of tg, total_tps of a mixed test.

    The repetitions of a test share one process, so they count as one launch.

    at: when it ran; required for md, which does not state it.
    Raises SpecError: the format is none of the five, or a row is incomplete.
    """
    text = read_text(file)
    start = text.lstrip()[:1]
    if start == "[":
        rows: Iterator[object] = iter(parse_json(text, file=file))
    elif start == "{":
        lines = enumerate(text.split("\n"), 1)
        rows = (parse_json(row, file=file, line=line) for line, row in lines if row.strip())
    elif "INSERT INTO llama_bench" in text:
        rows = _sql(file, text)
    elif "build_commit" in text.partition("\n")[0]:
        rows = (row for _, row in read_csv_rows(file)[1])
    elif "| model" in text:
        rows = _markdown(file, text, at)
    else:
        raise SpecError("not recognized as llama-bench output (json, jsonl, csv, sql or md)", file=file)
    return tuple(_read_row(file, place, row) for place, row in enumerate(rows, 1))


def _read_row(file: Path, place: int, row: object) -> Imported:
    what = f"result {place}"
    if not isinstance(row, dict):
        raise SpecError(f"{what} is not an object", file=file)
    sizes = {"n_depth": 0, **row}  # older builds do not report the depth
    prompt, generated, depth = (
        int(parse_number(sizes, key, file=file, what=what)) for key in ("n_prompt", "n_gen", "n_depth")
    )
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    fields = {
        key: str(int(value) if isinstance(value, bool) else value)
        for key, value in row.items()
        if key not in _NO_FACT and not _RESULT.match(key)
    }
    return Imported(
        started=parse_time(row.get("test_time"), file=file, what=what),
        server=PurePath(str(row.get("model_filename") or row.get("model_type"))).stem,
        workload="+".join(parts) + (f" @ d{depth}" if depth else ""),
        metric="total_tps" if prompt and generated else "prefill_tps" if prompt else "decode_tps",
        value=parse_number(row, "avg_ts", file=file, what=what),
        conditions={key: value for key, value in fields.items() if key in _CONDITIONS},
        machine={name: fields[key] for key, name in _MACHINE.items() if fields.get(key)},
        suspects={key: value for key, value in fields.items() if key not in _CONDITIONS and key not in _MACHINE},
    )


def _sql(file: Path, text: str) -> Iterator[dict[str, Any]]:
    """The rows that its INSERTs create in a database in memory, which may do nothing else, and not for long."""
    ends_s = perf_counter() + IMPORT_SQL_S
    with closing(sqlite3.connect(":memory:")) as database:
        database.row_factory = sqlite3.Row
        (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
        database.execute(f"PRAGMA max_page_count = {IMPORT_SQL_BYTES // page_bytes}")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, IMPORT_BYTES)
        database.set_progress_handler(lambda: perf_counter() > ends_s, _SQL_STEPS)
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _SQL_ALLOWED else sqlite3.SQLITE_DENY)
        try:
            database.executescript(text)
            yield from map(dict, database.execute("SELECT * FROM llama_bench"))
        except (sqlite3.Error, ValueError) as error:  # ValueError: a zero byte
            if perf_counter() > ends_s:
                raise SpecError(f"its SQL takes longer than {format_duration(IMPORT_SQL_S)}", file=file) from error
            raise SpecError(f"not recognized as SQL of llama-bench: {error}", file=file) from error


def _markdown(file: Path, text: str, at: str | None) -> Iterator[dict[str, Any]]:
    if at is None:
        raise SpecError("the md output of llama-bench does not state when it ran; add --at TIME", file=file)
    build = _BUILD.search(text)
    facts = {"build_commit": build["commit"], "build_number": build["number"]} if build else {}
    names: list[str] = []
    for line, row in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        if not row.lstrip().startswith("|") or set(row) <= set("|-: "):
            continue
        if cells[0] == "model":
            names = cells
            continue
        fields = dict(zip(names, cells, strict=False))
        test = _TEST.fullmatch(fields.pop("test", ""))
        if not test or len(cells) != len(names):
            raise SpecError(
                "not recognized as a row of llama-bench: expected model, test (pp512, tg128) and t/s",
                file=file,
                line=line,
            )
        yield {
            **facts,
            "test_time": at,
            "model_type": fields.pop("model"),
            "backends": fields.pop("backend", ""),
            "avg_ts": fields.pop("t/s", "").partition("±")[0],
            "n_prompt": test["pp"] or 0,
            "n_gen": test["tg"] or 0,
            "n_depth": test["depth"] or 0,
            **{_SHORT.get(key, key): value for key, value in fields.items() if key not in ("size", "params")},
        }


IMPORTER = Importer(read_llama_bench, options=("at",))
