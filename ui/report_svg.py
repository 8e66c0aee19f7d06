"""Charts of a run as plain SVG for a file without scripts: colours and sizes are the document's (CSS classes)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from lab.runs.result import Against, Result
from lab.statistics.threats import HIGHEST_KL
from ui.evidence_figures import MOST_LABELS, Doses, Dot, bars, reach, share_reach

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 400, 46, 12, 12, 36
ROW, STRIP_LEFT = 16, 130
STYLE = """
figure { margin: 1rem 0; max-width: 560px; } figcaption { color: var(--faint); font-size: .87rem; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--text); }
.axis { stroke: var(--faint); } .zero { stroke: var(--text); } .dash { stroke: var(--text); stroke-dasharray: 5 4; }
.band { fill: var(--grey); opacity: .22; } .bars { fill: var(--grey); stroke: var(--ground); stroke-width: .5; }
.thin { stroke: var(--grey); fill: none; opacity: .7; } .thick { stroke: var(--positive); fill: none; stroke-width: 3; }
.control { fill: var(--ground); stroke: var(--grey); stroke-width: 1.5; }
.whole { stroke: var(--text); stroke-width: 3; }
.mean { fill: var(--text); } .up { fill: var(--positive); } .down { fill: var(--negative); }
.edit-up { stroke: var(--positive); stroke-width: 3; } .edit-down { stroke: var(--negative); stroke-width: 3; }
.tick { stroke: var(--positive); stroke-width: 2; } svg .bold {
  font-weight: 650; paint-order: stroke; stroke: var(--ground); stroke-width: 3; }
"""


@dataclass(frozen=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    bend: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        low, high = self.bend(self.low), self.bend(self.high)
        return self.start + (self.bend(value) - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About five round values."""
        step = (self.high - self.low) / 5 or 1.0
        unit = 10.0 ** math.floor(math.log10(step))
        step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= step * 0.999)
        return [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def controls_svg(against: Against, smallest: float, unit: str) -> str:
    height = 190
    x = _across(reach([*against.means, against.effect, -smallest, smallest]))
    drawn = bars(against)
    y = Scale(0, max(bar.sets for bar in drawn), height - BOTTOM, TOP + 16)
    at = x(against.effect)
    side = "end" if at > WIDTH / 2 else "start"
    sign = "up" if against.effect > 0 else "down"
    parts = [
        _box(x(-smallest), TOP, x(smallest), height - BOTTOM, "band"),
        _upright(x(0), "axis", height),
        *(_box(x(bar.left), y(bar.sets), x(bar.right), y(0), "bars") for bar in drawn),
        _upright(at, f"edit-{sign}", height),
        _text(at + (-6 if side == "end" else 6), TOP + 9, "the edit", side, "bold"),
        *_below(x, f"mean effect over units, {unit}", height),
        *_beside(y, "control sets", whole=True),
    ]
    return _svg(height, f"mean effects of {against.sets} control sets, and the edit's, {unit}", parts)


def dots_svg(drawn: Sequence[Dot], found: Result, smallest: float, what: str) -> str:
    interval = None if found.findings is None else found.findings.interval
    rows = len(drawn) + (interval is not None)
    named = len(drawn) <= MOST_LABELS
    row = ROW if named else ROW * MOST_LABELS / 2 / len(drawn)
    height, left = TOP + BOTTOM + row * rows, 150
    values = [dot.effect for dot in drawn] + [dot.controls for dot in drawn if dot.controls is not None]
    x = _across(reach([*values, -smallest, smallest], interval), left)
    parts = [_upright(x(value), kind, height) for value, kind in ((0, "zero"), (-smallest, "dash"), (smallest, "dash"))]
    middle = TOP + row / 2
    if interval is not None:
        parts += [
            _line(x(interval.low), middle, x(interval.high), middle, "whole"),
            _diamond(x(interval.estimate), middle),
            _text(left - 6, middle + 4, f"mean {what}", "end", "bold", most=24),
        ]
        middle += row
    for dot in drawn:
        if dot.controls is not None:
            parts.append(_line(x(dot.controls), middle, x(dot.effect), middle, "thin"))
            parts.append(_circle(x(dot.controls), middle, 3.5, "control"))
        told = f"{dot.text}: {dot.effect:+.3f} {found.unit}"
        parts.append(_circle(x(dot.effect), middle, 4, "up" if dot.effect > 0 else "down", told))
        if named:
            parts.append(_text(left - 6, middle + 4, dot.label, "end", most=24))
        middle += row
    parts += _below(x, f"{what}, {found.unit}", height)
    return _svg(height, f"{what} of {len(drawn)} prompts, {found.unit}", parts)


def doses_svg(drawn: Doses, unit: str) -> str:
    height = 240
    x = _across(reach(drawn.axis))
    y = Scale(*reach([value for effects in drawn.units.values() for value in effects]), height - BOTTOM, TOP)
    parts = [_line(LEFT, y(0), WIDTH - RIGHT, y(0), "zero"), _upright(x(0), "zero", height)]
    parts += [_path(x, y, drawn.axis, effects, "thin") for effects in drawn.units.values()]
    parts.append(_path(x, y, drawn.axis, drawn.mean, "thick"))
    parts += [_circle(x(a), y(b), 4, "up") for a, b in zip(drawn.axis, drawn.mean, strict=True)]
    parts += [*_below(x, "dose (1 decides, 0: no edit)", height), *_beside(y, f"effect of the edit, {unit}")]
    return _svg(height, f"effect at {len(drawn.axis)} doses, {unit}", parts)


def predicted_svg(drawn: Sequence[Dot], unit: str) -> str:
    height = 300
    edges = reach([value for dot in drawn for value in (dot.predicted or 0.0, dot.measured)])
    x, y = _across(edges), Scale(*edges, height - BOTTOM, TOP)
    parts = [_line(x(edges[0]), y(edges[0]), x(edges[1]), y(edges[1]), "dash")]
    parts += [
        _circle(x(dot.predicted), y(dot.measured), 4, "up", f"{dot.text}: {dot.predicted:+.3f}, {dot.measured:+.3f}")
        for dot in drawn
        if dot.predicted is not None
    ]
    parts += [*_below(x, f"foretold, {unit}", height), *_beside(y, f"measured, {unit}")]
    return _svg(height, f"foretold against measured effects of {len(drawn)} prompts, {unit}", parts)


def shares_svg(rows: dict[str, list[tuple[str, float]]], title: str) -> str:
    edges = share_reach(rows)
    return _strips(rows, title, 100, Scale(*edges, STRIP_LEFT, WIDTH - RIGHT))


def kl_svg(rows: dict[str, list[tuple[str, float]]], title: str) -> str:
    high = 1.05 * max(HIGHEST_KL, *(value for pairs in rows.values() for _, value in pairs))
    x = Scale(0.0, high, STRIP_LEFT, WIDTH - RIGHT, lambda value: math.sqrt(max(value, 0.0)))
    return _strips(rows, f"{title} (√ scale)", HIGHEST_KL, x)


def _strips(rows: dict[str, list[tuple[str, float]]], title: str, mark: float, x: Scale) -> str:
    height = TOP + BOTTOM + 26 * len(rows)
    parts = [_upright(x(mark), "dash", height)]
    for n, (name, pairs) in enumerate(rows.items()):
        middle = TOP + 26 * n + 13
        for text, value in pairs:
            at = min(max(x(value), x.start), x.end)
            parts.append(_line(at, middle - 8, at, middle + 8, "tick", f"{text}: {value:.3g}"))
        parts.append(_text(STRIP_LEFT - 6, middle + 4, name, "end", most=20))
    return _svg(height, title, [*parts, *_below(x, title, height)])


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    told = escape(label)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{told}">{"".join(parts)}</svg>'


def _across(edges: tuple[float, float], left: float = LEFT) -> Scale:
    return Scale(*edges, left, WIDTH - RIGHT)


def _below(x: Scale, title: str, height: float) -> list[str]:
    bottom = height - BOTTOM
    ticks = x.ticks()
    return [
        _line(x.start, bottom, x.end, bottom, "axis"),
        *(_line(x(tick), bottom, x(tick), bottom + 4, "axis") for tick in ticks),
        *(_text(x(tick), bottom + 15, f"{tick:.4g}") for tick in _apart(x, ticks)),
        _text((x.start + x.end) / 2, height - 6, title),
    ]


def _apart(x: Scale, ticks: list[float]) -> list[float]:
    """Those whose figures don't run into each other, on a scale that bends."""
    found: list[float] = []
    for tick in ticks:
        if not found or x(tick) - x(found[-1]) > 32:
            found.append(tick)
    return found


def _beside(y: Scale, title: str, whole: bool = False) -> list[str]:
    ticks = [tick for tick in y.ticks() if not whole or tick == int(tick)]
    middle = (y.start + y.end) / 2
    return [
        _line(LEFT, y.start, LEFT, y.end, "axis"),
        *(_text(LEFT - 6, y(tick) + 4, f"{tick:.4g}", "end") for tick in ticks),
        f'<text transform="translate(11 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(title)}</text>',
    ]


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, told: str = "") -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{kind}" {place}>{_told(told)}</line>'


def _upright(x: float, kind: str, height: float) -> str:
    return _line(x, TOP, x, height - BOTTOM, kind)


def _box(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"/>'


def _circle(x: float, y: float, r: float, kind: str, told: str = "") -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r:g}">{_told(told)}</circle>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="mean" d="M{x - 6:.1f} {y:.1f}l6 -6l6 6l-6 6z"/>'


def _path(x: Scale, y: Scale, across: Sequence[float], up: Sequence[float], kind: str) -> str:
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(across, up, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "", most: int = 80) -> str:
    shown = text if len(text) <= most else text[: most - 1] + "…"
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}</text>'


def _told(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
