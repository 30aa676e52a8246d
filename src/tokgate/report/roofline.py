"""What a value uses of what the chip allows, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from tokgate.config.hardware import PROBED
from tokgate.config.words import ABSENT, format_figure, format_number, format_percent, format_quantity
from tokgate.judge.cell import CaseKey
from tokgate.measure.measurement import Ceiling, Roofline
from tokgate.measure.roofline import Use, compute_use
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
    """`179.1 GB/s, 70 % on paper (9.149 tok/s possible), 84.5 % as measured`, of which only the known parts."""
    parts = [] if (rate := format_used(used)) == ABSENT else [rate]
    if used.of_paper is not None:
        parts.append(f"{format_percent(used.of_paper)} on paper ({format_figure(metric, used.possible)} possible)")
    if used.of_measured is not None:
        parts.append(f"{format_percent(used.of_measured)} as measured")
    return ", ".join(parts)


def describe_limits(roofs: Rooflines) -> Iterator[str]:
    """What the roofline columns are shares of, a sentence for each chip."""
    for name, roof in {roof.hardware: roof for roof in roofs.values()}.items():
        if name == PROBED:
            yield (
                f"roofline of {name}: before the first launch its CPUs read memory at {_format_ceiling(roof.measured)}; "
                "a model that fits into the caches is read faster"
            )
            continue
        yield (
            f"roofline of {name}: on paper {_format_ceiling(roof.paper)}; measured on such chips "
            f"{_format_ceiling(roof.measured)}; possible: the rate that the limits on paper allow"
        )


def describe_bandwidth_shares(record: RunRecord) -> Iterator[str]:
    """What decode of one stream uses of the memory bandwidth that was probed, a sentence for each server."""
    uses: dict[str, list[Use]] = {}
    for run in record.measurements:
        used = compute_use(run.roofline, "decode_tps", run.metrics.get("decode_tps"))
        if run.valid and run.roofline is not None and run.roofline.hardware == PROBED and used is not None:
            uses.setdefault(run.server, []).append(used)
    bandwidths = {run.server: run.roofline.measured.bandwidth_GBps for run in record.measurements if run.roofline}
    for server, each in uses.items():
        rates, shares = ([getattr(used, name) for used in each] for name in ("effective_GBps", "of_measured"))
        cached = ": more than memory delivers, so part of the model is read from the caches" if min(shares) > 1 else ""
        yield (
            f"decode of {server} uses {format_percent(median(shares))} of this machine's memory bandwidth "
            f"({format_quantity(median(rates), 'GB/s')} of {format_quantity(bandwidths[server] or 0, 'GB/s')}){cached}"
        )


def _format_ceiling(ceiling: Ceiling) -> str:
    known = ((ceiling.bandwidth_GBps, "GB/s"), (ceiling.fp16_tflops, "TFLOPS in FP16"))
    return ", ".join(f"{format_number(value)} {unit}" for value, unit in known if value is not None) or "unknown"
