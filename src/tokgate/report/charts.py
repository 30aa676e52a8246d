"""Charts: parts of the view as figures of plotly.js, plain data; the page sets the colors of text and grid."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from itertools import count
from statistics import median
from typing import Any

import msgspec

from tokgate._printable import escape_line
from tokgate.config.metric import find_metric
from tokgate.config.words import format_tick
from tokgate.report.host import HostActivity
from tokgate.report.latency import SHARES, Latency, Spread
from tokgate.report.trend import Trend

# After Okabe and Ito (the blue lighter, for dark pages): distinct for color-blind readers; dash and symbol are distinct without color.
_COLORS = ("#2A8FD6", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """key: its place in the page; title: what it shows, read aloud too; height: in CSS pixels."""

    key: str
    title: str
    height: int
    data: tuple[dict[str, Any], ...]
    layout: dict[str, Any]


def draw_trends(trends: Iterable[Trend]) -> tuple[Chart, ...]:
    """For each server and metric, its workloads as percent of their own median, so that they share one axis."""
    groups: dict[tuple[str, str], list[Trend]] = {}
    for trend in trends:
        if _find_middle(trend) > 0:
            groups.setdefault((trend.series.server, trend.series.metric), []).append(trend)
    return tuple(_trend_chart(at, *key, group) for at, (key, group) in enumerate(groups.items()))


def draw_latencies(latencies: Iterable[Latency]) -> tuple[Chart, ...]:
    """Cumulative distributions of the time to first token and of the gaps between tokens."""
    cells = list(latencies)
    first = [(cell, cell.ttft) for cell in cells if cell.ttft]
    gaps = [(cell, cell.itl) for cell in cells if cell.itl]
    charts = [
        _distribution("ttft", "Time to first token: share of requests within a time", first),
        _distribution("itl", "Gap between tokens: share of gaps within a time", gaps),
    ]
    return tuple(chart for chart in charts if chart.data)


def draw_host(host: HostActivity) -> Chart | None:
    """All sensors, one below the other, on one time axis."""
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
                "text": [_text(label) for label in track.labels],
                "hovertemplate": "%{y} · %{text}<extra></extra>",
                "line": {"color": _COLORS[0], "width": 1.5},
            }
        )
    return Chart(
        key="host",
        title="Sensors during the timed requests, one measurement after another",
        height=60 + 95 * len(tracks),
        data=tuple(data),
        layout=layout,
    )


def _find_middle(trend: Trend) -> float:
    return median(point.value for point in trend.series.points)


def _trend_chart(at: int, server: str, metric: str, group: list[Trend]) -> Chart:
    data: list[dict[str, Any]] = []
    for trend, (color, dash, symbol) in zip(group, _looks(), strict=False):
        middle, points = _find_middle(trend), trend.series.points
        symbols = [symbol if point.valid else f"{symbol}-open" for point in points]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": _text(trend.series.workload),
                "x": [_to_minute(point.started) for point in points],
                "y": [round(100 * point.value / middle, 2) for point in points],
                "customdata": [float(f"{point.value:.4g}") for point in points],
                "hovertemplate": f"%{{customdata}} {find_metric(metric).unit}, %{{x}}",
                "line": {"color": color, "dash": dash, "width": 1.5},
                "marker": {
                    "color": color,
                    "size": 6,
                    "symbol": symbols if f"{symbol}-open" in symbols else symbol,
                },
            }
        )
    marks = dict.fromkeys(mark for trend in group for mark in trend.facts)
    turns = [turn for trend in group for turn in trend.turns]
    return Chart(
        key=f"trend-{at}",
        title=f"{escape_line(server)}: {find_metric(metric).title.lower()} ({metric}), percent of the median",
        height=300,
        data=tuple(data),
        layout={
            "xaxis": {"type": "date"},
            # Not closer than 5 %: noise should look like noise.
            "yaxis": {"ticksuffix": " %", "autorangeoptions": {"include": [95, 105]}},
            "shapes": [
                *(_line(_to_minute(mark.at), "dot") for mark in marks),
                *(_line(_to_minute(turn.at), "solid") for turn in turns),
            ],
            "annotations": [
                *(_flag(_to_minute(mark.at), "⚑", mark.text) for mark in marks),
                *(_flag(_to_minute(turn.at), turn.badge.symbol, turn.text, below=True) for turn in turns),
            ],
        },
    )


def _distribution(key: str, title: str, cells: list[tuple[Latency, Spread]]) -> Chart:
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": _text(" ".join(cell.case)),
            "x": [round(1e3 * value, 4) for value in spread.seconds],
            "y": [100 * share for share in SHARES],
            "hovertemplate": "%{y} % within %{x:.4g} ms",
            "line": {"color": color, "dash": dash, "width": 2},
        }
        for (cell, spread), (color, dash, _) in zip(cells, _looks(), strict=False)
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
        "tickvals": [1e3 * tick_s for tick_s in ticks_s],
        "ticktext": [format_tick(tick_s) for tick_s in ticks_s],
    }


def _to_minute(at: str) -> str:
    """A time of the trends' axis, without seconds: a year of many cells is a large page."""
    return at[:16]


def _looks() -> Iterator[tuple[str, str, str]]:
    """Color, dash and symbol of each next line; a color that comes again has another dash."""
    for at in count():
        color = at % len(_COLORS)
        yield _COLORS[color], _DASHES[(at + at // len(_COLORS)) % len(_DASHES)], _SYMBOLS[color]


def _line(at: str | float, dash: str) -> dict[str, Any]:
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper"} | {
        "line": {"dash": dash, "width": 1}
    }


def _flag(at: str, symbol: str, text: str, *, below: bool = False) -> dict[str, Any]:
    """A sign at the top, or just below it, with its text as a tooltip; the page lists all of them too."""
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
    """Escaped text: plotly.js interprets tags in labels as formatting, and links as links."""
    return html.escape(escape_line(text), quote=False)
