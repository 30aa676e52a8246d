"""What the bench found, beside what was undertaken: rows, goals, and both as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple


class Row:
    """The figures of one tool at one number of streams, each as often as it was taken."""

    def __init__(self, tool: str, streams: int) -> None:
        self.tool, self.streams = tool, streams
        self.taken: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.taken[name].append(value)

    def __getitem__(self, name: str) -> float:
        """The median of what was taken. Raises KeyError."""
        if name not in self.taken:
            raise KeyError(f"{self.tool} has no {name} at {self.streams} streams")
        return median(self.taken[name])

    def __str__(self) -> str:
        latest = {name: f"{values[-1]:.4g}" for name, values in self.taken.items()}
        return f"{self.tool} at {self.streams}: {latest}"

    def plain(self, rows: Sequence[Row]) -> dict[str, Any]:
        """For JSON; tokgate's rows tell the goals, too."""
        figures = {name: median(values) for name, values in self.taken.items()}
        ranges = {name: [min(values), max(values)] for name, values in self.taken.items()}
        goals = [
            {"what": goal.what, "goal": goal.bound, "seen": seen, "reached": goal.reached(seen)}
            for goal in GOALS
            for streams, seen in goal.seen(rows)
            if self.tool == "tokgate" and streams == self.streams
        ]
        return {"tool": self.tool, "streams": self.streams, **figures, "ranges": ranges, "goals": goals}


class Goal(NamedTuple):
    """what: in words; of: how tokgate's row and a peer's (its own where there is none) come to one number.

    least: whether `bound` is the least or the most that number may be; phase: what it is taken in.
    """

    what: str
    peer: str
    streams: tuple[int, ...]
    phase: str
    of: Callable[[Row, Row], float]
    bound: float
    least: bool

    def seen(self, rows: Iterable[Row]) -> list[tuple[int, float]]:
        """(streams, the number) wherever both were measured."""
        by_name = {(row.tool, row.streams): row for row in rows}
        found = []
        for streams in self.streams:
            try:
                found.append((streams, self.of(by_name["tokgate", streams], by_name[self.peer, streams])))
            except KeyError:
                continue
        return found

    def reached(self, seen: float) -> bool:
        return seen >= self.bound if self.least else seen <= self.bound


ALL = (1, 16, 100, 500, 1000)

GOALS = (
    Goal("CPU per token: the SDK used plainly / tokgate", "openai-sdk", (1, 16), "fast",
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


def needed(tool: str, streams: int, phase: str) -> bool:
    """Whether a goal names this figure."""
    return any(
        tool in ("tokgate", goal.peer) and streams in goal.streams and phase == goal.phase for goal in GOALS
    )


def markdown(rows: Sequence[Row], failures: dict[str, str]) -> str:
    """The goals, every figure, and what could not be measured with its reason."""
    lines = ["| what | streams | goal | seen | |", "|---|--:|--:|--:|---|"]
    for goal in GOALS:
        for streams, seen in goal.seen(rows):
            bound = f"{'≥' if goal.least else '≤'} {goal.bound:g}"
            mark = "reached" if goal.reached(seen) else "**missed**"
            lines.append(f"| {goal.what} | {streams} | {bound} | {seen:.3g} | {mark} |")
    lines += [
        "",
        "| tool | streams | tok/s | CPU µs per token | peak MB | TTFT error ms | decode error % |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            _figure(row.taken.get("tok_s"), "{:,.0f}"),
            _figure(row.taken.get("cpu_us_per_token"), "{:.2f}"),
            _figure(row.taken.get("peak_mb"), "{:.0f}"),
            _figure(row.taken.get("ttft_error_ms"), "{:+.2f}"),
            _figure([100 * value for value in row.taken.get("decode_error", [])], "{:+.2f}"),
        ]
        lines.append(f"| {row.tool} | {row.streams} | {' | '.join(cells)} |")
    lines += [f"\nNot measured: {what}: {why}" for what, why in failures.items()]
    return "\n".join(lines)


def _figure(values: Sequence[float] | None, form: str) -> str:
    """A median, with its range where it was taken more than once."""
    if not values:
        return "–"
    told = form.format(median(values))
    return told if len(values) == 1 else f"{told} ({form.format(min(values))}…{form.format(max(values))})"
