"""A search over images in words: each step as it ends, and what it came to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tokgate.config.words import format_count, format_figure, format_interval, format_percent, format_ratio
from tokgate.judge.bisect import Bisection, Step
from tokgate.machine.fingerprint import Fingerprint, find_differences
from tokgate.report.terminal import visible
from tokgate.store.runs import RunRecord
from tokgate.store.summary import collect_server_facts

_SAYS = {
    "fast": "is as the good image",
    "slow": "is slow",
    "undecided": "cannot be told from either",
    "failed": "is left out",
}


def step_line(metric: str, step: Step) -> str:
    """One step: the image, what it is, its figure beside the good image's, their ratio with its interval."""
    said = f"{step.image}: {_SAYS[step.finding]}"
    if step.finding == "failed":
        return visible(f"{said}: {step.why}")
    return visible(
        f"{said}: {format_figure(metric, step.own)}, good {format_figure(metric, step.good)}, {_ratio(step)}"
    )


def ending(found: Bisection, record: RunRecord, created: Mapping[str, str]) -> Iterator[str]:
    """What the search came to, line by line, and in what the two images beside the border differ."""
    step = next((one for one in found.steps if one.image == found.first_slow), None)
    if found.outcome == "not_reproduced":
        yield _not_reproduced(found, step)
        return
    assert step is not None  # the bad image is its own step
    if found.outcome == "found":
        yield visible(f"first slow image: {_named(found.first_slow, record)}")
        yield visible(f"last fast image:  {_named(found.last_fast, record)}")
    else:
        names = ", ".join((*found.between, found.first_slow))
        yield visible(f"the first slow image is one of {names}")
        yield visible(f"last fast image:  {_named(found.last_fast, record)}")
        if found.stopped:
            yield visible(f"stopped: {found.stopped}")
    yield (
        f"{found.metric}: {format_figure(found.metric, step.own)} against {format_figure(found.metric, step.good)} of the "
        f"good image, {_ratio(step)}"
    )
    yield (
        f"{format_count(len(record.measurements), 'launch')} in {format_count(len(found.steps), 'step')}; "
        f"the answer is wrong in at most "
        f"{format_percent(found.level)} of searches"
    )
    facts = {one.facts.image: one.facts for one in reversed(record.measurements)}
    pair = [facts.get(image) for image in (found.last_fast, found.first_slow)]
    a, b = (Fingerprint(collect_server_facts(one) if one is not None else {}) for one in pair)
    for difference in find_differences(a, b):
        yield visible(f"differs: {difference}")
    was, now = (created.get(image, "unknown") for image in (found.last_fast, found.first_slow))
    if was != now:
        yield visible(f"differs: created: {was} → {now}")


def _not_reproduced(found: Bisection, step: Step | None) -> str:
    if found.stopped or step is None:
        return f"cannot tell: {found.stopped} before good and bad were told apart"
    if step.finding == "fast":
        return f"not reproduced: the bad image is the faster one, {_ratio(step)}"
    sees = (
        ""
        if step.sees is None or math.isinf(step.sees)
        else f"; a slowdown of {format_percent(step.sees)} would have shown"
    )
    return f"not reproduced: the bad image is not seen to be slower, {_ratio(step)}{sees} at 80 % power"


def _ratio(step: Step) -> str:
    if step.ratio is None or step.low is None or step.high is None:
        return "no ratio"
    interval = format_interval(step.low, step.high)
    return f"ratio {format_ratio(step.ratio)} ({interval}, {format_count(step.launches, 'launch')})"


def _named(image: str, record: RunRecord) -> str:
    """An image with its digest, or its id where it has none."""
    for one in record.measurements:
        if one.facts.image == image:
            return f"{image} ({one.facts.image_digest or one.facts.image_id})"
    return image
