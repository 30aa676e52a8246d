"""A server's own counters, and how much they grew between two readings."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families

from tokgate._exceptions import ServerUnreachable
from tokgate.launch.http import get


def scrape(url: str) -> dict[str, float] | None:
    """Each sample of a page of counters by its name, summed over its labels; None when there is no such page.

    Histograms give their `_sum` and `_count`; their buckets are left out, as they are too coarse to use.
    Raises ServerUnreachable when nothing answers, ValueError when the page is not in Prometheus' format.
    """
    answer = get(url)
    if answer.status is None:
        raise ServerUnreachable(f"could not read the server's counters: {answer.summary}", url=answer.url)
    return sum_samples(answer.body.decode()) if answer.status == 200 else None


def sum_samples(page: str) -> dict[str, float]:
    """Each sample of a page in Prometheus' text format by its name, summed over its labels. Raises ValueError."""
    try:
        families = [*text_string_to_metric_families(page)]
    except Exception as error:  # the parser raises whatever its slices and look-ups do
        raise ValueError(f"not in Prometheus' format: {error!r}") from error
    totals: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            if not sample.name.endswith("_bucket") and isfinite(sample.value):
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


def subtract(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """How much each sample grew from one reading to a later one; a sample that first appears grew from 0."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
