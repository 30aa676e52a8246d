"""Whatever a file of another tool contains, it is imported and can be read back, or refused with the name of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokgate._exceptions import SpecError
from tokgate.store.history import list_unreadable, read_history
from tokgate.store.importers import find_importer
from tokgate.store.imports import write_import

TEXT = {
    "llama-bench": json.dumps(
        [{"model_filename": "m.gguf", "n_prompt": 8, "n_gen": 0, "test_time": "2026-01-01T00:00:00Z", "avg_ts": 1.5, "cpu_info": "c"}]
    ),
    "vllm-bench": json.dumps(
        {"model_id": "m", "date": "20260101-120000", "output_throughput": 5, "median_ttft_ms": 3, "num_prompts": 4, "completed": 4}
    ),
    "pytest-benchmark": json.dumps(
        {
            "machine_info": {"cpu": {"brand_raw": "c", "count": 2}, "node": "n"},
            "commit_info": {"id": "1", "project": "p"},
            "benchmarks": [{"fullname": "t", "stats": {"median": 0.5}, "extra_info": {"decode_tps": 3}}],
            "datetime": "2026-01-01T00:00:00+00:00",
            "version": "5.1.0",
        }
    ),
}  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just(10**400), st.just("\ud800"),
    st.just([]), st.just({}), st.just([["x"]]), st.just({"a": {"b": 1}}), st.just("2026-02-30"), st.just("\x1b[31m"),
)  # fmt: skip
WEIRD = st.sampled_from(
    [
        "[" * 2000,
        "9" * 5000,
        "\x00",
        '"\\ud800"',
        "nan",
        "1e999",
        "}",
        "[",
        ",",
        '"',
        "\n",
        "INSERT INTO llama_bench",
        "| model",
    ]
)


def import_text(folder: Path, form: str, text: str) -> None:
    file = folder / "results"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        rows = find_importer(form).read(file)
    except SpecError as error:
        problem = error
    else:
        write_import(folder / "runs", rows, source="test")
        read_history(folder / "runs")
        assert list_unreadable(folder / "runs") == ()
        return
    assert problem.file == file


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(sorted(TEXT)), value=VALUES, data=st.data())
def test_wrong_values(tmp_path: Path, form: str, value: Any, data: st.DataObject) -> None:
    document = json.loads(TEXT[form])
    container = document
    while True:
        key = data.draw(
            st.sampled_from(list(container) if isinstance(container, dict) else list(range(len(container))))
        )
        inner = container[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        container = inner
    container[key] = value
    import_text(tmp_path, form, json.dumps(document))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(sorted(TEXT)), weird=WEIRD, at=st.floats(0, 1), count=st.integers(0, 20))
def test_damaged_text(tmp_path: Path, form: str, weird: str, at: float, count: int) -> None:
    place = int(at * len(TEXT[form]))
    import_text(tmp_path, form, TEXT[form][:place] + weird + TEXT[form][place + count :])
