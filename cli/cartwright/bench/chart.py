"""Draws throughput and latency over the number of clients, as one SVG file that a browser or a README shows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from cartwright.bench.figures import Outcome
from cartwright.bench.report import Report
from cartwright.bench.requests import HOT_PURCHASES, PURCHASES

PGBENCH = "pgbench"
PANEL_WIDTH, PANEL_HEIGHT = 380, 260
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM = 64, 40, 76
COLORS = {PURCHASES: "#0b62a4", HOT_PURCHASES: "#c8102e", PGBENCH: "#6b6b6b"}

STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600; font-size: 13px }
.grid { stroke: #ddd } .axis { stroke: #888 } .line { fill: none; stroke-width: 2 } .late { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } }"""


@dataclass(frozen=True)
class Series:
    """Points are (clients, value)."""

    name: str
    color: str
    points: Sequence[tuple[int, float]]
    is_dashed: bool = False


def draw(report: Report) -> str:
    """The chart of a report. Purchases and pgbench: what else is measured is of another size."""
    curves = {
        kind: [load.outcome for load in report.loads if load.kind == kind] for kind in (PURCHASES, HOT_PURCHASES)
    } | {PGBENCH: report.baseline}
    left = Panel("purchases a second", 0, _series(curves, lambda outcome: outcome.per_second), is_logarithmic=False)
    late = _series(curves, lambda outcome: outcome.latency.p99, is_dashed=True)
    right = Panel(
        "milliseconds: median, and 99 of 100 (dashed)",
        PANEL_WIDTH + MARGIN_LEFT,
        [*_series(curves, lambda outcome: outcome.latency.p50), *late],
        is_logarithmic=True,
    )
    width, height = 2 * (PANEL_WIDTH + MARGIN_LEFT) + 20, PANEL_HEIGHT + MARGIN_TOP + MARGIN_BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
            f"<style>{STYLE}</style>",
            *left.lines(),
            *right.lines(),
            *_legend([name for name, outcomes in curves.items() if outcomes], height - 14),
            "</svg>",
            "",
        ]
    )


def _series(
    curves: Mapping[str, Sequence[Outcome]], value: Callable[[Outcome], float], *, is_dashed: bool = False
) -> list[Series]:
    return [
        Series(name, COLORS[name], [(outcome.clients, value(outcome)) for outcome in outcomes], is_dashed)
        for name, outcomes in curves.items()
        if outcomes
    ]


@dataclass(frozen=True)
class Panel:
    """Clients are set side by side at equal distances, since each step is a multiple of the one before."""

    title: str
    offset: int
    series: Sequence[Series]
    is_logarithmic: bool

    def lines(self) -> list[str]:
        left, right, bottom = self.offset + MARGIN_LEFT, self.offset + PANEL_WIDTH, MARGIN_TOP + PANEL_HEIGHT
        drawn = [f'<text class="title" x="{left}" y="{MARGIN_TOP - 16}">{escape(self.title)}</text>']
        for tick in self._ticks():
            y = self._y(tick)
            drawn.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
            drawn.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
        drawn.append(f'<path class="axis" d="M{left} {bottom}H{right}"/>')
        drawn += [
            f'<text x="{self._x(clients):.1f}" y="{bottom + 18}" text-anchor="middle">{clients}</text>'
            for clients in self._clients()
        ]
        drawn.append(f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">clients</text>')
        return drawn + [part for series in self.series for part in self._curve(series)]

    def _curve(self, series: Series) -> list[str]:
        places = [(self._x(clients), self._y(value)) for clients, value in series.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        kind = "line late" if series.is_dashed else "line"
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{series.color}"/>' for x, y in places]
        return [f'<path class="{kind}" stroke="{series.color}" d="M{path}"/>', *dots]

    def _clients(self) -> list[int]:
        return sorted({clients for series in self.series for clients, _ in series.points})

    def _x(self, clients: int) -> float:
        known = self._clients()
        share = known.index(clients) / max(len(known) - 1, 1)
        return self.offset + MARGIN_LEFT + 16 + share * (PANEL_WIDTH - MARGIN_LEFT - 32)

    def _y(self, value: float) -> float:
        ticks = self._ticks()
        if self.is_logarithmic:
            low, high = math.log10(ticks[0]), math.log10(ticks[-1])
            share = (math.log10(max(value, ticks[0])) - low) / (high - low)
        else:
            share = value / ticks[-1]
        return MARGIN_TOP + PANEL_HEIGHT * (1 - share)

    def _ticks(self) -> list[float]:
        values = [value for series in self.series for _, value in series.points if value > 0] or [1.0]
        return powers_of_ten(min(values), max(values)) if self.is_logarithmic else round_steps(max(values))


def round_steps(largest: float) -> list[float]:
    """From 0 in up to six steps of 1, 2 or 5 times a power of ten, to at least `largest`."""
    power = 10.0 ** math.floor(math.log10(largest / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= largest)
    return [step * number for number in range(math.ceil(largest / step) + 1)]


def powers_of_ten(smallest: float, largest: float) -> list[float]:
    """Those that hold the range, at least two."""
    first = math.floor(math.log10(smallest))
    last = max(math.ceil(math.log10(largest)), first + 1)
    return [10.0**exponent for exponent in range(first, last + 1)]


def _legend(names: Sequence[str], y: float) -> list[str]:
    drawn, x = [], float(MARGIN_LEFT)
    for name in names:
        drawn.append(f'<path class="line" stroke="{COLORS[name]}" d="M{x} {y - 4}h20"/>')
        drawn.append(f'<text x="{x + 26}" y="{y}">{escape(name)}</text>')
        x += 150
    return drawn
