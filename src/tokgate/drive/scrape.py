"""What a server counts itself: its `/metrics` page, and how much its counters grew between two readings."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families

from tokgate._exceptions import ServerUnreachable
from tokgate.launch.probe import get


def scrape(base_url: str) -> dict[str, float] | None:
    """Each sample of `/metrics` by its name, summed over its labels; None when the server has no such page.

    Histograms give their `_sum` and `_count`; their buckets are left out, as they are too coarse to use.
    Raises ServerUnreachable when nothing answers, ValueError when the page is not what Prometheus reads.
    """
    answer = get(f"{base_url}/metrics")
    if answer.status is None:
        raise ServerUnreachable(f"asked the server for its counters; {answer.words}", url=answer.url)
    return sums(answer.body.decode()) if answer.status == 200 else None


def sums(page: str) -> dict[str, float]:
    """Each sample of a page in Prometheus' text format by its name, summed over its labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.name.endswith("_bucket") and isfinite(sample.value):
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def deltas(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """How much each sample grew from one reading to a later one; one that first appears grew from 0."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
