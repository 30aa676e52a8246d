"""Charts: parts of the view as figures of plotly.js, plain data; colours of text and grid are the page's."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from itertools import count
from statistics import median
from typing import Any

import msgspec

from tokgate.config.metric import find_metric
from tokgate.report.host import Host
from tokgate.report.latency import SHARES, Latency, Spread
from tokgate.report.trend import Trend

# After Okabe and Ito (the blue lighter, for dark pages): told apart without full colour vision; dash and symbol tell them apart without any.
_COLOURS = ("#2A8FD6", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """key: its place in the page; title: what it shows, read aloud too; height: in CSS pixels."""

    key: str
    title: str
    height: int
    data: tuple[dict[str, Any], ...]
    layout: dict[str, Any]


def trend_charts(trends: Iterable[Trend]) -> tuple[Chart, ...]:
    """For each server and metric, its workloads as percent of their own median, so that one axis holds all."""
    groups: dict[tuple[str, str], list[Trend]] = {}
    for one in trends:
        if median(one.values) > 0:
            groups.setdefault((one.server, one.metric), []).append(one)
    return tuple(_trend_chart(at, *key, group) for at, (key, group) in enumerate(groups.items()))


def latency_charts(latencies: Iterable[Latency]) -> tuple[Chart, ...]:
    """Time to first token, and gaps between tokens: the share of all that took at most so long."""
    cells = list(latencies)
    first = [(cell, cell.ttft) for cell in cells if cell.ttft]
    gaps = [(cell, cell.itl) for cell in cells if cell.itl]
    charts = [
        _distribution("ttft", "Time to first token: share of requests that waited at most so long", first),
        _distribution("itl", "Gap between tokens: share of gaps that lasted at most so long", gaps),
    ]
    return tuple(chart for chart in charts if chart.data)


def host_chart(host: Host) -> Chart | None:
    """Every sensor under the others on one axis of time."""
    tracks = host.tracks
    if not tracks:
        return None
    each = 1 / len(tracks)
    below = f"y{len(tracks)}" if len(tracks) > 1 else "y"
    layout: dict[str, Any] = {
        "xaxis": {"anchor": below, "ticksuffix": " s", "rangemode": "tozero"},
        "showlegend": False,
        "shapes": [_line(at_s, "dot") for at_s in host.borders_s[:-1]] if len(host.borders_s) < 50 else [],
    }
    data = []
    for at, track in enumerate(tracks):
        top = 1 - at * each
        axis = "" if at == 0 else str(at + 1)
        layout[f"yaxis{axis}"] = {
            "domain": [round(top - 0.8 * each, 4), round(top - 0.12 * each, 4)],
            "nticks": 4,
            "rangemode": "tozero",
        }
        layout.setdefault("annotations", []).append(
            {"text": _text(track.title), "x": 0, "xref": "paper", "y": top - 0.1 * each, "yref": "paper"}
            | {"xanchor": "left", "yanchor": "bottom", "showarrow": False}
        )
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": track.at_s,
                "y": track.values,
                "yaxis": f"y{axis}",
                "text": [_text(told) for told in track.told],
                "hovertemplate": "%{y} · %{text}<extra></extra>",
                "line": {"color": _COLOURS[0], "width": 1.5},
            }
        )
    return Chart(
        key="host",
        title="Sensors over the seconds of measuring, one timed region after another",
        height=60 + 95 * len(tracks),
        data=tuple(data),
        layout=layout,
    )


def _trend_chart(at: int, server: str, metric: str, group: list[Trend]) -> Chart:
    data: list[dict[str, Any]] = []
    for one, (colour, dash, symbol) in zip(group, _looks(), strict=False):
        middle = median(one.values)
        symbols = [symbol if valid else f"{symbol}-open" for valid in one.valid]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": _text(one.workload),
                "x": [time[:16] for time in one.times],  # to the minute: a year of many cells is a large page
                "y": [round(100 * value / middle, 2) for value in one.values],
                "customdata": [float(f"{value:.4g}") for value in one.values],
                "hovertemplate": f"%{{customdata}} {find_metric(metric).unit}, %{{x}}",
                "line": {"color": colour, "dash": dash, "width": 1.5},
                "marker": {"color": colour, "size": 6, "symbol": symbol if all(one.valid) else symbols},
            }
        )
    marks = dict.fromkeys(mark for one in group for mark in one.facts)
    turns = [turn for one in group for turn in one.turns]
    return Chart(
        key=f"trend-{at}",
        title=f"{server}: {metric}, percent of the median",
        height=300,
        data=tuple(data),
        layout={
            "xaxis": {"type": "date"},
            # Not closer than 5 %: noise should look like noise.
            "yaxis": {"ticksuffix": " %", "autorangeoptions": {"include": [95, 105]}},
            "shapes": [
                *(_line(mark.at, "dot") for mark in marks),
                *(_line(turn.at, "solid") for turn in turns),
            ],
            "annotations": [
                *(_flag(mark.at, "⚑", mark.text) for mark in marks),
                *(_flag(turn.at, turn.badge.symbol, turn.text, below=True) for turn in turns),
            ],
        },
    )


def _distribution(key: str, title: str, cells: list[tuple[Latency, Spread]]) -> Chart:
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": _text(f"{cell.server} {cell.workload}"),
            "x": [round(1e3 * value, 4) for value in spread.seconds],
            "y": [100 * share for share in SHARES],
            "hovertemplate": "%{y} % within %{x:.4g} ms",
            "line": {"color": colour, "dash": dash, "width": 2},
        }
        for (cell, spread), (colour, dash, _) in zip(cells, _looks(), strict=False)
    ]
    layout = {
        "xaxis": _time_axis([value for _, spread in cells for value in spread.seconds if value > 0]),
        "yaxis": {"ticksuffix": " %", "range": [0, 101]},
    }
    return Chart(key=key, title=title, height=360, data=tuple(data), layout=layout)


def _time_axis(seconds: list[float]) -> dict[str, Any]:
    """Milliseconds: on a log scale, at 1, 2 and 5 of each decade, where they span more than one."""
    low, high = (min(seconds), max(seconds)) if seconds else (1.0, 1.0)
    if high <= 10 * low:
        return {"ticksuffix": " ms", "nticks": 6}
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks_s = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return {
        "type": "log",
        "tickvals": [1e3 * one for one in ticks_s],
        "ticktext": [f"{one:g} s" if one >= 1 else f"{1e3 * one:g} ms" for one in ticks_s],
    }


def _looks() -> Iterator[tuple[str, str, str]]:
    """Colour, dash and symbol of each next line; a colour that comes again has another dash."""
    for at in count():
        colour = at % len(_COLOURS)
        yield _COLOURS[colour], _DASHES[(at + at // len(_COLOURS)) % len(_DASHES)], _SYMBOLS[colour]


def _line(at: str | float, dash: str) -> dict[str, Any]:
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper"} | {
        "line": {"dash": dash, "width": 1}
    }


def _flag(at: str, symbol: str, text: str, *, below: bool = False) -> dict[str, Any]:
    """A sign at the top, or just below it, whose text shows when pointed at; the page lists all of them too."""
    return {
        "x": at,
        "y": 1,
        "yref": "paper",
        "text": symbol,
        "hovertext": _text(text),
        "showarrow": False,
        "yanchor": "top" if below else "bottom",
        "xanchor": "right" if below else "center",
    }


def _text(text: str) -> str:
    """Text as plotly.js must be given it: it takes tags in labels for formatting, and links for links."""
    return html.escape(text, quote=False)
