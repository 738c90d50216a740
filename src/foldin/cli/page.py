"""The bound report as one HTML page: no script, nothing loaded, charts as inline SVG."""

import html
import math
from collections.abc import Sequence
from typing import Any

from foldin.cli.tables import figure, interval

__all__ = [
    "GENERATOR",
    "RELIABILITY_HEAD",
    "bound_heading",
    "bound_rows",
    "health_line",
    "html_page",
    "line_chart",
    "prediction_line",
    "reliability_rows",
]

GENERATOR = '<meta name="generator" content="foldin">'  # by which a page is known as foldin's
_STYLE = """
:root { color-scheme: light dark; --line: #2563a8; --other: #b4530a; --third: #3a7d44; --grid: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem 1rem .2rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } svg { max-width: 100%; height: auto; } .alarm { font-weight: bold; }
figure { display: inline-block; margin: 1rem 1rem 0 0; vertical-align: top; } figcaption { font-size: .9rem; }
text { font: 11px system-ui, sans-serif; fill: currentColor; }
"""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 440, 260, 62, 34
_COLOURS = ("var(--line)", "var(--other)", "var(--third)")
Points = Sequence[tuple[float, float]]


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10(max(high - low, 1e-12) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]


def line_chart(
    label: str, series: dict[str, Points], x: str, y: str, *, log: bool = False, diagonal: bool = False
) -> str:
    """A line chart as an <svg> of its own; with `log`, both axes in powers of ten. Empty when there is nothing finite.

    Its colours are the CSS variables --line, --other, --third and --grid.
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

    parts = []
    for tick in _ticks(x0, x1):
        at = place((tick, y0))[0]
        number = f"1e{tick:g}" if log else f"{tick:g}"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="8" y2="{_HEIGHT - _BOTTOM}" stroke="var(--grid)"/>')
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{number}</text>')
    for tick in _ticks(y0, y1):
        at = place((x0, tick))[1]
        number = f"1e{tick:g}" if log else f"{tick:g}"
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{at:.1f}" y2="{at:.1f}" stroke="var(--grid)"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{number}</text>')
    if diagonal:
        low, high = max(x0, y0), min(x1, y1)
        (a, b), (c, d) = place((low, low)), place((high, high))
        parts.append(
            f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" stroke="currentColor" stroke-dasharray="4"/>'
        )
    for colour, points in zip(_COLOURS, shown.values(), strict=False):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="{colour}"/>'
            for a, b in map(place, points)
            if len(points) < 40
        ]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(x)}</text>')
    parts.append(
        f'<text transform="translate(11 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{html.escape(y)}</text>'
    )
    start = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">'
    return f"{start}{''.join(parts)}</svg>"


def _chart(
    caption: str, series: dict[str, Points], x: str, y: str, *, log: bool = False, diagonal: bool = False
) -> str:
    """A line chart with its caption."""
    svg = line_chart(caption, series, x, y, log=log, diagonal=diagonal)
    if not svg:
        return ""
    names = (
        ", ".join(f'<span style="color:{c}">{html.escape(n)}</span>' for c, n in zip(_COLOURS, series, strict=False))
        if len(series) > 1
        else ""
    )
    return f"<figure>{svg}<figcaption>{html.escape(caption)}{': ' if names else ''}{names}</figcaption></figure>"


def _stacked(caption: str, parts: dict[str, float]) -> str:
    """One horizontal bar, its parts side by side."""
    total = sum(max(v, 0.0) for v in parts.values()) or 1.0
    at, pieces, names = 0.0, [], []
    for colour, (name, value) in zip(_COLOURS, parts.items(), strict=True):
        width, safe = max(value, 0.0) / total * 620, html.escape(name)
        bar = f'<rect x="{at:.1f}" y="0" width="{width:.1f}" height="26" fill="{colour}">'
        pieces.append(f"{bar}<title>{safe}: {value:.2f}</title></rect>")
        names.append(f'<span style="color:{colour}">{safe} {value:.2f}</span>')
        at += width
    label = html.escape(caption)
    svg = f'<svg role="img" aria-label="{label}" viewBox="0 0 620 26" width="620">{"".join(pieces)}</svg>'
    return f"<figure>{svg}<figcaption>{label}: {', '.join(names)}</figcaption></figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(one))}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def bound_rows(bounds: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The report's table: name, nats per row, nats per unit, with standard errors."""
    bound, gap, row, unit = bounds["bound"], bounds["gap"], bounds["called"]["row"], bounds["called"]["unit"]

    def cells(entry: dict[str, float | None]) -> tuple[str, str]:
        return _with_error(entry, f"per_{row}", 2), _with_error(entry, f"per_{unit}", 4)

    rows = [
        ("ELBO, a lower bound on log p(x)", *cells(bound["elbo"])),
        ("  reconstruction", *cells(bound["reconstruction"])),
        (f"  KL(q(z|x) ‖ {'N(0, I)' if bounds['prior'] == 'standard normal' else 'prior'})", *cells(bound["kl"])),
        ("SGVB estimator A", *cells(bound["estimator_a"])),
    ]
    if "estimator_b" in bound:
        rows.append(("SGVB estimator B", *cells(bound["estimator_b"])))
    rows += [(f"IWAE bound, k = {k}", *cells(entry)) for k, entry in bounds["iwae"].items()]
    rows += [
        (f"ELBO of each {row}'s own q", *cells(gap["elbo_refined"])),
        (f"IWAE bound of each {row}'s own q, k = {bounds['draws']}", *cells(gap["iwae_refined"])),
        (f"best bound on log p(x), by both q's, k = {2 * bounds['draws']}", *cells(gap["best_bound"])),
        ("gap log p(x) − ELBO, at least", *cells(gap["gap_at_least"])),
        ("  amortization, at least", *cells(gap["amortization_at_least"])),
        ("  approximation, estimate", *cells(gap["approximation_estimate"])),
    ]
    if "objective" in bounds:
        rows.append((bounds["objective"]["what"], *cells(bounds["objective"]["objective"])))
    if bounds.get("fold_in"):
        rows += [
            ("bound on log p(target half | fold-in half), by target item: ELBO", *cells(bounds["fold_in"]["elbo"])),
            (
                "bound on log p(target half | fold-in half), by target item: best",
                *cells(bounds["fold_in"]["best_bound"]),
            ),
        ]
    if "annealed" in bounds:
        annealed = bounds["annealed"]
        rows += [
            (f"annealed lower bound, {annealed['rows']} {bounds['called']['rows']}", *cells(annealed["lower"])),
            (f"  best bound of these {annealed['rows']}", *cells(annealed["best_bound"])),
        ]
        if annealed["simulated"] is not None:
            made = f"{annealed['rows']} simulated {bounds['called']['rows']}"
            rows += [
                (f"annealed lower bound, {made}", *cells(annealed["simulated"]["lower"])),
                (f"annealed upper bound, {made}", *cells(annealed["simulated"]["upper"])),
                ("  width of the bracket", *cells(annealed["simulated"]["width"])),
            ]
    return rows


def _with_error(entry: dict[str, float | None], name: str, places: int) -> str:
    """A mean ± its standard error, as far as there are any."""
    mean, error = entry[name], entry[f"{name}_se"]
    if mean is None:
        return "–"
    return f"{mean:.{places}f}" if error is None else f"{mean:.{places}f} ± {error:.{places}f}"


def reliability_rows(bounds: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Of each set of importance weights: name, draws, median k̂, share of k̂ above 0.7, median effective sample size."""
    names = {
        "encoder": "encoder's q",
        "refined": f"each {bounds['called']['row']}'s own q",
        "both": "both q's (best bound)",
    }
    sets = [(names[key], one) for key, one in bounds["reliability"].items()]
    if bounds.get("fold_in"):
        sets.append(("target half | fold-in half", bounds["fold_in"]["reliability"]))
    return [
        (
            name,
            str(one["draws"]),
            _median_shape(one),
            "–" if one["k_hat_above"] is None else f"{one['k_hat_above']:.0%}",
            f"{one['ess_median']:.1f}",
        )
        for name, one in sets
    ]


def _median_shape(one: dict[str, Any]) -> str:
    if one["k_hat_median"] is not None:
        return f"{one['k_hat_median']:.2f}"
    return "∞" if one["k_hat_infinite"] else "–"


RELIABILITY_HEAD = ("importance weights of", "draws", "median k̂", "k̂ > 0.7", "median ESS")


def health_line(bounds: dict[str, Any]) -> str:
    """How much of the code is used, in words."""
    health = bounds["health"]
    if health["active_units"] is None:
        return f"which units are active a single {bounds['called']['row']} cannot tell"
    return (
        f"{health['active_units']} of {health['latent']} units active, effective rank {health['effective_rank']:.1f}, "
        f"log N = {bounds['decomposition']['log_people']:.2f}"
    )


def bound_heading(bounds: dict[str, Any]) -> str:
    """How many rows of how many units, by how many draws, under which prior."""
    called = bounds["called"]
    each = bounds[f"{called['unit']}s_per_{called['row']}"]
    return (
        f"{bounds[called['rows']]} held-out {called['rows']}, {each:.0f} {called['unit']}s each, {bounds['draws']} draws of z; "
        f"prior: {bounds['prior']}"
    )


def _training(history: list[dict[str, Any]]) -> str:
    terms = sorted({name for record in history for name in record["terms"]})
    charts = []
    if any(record["metric"] is not None for record in history):
        points = [(record["epoch"], record["metric"]) for record in history if record["metric"] is not None]
        charts.append(_chart("Validation figure", {"": points}, "epoch", "figure"))
    for name in terms:
        points = [(record["epoch"], record["terms"][name]) for record in history if name in record["terms"]]
        if not name.endswith("/loss") and len(points) > 1:
            charts.append(_chart(f"Training: {name}", {"": points}, "epoch", "nats per person"))
    return "".join(charts)


def _bounds(bounds: dict[str, Any]) -> str:
    parts = bounds["decomposition"]
    exact, health = parts[parts["method"]], bounds["health"]
    split = {
        "I(x; z)": exact["mutual_information"],
        "total correlation": exact["total_correlation"],
        "Σ_j KL(q(z_j) ‖ p(z_j))": exact["dimension_wise_kl"],
    }
    row, unit = bounds["called"]["row"], bounds["called"]["unit"]
    curve = [(float(k), entry[f"per_{row}"]) for k, entry in bounds["iwae"].items() if entry[f"per_{row}"] is not None]
    units = [(float(j + 1), kl) for j, kl in enumerate(health["kl_per_dimension"])]
    alarms = "".join(f'<p class="alarm">{html.escape(one)}</p>' for one in health["alarms"])
    return (
        f"<h2>The bound</h2><p>{html.escape(bound_heading(bounds))}.</p>"
        + _table(("nats", f"per {row}", f"per {unit}"), bound_rows(bounds))
        + _chart("IWAE bound over k", {"": [(math.log10(k), v) for k, v in curve]}, "log₁₀ k", f"nats per {row}")
        + "<h2>How far the weights can be trusted</h2>"
        + _table(RELIABILITY_HEAD, reliability_rows(bounds))
        + "<h2>Where the KL goes</h2>"
        + _stacked(f"KL {exact['kl']:.2f} nats a {row} to a standard normal, by {exact['bias']}", split)
        + f"<h2>Health</h2><p>{html.escape(health_line(bounds))}.</p>{alarms}"
        + _chart("KL of each latent dimension, sorted", {"": units}, "dimension", f"nats per {row}")
    )


def _segments(segments: list[dict[str, Any]]) -> str:
    rows = [(f"{one['share']:.2%}", "; ".join(one["items"])) for one in segments]
    return "<h2>Parts, and the items that say most about each</h2>" + _table(("share", "items"), rows)


def prediction_line(content: dict[str, Any]) -> str:
    """The held-out log-likelihood and both perplexities in words: of the mean over users, and of that over events."""

    def perplexity(name: str, of: str) -> str:
        return f", perplexity {figure(content[name], 'mean', 0)} {of}" if name in content else ""

    likelihood = content["log_likelihood_per_item"]
    spread = "" if likelihood["low"] is None else f" ({interval(likelihood, 4, ' to ')})"
    mean = f"held-out log-likelihood {figure(likelihood, 'mean', 4)} nats an item, averaged over users{spread}"
    return f"{mean}{perplexity('perplexity', 'over users')}{perplexity('perplexity_per_event', 'over all held-out events')}"


def _predictions(content: dict[str, Any]) -> str:
    line = prediction_line(content)
    return f"<p>{html.escape(line[0].upper() + line[1:])}; protocol {html.escape(content['protocol'])}.</p>"


def _calibration(curve: list[dict[str, Any]]) -> str:
    points = [(one["predicted"], one["observed"]) for one in curve if one["observed"] > 0]
    caption = "Predicted against observed share"
    return "<h2>Calibration</h2>" + _chart(caption, {"": points}, "predicted", "observed", log=True, diagonal=True)


def html_page(content: dict[str, Any]) -> str:
    """The report of `foldin explain` as a self-contained page, of whichever parts it has."""
    title = f"{content['model']} on {content['data']}"
    parts = (
        _predictions(content) if "perplexity" in content else "",
        _bounds(content["bounds"]) if "bounds" in content else "",
        _segments(content["segments"]) if "segments" in content else "",
        _calibration(content["calibration"]) if "calibration" in content else "",
        "<h2>Training</h2>" + _training(content["history"]) if "history" in content else "",
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{GENERATOR}'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        + "".join(parts)
        + "</body></html>\n"
    )
