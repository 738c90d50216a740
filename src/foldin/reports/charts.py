"""Charts and tables as HTML fragments: inline SVG, no script."""

import html
import math
from collections.abc import Callable, Container, Sequence

__all__ = ["chart", "html_table", "line_chart"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 440, 260, 62, 34
_COLORS = ("var(--line)", "var(--other)", "var(--third)")
Points = Sequence[tuple[float, float]]


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10(max(high - low, 1e-12) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]


def _axes(
    x: tuple[float, float],
    y: tuple[float, float],
    place: Callable[[tuple[float, float]], tuple[float, float]],
    log: bool,
) -> list[str]:
    """SVG elements of the grid lines and of the numbers beside them."""
    parts = []
    for tick in _ticks(*x):
        at = place((tick, y[0]))[0]
        number = f"1e{tick:g}" if log else f"{tick:g}"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="8" y2="{_HEIGHT - _BOTTOM}" stroke="var(--grid)"/>')
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{number}</text>')
    for tick in _ticks(*y):
        at = place((x[0], tick))[1]
        number = f"1e{tick:g}" if log else f"{tick:g}"
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{at:.1f}" y2="{at:.1f}" stroke="var(--grid)"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{number}</text>')
    return parts


def line_chart(
    label: str,
    series: dict[str, Points],
    x: str,
    y: str,
    *,
    log: bool = False,
    diagonal: bool = False,
    dots: Container[str] = (),
) -> str:
    """A line chart as an <svg> element; with `log`, both axes are logarithmic. An empty string if no point is finite.

    Its colors are the CSS variables --line, --other, --third and --grid.

    Args:
        dots: names of the series whose points are not connected.
    """
    scale = (lambda v: math.log10(max(v, 1e-12))) if log else (lambda v: v)
    shown = {
        name: [(scale(a), scale(b)) for a, b in points if math.isfinite(a) and math.isfinite(b)]
        for name, points in series.items()
    }
    flat = [point for points in shown.values() for point in points]
    if not flat:
        return ""
    bounds = []
    for axis in (0, 1):
        low, high = min(p[axis] for p in flat), max(p[axis] for p in flat)
        pad = 0.05 * (high - low) or 0.5
        bounds.append((low - pad, high + pad))
    (x0, x1), (y0, y1) = bounds

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = _LEFT + (point[0] - x0) / (x1 - x0) * (_WIDTH - _LEFT - 8)
        return across, 8 + (y1 - point[1]) / (y1 - y0) * (_HEIGHT - _BOTTOM - 8)

    parts = _axes((x0, x1), (y0, y1), place, log)
    if diagonal:
        low, high = max(x0, y0), min(x1, y1)
        (a, b), (c, d) = place((low, low)), place((high, high))
        parts.append(
            f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" stroke="currentColor" stroke-dasharray="4"/>'
        )
    for color, (name, points) in zip(_COLORS, shown.items(), strict=False):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, points))
        if name not in dots:
            parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="{color}"/>'
            for a, b in map(place, points)
            if name in dots or len(points) < 40
        ]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(x)}</text>')
    parts.append(
        f'<text transform="translate(11 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{html.escape(y)}</text>'
    )
    start = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">'
    return f"{start}{''.join(parts)}</svg>"


def chart(
    caption: str,
    series: dict[str, Points],
    x: str,
    y: str,
    *,
    log: bool = False,
    diagonal: bool = False,
    dots: Container[str] = (),
) -> str:
    """A line chart with its caption as a <figure> element; an empty string if no point is finite."""
    svg = line_chart(caption, series, x, y, log=log, diagonal=diagonal, dots=dots)
    if not svg:
        return ""
    names = (
        ", ".join(f'<span style="color:{c}">{html.escape(n)}</span>' for c, n in zip(_COLORS, series, strict=False))
        if len(series) > 1
        else ""
    )
    return f"<figure>{svg}<figcaption>{html.escape(caption)}{': ' if names else ''}{names}</figcaption></figure>"


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table with a head."""
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(one))}</td>" for one in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{cells}</tr>{body}</table></div>'
