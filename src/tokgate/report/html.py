"""HTML: one file that works offline, is complete without JavaScript, and runs only its own two scripts."""

from __future__ import annotations

import base64
import hashlib

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tokgate._printable import escape_line
from tokgate.report.charts import Chart, draw_host, draw_latencies, draw_trends
from tokgate.report.table import select_filled
from tokgate.report.view import COLUMNS, Report


def to_html(report: Report) -> str:
    """The report as a page. Every text is escaped; the page's policy allows its own scripts by their hash."""
    environment = Environment(
        loader=PackageLoader("tokgate.report"),
        autoescape=True,
        finalize=_escape_controls,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(columns=COLUMNS, select_filled=select_filled)
    environment.policies["json.dumps_function"] = _json
    drawn = _draw(report)
    of_boxes = [_draw(box.report, key=box.key) for box in report.boxes]
    charts = tuple(chart for groups in (drawn, *of_boxes) for group in groups.values() for chart in group)
    # plotly.js is the larger part of the page: only where something is drawn with it.
    scripts = (get_plotlyjs(), environment.get_template("charts.js").render()) if charts else ()
    return environment.get_template("report.html").render(
        report=report,
        drawn=drawn,
        box_charts=of_boxes,
        charts=charts,
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
    )


def _escape_controls(value: object) -> object:
    """A text as `escape_line` shows it; markup of the page itself, and what is not a text, as it is."""
    return escape_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _draw(report: Report, *, key: str = "") -> dict[str, tuple[Chart, ...]]:
    """The charts of one run by section; key: before that of each."""
    host = draw_host(report.host)
    groups = {
        "trends": draw_trends(report.trends),
        "latency": draw_latencies(report.latencies),
        "host": (host,) if host else (),
    }
    return {
        name: tuple(msgspec.structs.replace(chart, key=f"{key}{chart.key}") for chart in charts)
        for name, charts in groups.items()
    }


def _policy(scripts: tuple[str, ...]) -> str:
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(charts: tuple[Chart, ...], **_: object) -> str:
    return msgspec.json.encode(charts).decode()
