"""Results of `client.py` and the goals they are compared with: rows, goals, and both as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple


class Row:
    """The values of one tool at one number of streams, each as often as it was measured."""

    def __init__(self, tool: str, streams: int) -> None:
        self.tool, self.streams = tool, streams
        self.values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.values[name].append(value)

    def __getitem__(self, name: str) -> float:
        """The median of a value. Raises KeyError when it was not measured."""
        if name not in self.values:
            raise KeyError(f"{self.tool} has no {name} at {self.streams} streams")
        return median(self.values[name])

    def __str__(self) -> str:
        latest = {name: f"{values[-1]:.4g}" for name, values in self.values.items()}
        return f"{self.tool} at {self.streams}: {latest}"

    def plain(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Plain data for JSON; tokgate's rows include the goals."""
        medians = {name: median(values) for name, values in self.values.items()}
        ranges = {name: [min(values), max(values)] for name, values in self.values.items()}
        goals = [
            {"what": goal.what, "goal": goal.bound, "seen": value, "reached": goal.is_reached(value)}
            for goal in GOALS
            for streams, value in goal.compute(rows)
            if self.tool == "tokgate" and streams == self.streams
        ]
        return {"tool": self.tool, "streams": self.streams, **medians, "ranges": ranges, "goals": goals}


class Goal(NamedTuple):
    """One number about tokgate, and the bound it must meet.

    what: a description of the number.
    peer: the tool that tokgate is compared with; tokgate itself where there is none.
    streams: the numbers of streams it is measured at.
    phase: the phase of `client.py` that measures it.
    of: computes the number from tokgate's row and the peer's.
    bound: the bound.
    least: whether the number must be at least `bound`; otherwise at most.
    """

    what: str
    peer: str
    streams: tuple[int, ...]
    phase: str
    of: Callable[[Row, Row], float]
    bound: float
    least: bool

    def compute(self, rows: Iterable[Row]) -> list[tuple[int, float]]:
        """(streams, value) wherever both tools were measured."""
        by_name = {(row.tool, row.streams): row for row in rows}
        values = []
        for streams in self.streams:
            try:
                values.append((streams, self.of(by_name["tokgate", streams], by_name[self.peer, streams])))
            except KeyError:
                continue
        return values

    def is_reached(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound


ALL = (1, 16, 100, 500, 1000)

GOALS = (
    Goal("CPU per token: the plain OpenAI SDK / tokgate", "openai-sdk", (1, 16), "fast",
         lambda ours, theirs: theirs["cpu_us_per_token"] / ours["cpu_us_per_token"], 30, True),
    Goal("tok/s one process sustains: tokgate / vLLM's bench", "vllm-bench", (1, 16), "fast",
         lambda ours, theirs: ours["tok_s"] / theirs["tok_s"], 2, True),
    Goal("tok/s one process sustains: tokgate / guidellm", "guidellm", (1, 16), "fast",
         lambda ours, theirs: ours["tok_s"] / theirs["tok_s"], 3, True),
    Goal("median TTFT error: tokgate / vLLM's bench", "vllm-bench", ALL, "paced",
         lambda ours, theirs: abs(ours["ttft_error_ms"] / theirs["ttft_error_ms"]), 0.25, False),
    Goal("decode_tps error against the truth, in %", "tokgate", ALL, "paced",
         lambda ours, _: abs(ours["decode_error"]) * 100, 0.5, False),
)  # fmt: skip


def is_needed(tool: str, streams: int, phase: str) -> bool:
    """Whether a goal needs this value."""
    return any(tool in ("tokgate", goal.peer) and streams in goal.streams and phase == goal.phase for goal in GOALS)


def markdown(rows: Sequence[Row], failures: dict[str, str]) -> str:
    """The goals, every value, and what could not be measured with its reason."""
    lines = ["| goal | streams | bound | measured | |", "|---|--:|--:|--:|---|"]
    for goal in GOALS:
        for streams, value in goal.compute(rows):
            bound = f"{'≥' if goal.least else '≤'} {goal.bound:g}"
            mark = "reached" if goal.is_reached(value) else "**missed**"
            lines.append(f"| {goal.what} | {streams} | {bound} | {value:.3g} | {mark} |")
    lines += [
        "",
        "| tool | streams | tok/s | CPU µs per token | peak MB | TTFT error ms | decode error % |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            _format(row.values.get("tok_s"), "{:,.0f}"),
            _format(row.values.get("cpu_us_per_token"), "{:.2f}"),
            _format(row.values.get("peak_mb"), "{:.0f}"),
            _format(row.values.get("ttft_error_ms"), "{:+.2f}"),
            _format([100 * value for value in row.values.get("decode_error", [])], "{:+.2f}"),
        ]
        lines.append(f"| {row.tool} | {row.streams} | {' | '.join(cells)} |")
    lines += [f"\nNot measured: {what}: {why}" for what, why in failures.items()]
    return "\n".join(lines)


def _format(values: Sequence[float] | None, form: str) -> str:
    """A median, with its range where it was measured more than once."""
    if not values:
        return "–"
    text = form.format(median(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))}…{form.format(max(values))})"
