"""What a value uses of what the chip allows, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tokgate.config.words import ABSENT, format_figure, format_number, format_percent, format_quantity
from tokgate.judge.cell import CaseKey
from tokgate.measure.measurement import Ceiling, Roofline
from tokgate.measure.roofline import Use
from tokgate.store.runs import RunRecord

Rooflines = Mapping[CaseKey, Roofline]


def collect_rooflines(record: RunRecord) -> Rooflines:
    """What the chip allows each server × workload of a run, where that is known."""
    return {CaseKey(run.server, run.workload): run.roofline for run in record.measurements if run.roofline}


def format_used(used: Use) -> str:
    """`179.1 GB/s` or `18.47 TFLOPS`."""
    if used.effective_GBps is not None:
        return format_quantity(used.effective_GBps, "GB/s")
    if used.effective_tflops is not None:
        return format_quantity(used.effective_tflops, "TFLOPS")
    return ABSENT


def format_share(share: float | None) -> str:
    return ABSENT if share is None else format_percent(share)


def describe_use(used: Use, metric: str) -> str:
    """`179.1 GB/s, 70 % on paper (9.149 tok/s possible), 84.5 % as measured`."""
    rate = format_used(used)
    possible = format_figure(metric, used.possible)
    return (
        "" if rate == ABSENT else f"{rate}, "
    ) + f"{format_share(used.of_paper)} on paper ({possible} possible), {format_share(used.of_measured)} as measured"


def describe_limits(roofs: Rooflines) -> Iterator[str]:
    """What the roofline columns are shares of, a sentence for each chip."""
    for name, roof in {roof.hardware: roof for roof in roofs.values()}.items():
        yield (
            f"roofline of {name}: on paper {_format_ceiling(roof.paper)}; measured on such chips "
            f"{_format_ceiling(roof.measured)}; possible: the rate that the limits on paper allow"
        )


def _format_ceiling(ceiling: Ceiling) -> str:
    known = ((ceiling.bandwidth_GBps, "GB/s"), (ceiling.fp16_tflops, "TFLOPS in FP16"))
    return ", ".join(f"{format_number(value)} {unit}" for value, unit in known if value is not None) or "unknown"
