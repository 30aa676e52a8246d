"""The sentences below a plan."""

from __future__ import annotations

from collections.abc import Iterator

from tokgate.config.words import format_count, format_duration
from tokgate.judge.plan import Source
from tokgate.judge.preview import Preview
from tokgate.suite.estimate import Estimates

BASES: dict[Source, str] = {
    "reported": "token counts and the rate of the baseline",
    "roofline": "token counts and the roofline",
    "assumed": "token counts and the rate of an assumed machine or model",
}
"""What an estimated time is based on."""


def make_notes(preview: Preview, estimates: Estimates) -> Iterator[str]:
    """How long it takes, what is known, what is left for later, and which figures are estimates."""
    if preview.unable is not None:
        yield f"this machine cannot run it: {preview.unable}"
    known = sum(bool(entry.known) for entry in preview.hypotheses)
    if known:
        depends = "it depends" if known == 1 else "they depend"
        yield (
            f"{format_count(known, 'hypothesis')} known from earlier runs: nothing that {depends} on has changed. "
            "--tokgate-again repeats them"
        )
    yield from _describe_run(preview) if preview.budget_s is None else _describe_night(preview, estimates)
    yield from _explain_estimates(preview, estimates)


def _describe_run(preview: Preview) -> Iterator[str]:
    tested = [entry for entry in preview.hypotheses if not entry.known]
    if preview.plan is not None:
        yield f"launches take about {format_duration(preview.plan.total_s)}"
    if tested:
        hypotheses_s = sum(entry.seconds for entry in tested)
        yield f"{format_count(len(tested), 'hypothesis')}: about {format_duration(hypotheses_s)}"
        if preview.plan is not None:
            yield f"everything takes about {format_duration(preview.total_s)}"


def _describe_night(preview: Preview, estimates: Estimates) -> Iterator[str]:
    assert preview.budget_s is not None
    cases = {cell.case for cell in estimates.cells}
    tonight = {(cell.server, cell.workload) for cell in preview.plan.cells} if preview.plan else set()
    tested = sum(not entry.known for entry in preview.hypotheses)
    what = [f"{len(tonight)} of {format_count(len(cases), 'workload')}"] if cases else []
    if estimates.experiments:
        what.append(f"{tested} of {format_count(len(estimates.experiments), 'hypothesis')}")
    if not what:
        return
    yield (
        f"this run: {' and '.join(what)}, about {format_duration(preview.total_s)} of {format_duration(preview.budget_s)}. "
        "What is decided early leaves its time to the rest, and one launch is reserved to confirm a regression"
    )
    if preview.rounds:
        rounds = "; ".join(", ".join(group) for group in preview.rounds)
        yield f"launched in turns, in mirrored order (A B, B A), so that hypotheses need no launches of their own: {rounds}"
    everything = f"everything once takes {format_duration(preview.alone_s)}"
    if preview.shared_s != preview.alone_s:
        everything += (
            f" with launches of its own for each hypothesis, {format_duration(preview.shared_s)} with shared launches"
        )
    nights = (
        "no number of such runs answers all of it"
        if preview.nights is None
        else _describe_nights(preview.nights, preview)
    )
    yield f"{everything}: {nights}"


def _describe_nights(nights: int, preview: Preview) -> str:
    runs = format_count(nights, "run")
    return f"{runs} of {format_duration(preview.budget_s or 0.0)} {'answers' if nights == 1 else 'answer'} everything"


def _explain_estimates(preview: Preview, estimates: Estimates) -> Iterator[str]:
    sources = {cell.server: cell.source for cell in estimates.cells if cell.source != "measured"}
    if sources:
        bases = (
            f"{basis} ({', '.join(server for server, source in sources.items() if source == key)})"
            for key, basis in BASES.items()
            if key in sources.values()
        )
        yield f"≈ is an estimate: no earlier run on this machine shows these times. Based on {'; '.join(bases)}"
    if preview.plan is not None and any(cell.assumed for cell in preview.plan.cells):
        yield "≈ before a drop: no earlier run shows how much the metric varies; half its promise is assumed"
