"""Results of `error_rates.py` as Markdown tables, and the operating characteristic as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from scipy.stats import binomtest

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 740, 420, 64, 52, 24, 184
COLORS = {0.01: "#1b7f5c", 0.02: "#2f6db5", 0.05: "#b5482f"}
X_MOST = 0.20


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts of one gate on one scenario; the three probabilities add up to 1 (improved counts as a pass)."""

    gate: str
    cv: float
    drift: float
    true_drop: float
    launches: float
    runs: int
    p_regressed: float
    p_inconclusive: float
    p_pass: float


def markdown(rows: Sequence[Row]) -> str:
    """All tables, each under its heading."""
    return "\n\n".join(f"### {title}\n\n{table(rows)}" for title, table in TABLES.items())


def _false_alarms(rows: Sequence[Row]) -> str:
    gates = ["tokgate", "mean < 0.95 x baseline", "pytest-benchmark mean:5%", "pytest-benchmark min:5%"]
    by_key = {(row.gate, row.cv, row.drift): row for row in rows if row.true_drop == 0}
    lines = []
    for cv in COLORS:
        for drift in (0.0, 0.03):
            cells = [by_key[f"{gate}, run of 20", cv, drift].p_regressed for gate in gates]
            lines.append([_percent(cv), _percent(drift), *map(_rate, cells)])
    return _table(["CV", "drift", *gates], lines)


def _drops(rows: Sequence[Row]) -> str:
    gates = ["tokgate", "mean < 0.95 x baseline", "pytest-benchmark mean:5%", "pytest-benchmark min:5%"]
    by_key = {(row.gate, row.cv, row.true_drop): row for row in rows if row.drift == 0}
    lines = [
        [_percent(drop), _percent(cv), *(_three(by_key[gate, cv, drop]) for gate in gates)]
        for drop in (0.05, 0.10)
        for cv in COLORS
    ]
    return _table(["true drop", "CV", *gates], lines)


def _characteristic(rows: Sequence[Row]) -> str:
    by_key = {(row.true_drop, row.cv): row for row in rows if row.gate == "tokgate" and row.drift == 0}
    lines = [
        [_percent(drop), *(_three(by_key[drop, cv]) for cv in COLORS)] for drop in sorted({drop for drop, _ in by_key})
    ]
    return _table(["true drop", *(f"CV {_percent(cv)}" for cv in COLORS)], lines)


def _early(rows: Sequence[Row]) -> str:
    by_key = {(row.gate, row.cv, row.true_drop): row for row in rows}
    lines = []
    for (gate, cv, drop), early in by_key.items():
        if not gate.endswith(", early stopping"):
            continue
        fixed = by_key[gate.removesuffix(", early stopping"), cv, drop]
        plan = gate.removeprefix("tokgate, plan of ").removesuffix(", early stopping")
        spent = (
            f"{early.launches:.1f} of {fixed.launches:.1f}",
            f"{100 * early.launches / fixed.launches:.0f} %",
        )
        lines.append([plan, _percent(cv), _percent(drop), *spent, _three(early), _three(fixed)])
    header = ["plan", "CV", "true drop", "launches spent", "share", "stopping early", "whole plan"]
    return _table(header, lines)


def _early_alarms(rows: Sequence[Row]) -> str:
    lines = [
        [
            row.gate.removeprefix("tokgate, ").removesuffix(", run of 20"),
            _percent(row.cv),
            _rate(row.p_regressed),
        ]
        for row in rows
        if row.gate.startswith("tokgate, plan of") and row.gate.endswith("run of 20")
    ]
    return _table(["", "CV", "runs of 20 cells that fail"], lines)


def _only(chosen: Callable[[Row], bool]) -> Callable[[Sequence[Row]], str]:
    def table(rows: Sequence[Row]) -> str:
        lines = [
            [row.gate, _percent(row.cv), _percent(row.drift), _percent(row.true_drop), _three(row)]
            for row in rows
            if chosen(row)
        ]
        return _table(["", "CV", "drift", "true drop", "regressed / inconclusive / pass"], lines)

    return table


def _duet_alarms(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        if row.gate.startswith("duet, ") and row.gate.endswith(", whole runs"):
            fails = round(row.p_regressed * row.runs)
            most = binomtest(fails, row.runs).proportion_ci(method="exact").high
            name = row.gate.removeprefix("duet, ").removesuffix(", whole runs")
            lines.append([name, _percent(row.cv), f"{fails} of {row.runs}", f"{100 * most:.2f} %", _three(row)])
    return _table(["", "SD", "fail", "at most (95 % interval)", "regressed / inconclusive / pass"], lines)


def _duets(rows: Sequence[Row]) -> str:
    chosen = [row for row in rows if row.gate.startswith("duet, ") and not row.gate.endswith("whole runs")]
    by_key = {(row.gate, row.cv, row.true_drop): row for row in chosen if "above" not in row.gate}
    lines = []
    for gate, cv in dict.fromkeys((gate, cv) for gate, cv, _ in by_key):
        drops = sorted(drop for *same, drop in by_key if same == [gate, cv])
        lines.append([gate.removeprefix("duet, "), _percent(cv), *(_with_pairs(by_key[gate, cv, d]) for d in drops)])
    width = max(len(line) for line in lines)
    lines = [line + [""] * (width - len(line)) for line in lines]
    return _table(["", "SD", "nothing changed", "slower by the promise", "by twice the promise"], lines)


def _claims(rows: Sequence[Row]) -> str:
    by_key = {(row.gate, row.cv, row.true_drop): row for row in rows if row.gate.startswith("duet, above")}
    ratios = sorted({drop for *_, drop in by_key})
    lines = [
        [gate.removeprefix("duet, "), _percent(cv), *(_with_pairs(by_key[gate, cv, drop]) for drop in ratios)]
        for gate, cv in dict.fromkeys((gate, cv) for gate, cv, _ in by_key)
    ]
    return _table(["", "SD", *(f"true ratio {1 - drop:g}" for drop in ratios)], lines)


def _with_pairs(row: Row) -> str:
    return f"{_three(row)}, {row.launches:.1f}"


TABLES: dict[str, Callable[[Sequence[Row]], str]] = {
    "Nothing changed: runs of 20 cells that fail": _false_alarms,
    "One cell is slower: regressed / inconclusive / pass": _drops,
    "Operating characteristic: regressed / inconclusive / pass": _characteristic,
    "Early stopping": _early,
    "Early stopping, nothing changed": _early_alarms,
    "Drift": _only(
        lambda row: "only tonight" in row.gate or (row.gate == "tokgate" and row.drift > 0 and row.true_drop > 0)
    ),
    "Against a history of 15 nights": _only(lambda row: "15 nights" in row.gate),
    "Duet: runs with nothing changed that fail": _duet_alarms,
    "Duet: regressed / inconclusive / pass, and the mean number of launch pairs": _duets,
    "Duet: refuted / inconclusive / confirmed, and the mean number of launch pairs": _claims,
    "Hypotheses: blocks A B B A compared with all of A before all of B": _only(lambda row: "slower?" in row.gate),
}


def svg(rows: Sequence[Row]) -> str:
    """Detection against true drop: tokgate as solid lines, the naive rule dashed, one color for each CV."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for percent in range(0, 21, 5):
        x = _x(percent / 100)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{percent} %</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">true drop of one cell of 20</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 8}">called regressed</text>')
    for gate, dash in (("tokgate", ""), ("mean < 0.95 x baseline", ' stroke-dasharray="5 4"')):
        for cv, color in COLORS.items():
            points = sorted(
                (row.true_drop, row.p_regressed) for row in rows if row.gate == gate and row.cv == cv and row.drift == 0
            )
            line = " ".join(f"{_x(drop):.1f},{_y(rate):.1f}" for drop, rate in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
    parts += _legend()
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> Iterable[str]:
    x, y = WIDTH - RIGHT + 14, TOP + 10
    for name, dash in (("tokgate", ""), ("mean &lt; 0.95 × base", ' stroke-dasharray="5 4"')):
        yield f'<text x="{x}" y="{y + 4}" font-weight="bold">{name}</text>'
        for cv, color in COLORS.items():
            y += 22
            yield f'<line x1="{x}" x2="{x + 28}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="2"{dash}/>'
            yield f'<text x="{x + 36}" y="{y + 4}">CV {_percent(cv)}</text>'
        y += 34


def _x(drop: float) -> float:
    return LEFT + drop / X_MOST * (WIDTH - RIGHT - LEFT)


def _y(rate: float) -> float:
    return HEIGHT - BOTTOM - rate * (HEIGHT - BOTTOM - TOP)


def _percent(value: float) -> str:
    return f"{100 * value:g} %"


def _rate(value: float) -> str:
    return f"{100 * value:.2f} %"


def _three(row: Row) -> str:
    return " / ".join(f"{100 * p:.1f}" for p in (row.p_regressed, row.p_inconclusive, row.p_pass))


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
