"""A search over images as text: each step as it ends, and the result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tokgate._printable import escape_line
from tokgate.config.words import format_count, format_figure, format_interval, format_percent, format_ratio
from tokgate.judge.bisect import Bisection, Step
from tokgate.machine.fingerprint import Fingerprint, find_differences
from tokgate.store.runs import RunRecord
from tokgate.store.summary import collect_server_facts

_FINDINGS = {
    "fast": "as fast as the good image",
    "slow": "slow",
    "undecided": "cannot tell",
    "failed": "left out",
}


def describe_step(metric: str, step: Step) -> str:
    """One step: the image, its finding, its figure and the good image's, their ratio with its interval."""
    result = f"{step.image}: {_FINDINGS[step.finding]}"
    if step.finding == "failed":
        return escape_line(f"{result}: {step.why}")
    return escape_line(
        f"{result}: {format_figure(metric, step.own)}, good {format_figure(metric, step.good)}, {_describe_ratio(step)}"
    )


def describe_result(result: Bisection, record: RunRecord, created: Mapping[str, str]) -> Iterator[str]:
    """The result of the search, line by line, and how the two images at the border differ."""
    step = next((each for each in result.steps if each.image == result.first_slow), None)
    if result.outcome == "not_reproduced":
        yield _explain_not_reproduced(result, step)
        return
    assert step is not None  # the bad image is its own step
    if result.outcome == "found":
        yield escape_line(f"first slow image: {_name_image(result.first_slow, record)}")
    else:
        names = ", ".join((*result.between, result.first_slow))
        yield escape_line(f"the first slow image is one of {names}")
    yield escape_line(f"last fast image:  {_name_image(result.last_fast, record)}")
    if result.stopped and result.outcome != "found":
        yield escape_line(f"stopped: {result.stopped}")
    yield (
        f"{result.metric}: {format_figure(result.metric, step.own)} against {format_figure(result.metric, step.good)} of the "
        f"good image, {_describe_ratio(step)}"
    )
    yield (
        f"{format_count(len(record.measurements), 'launch')} in {format_count(len(result.steps), 'step')}; "
        f"the answer is wrong in at most {format_percent(result.level)} of searches"
    )
    facts = {run.facts.image: run.facts for run in reversed(record.measurements)}
    pair = [facts.get(image) for image in (result.last_fast, result.first_slow)]
    a, b = (Fingerprint(collect_server_facts(image) if image is not None else {}) for image in pair)
    for difference in find_differences(a, b):
        yield escape_line(f"differs: {difference}")
    was, now = (created.get(image, "unknown") for image in (result.last_fast, result.first_slow))
    if was != now:
        yield escape_line(f"differs: created: {was} → {now}")


def _explain_not_reproduced(result: Bisection, step: Step | None) -> str:
    if result.stopped or step is None:
        return f"cannot tell: {result.stopped} before good and bad could be distinguished"
    if step.finding == "fast":
        return f"not reproduced: the bad image is faster, {_describe_ratio(step)}"
    detectable = (
        ""
        if step.sees is None or math.isinf(step.sees)
        else f"; smallest detectable slowdown: {format_percent(step.sees)} (at 80 % power)"
    )
    return f"not reproduced: no slowdown of the bad image is shown, {_describe_ratio(step)}{detectable}"


def _describe_ratio(step: Step) -> str:
    if step.ratio is None or step.low is None or step.high is None:
        return "no ratio"
    interval = format_interval(step.low, step.high)
    return f"ratio {format_ratio(step.ratio)} ({interval}, {format_count(step.launches, 'launch')})"


def _name_image(image: str, record: RunRecord) -> str:
    """An image with its digest, or its id where it has none."""
    for run in record.measurements:
        if run.facts.image == image:
            return f"{image} ({run.facts.image_digest or run.facts.image_id})"
    return image
