"""The one table of metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate._exceptions import SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.config.metric import METRIC_NAMES, METRICS, find_metric
from tokgate.config.workload import Closed, Limits, Workload

ROOT = Path(__file__).parents[3]
WORKLOAD = """\
description: one user
prompts: short-chat
requests: 4
max_tokens: 16
gate:
  - itl_p99_s
"""


@pytest.fixture
def workload_file(tmp_path: Path) -> Path:
    (tmp_path / "prompts").symlink_to(ROOT / "fixtures" / "prompts")
    (tmp_path / "workloads").mkdir()
    file = tmp_path / "workloads" / "chat.yaml"
    file.write_text(WORKLOAD)
    return file


@pytest.mark.parametrize(
    ("metric", "way", "tolerance", "promise"),
    [
        ("decode_tps", "higher", 0.03, 0.05),
        ("output_tps", "higher", 0.03, 0.05),
        ("goodput_rps", "higher", 0.03, 0.05),
        ("prefill_tps", "higher", 0.08, 0.12),
        ("ttft_s", "lower", 0.08, 0.12),
        ("tpot_s", "lower", 0.03, 0.05),
        ("itl_s", "lower", 0.03, 0.05),
        ("itl_p99_s", "lower", 0.08, 0.12),
        ("tokens_per_joule", "higher", 0.03, 0.05),
    ],
)
def test_direction_and_limits(metric: str, way: str, tolerance: float, promise: float) -> None:
    """Every gated metric has a direction, a tolerance and a promise."""
    row = find_metric(metric)
    assert (row.direction, row.tolerance, row.promise) == (way, tolerance, promise)


def test_rows_are_complete() -> None:
    """Names are unique, a promise is never below its tolerance, and each row has a title and a definition."""
    assert len(set(METRIC_NAMES)) == len(METRICS)
    for row in METRICS:
        assert row.tolerance <= row.promise
        assert row.title
        assert row.definition
        assert not row.definition.endswith(".")
        assert (row.direction == "lower") == row.name.endswith("_s")


@pytest.mark.parametrize(
    ("metric", "unit", "direction"),
    [
        ("median_s", "s", "lower"),
        ("total_tps", "tok/s", "higher"),
        ("score", "", "higher"),
        ("nats_per_joule", "tok/J", "higher"),
    ],
)
def test_unknown_names_tell_unit_and_direction(metric: str, unit: str, direction: str) -> None:
    """Imports and newer records hold metrics that are not in the table."""
    row = find_metric(metric)
    assert (row.name, row.title, row.unit, row.direction) == (metric, metric, unit, direction)


@pytest.mark.parametrize(
    ("concurrency", "limits", "gated"),
    [
        (1, None, ("decode_tps", "prefill_tps", "ttft_s")),
        (4, None, ("output_tps", "decode_tps", "prefill_tps", "ttft_s")),
        (1, Limits(), ("decode_tps", "prefill_tps", "ttft_s", "goodput_rps")),
    ],
)
def test_gated_by_default(concurrency: int, limits: Limits | None, gated: tuple[str, ...]) -> None:
    """What is gated depends on the number of streams and on the limits."""
    load = Closed(concurrency=concurrency)
    workload = Workload(description="", prompts="p", requests=1, max_tokens=2, load=load, limits=limits)
    assert workload.gated == gated


def test_gate_adds_to_the_defaults(workload_file: Path) -> None:
    """`gate` in the YAML of a workload adds metrics, whichever are named twice."""
    workload_file.write_text(WORKLOAD + "  - decode_tps\n")
    gated = Catalogue(workload_file.parents[1]).workload("chat").gated
    assert gated == ("decode_tps", "prefill_tps", "ttft_s", "itl_p99_s")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("itl_p9_s", r"unknown value 'itl_p9_s'; did you mean `itl_p99_s`\? Valid: .*tokens_per_joule"),
        ("speed", "unknown value 'speed'; valid: .*itl_p99_s.*tokens_per_joule"),
        ("goodput_rps", "`goodput_rps` requires `limits`"),
    ],
)
def test_gate_rejects_a_metric(workload_file: Path, name: str, message: str) -> None:
    """The error has the file, the line, the key and the valid names."""
    workload_file.write_text(WORKLOAD.replace("itl_p99_s", name))
    with pytest.raises(SpecError, match=message) as caught:
        Catalogue(workload_file.parents[1]).workload("chat")
    assert (caught.value.file, caught.value.line, caught.value.key) == (workload_file, 6, "gate[0]")


@pytest.mark.parametrize(("text", "example"), [("itl_p99", "itl_p99_s"), ("xyz", "decode_tps")])
def test_gate_as_text_shows_a_valid_example(workload_file: Path, text: str, example: str) -> None:
    """`gate` without brackets: the example is the metric that was probably meant, or any metric."""
    workload_file.write_text(WORKLOAD.partition("gate:")[0] + f"gate: {text}\n")
    with pytest.raises(SpecError, match=rf"expected a list, got '{text}', for example `\[\"{example}\"\]`"):
        Catalogue(workload_file.parents[1]).workload("chat")
