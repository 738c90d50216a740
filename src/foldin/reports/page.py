"""The bound report as one HTML page: no script, nothing loaded, charts as inline SVG."""

import html
import math
from typing import Any

from foldin.reports.charts import chart, html_table
from foldin.reports.equations import STYLE, equation_html, substituted
from foldin.reports.experts import EXPERTS_HEAD, expert_rows, experts_heading
from foldin.reports.wording import (
    RELIABILITY_HEAD,
    TERMS_HEAD,
    bound_heading,
    bound_rows,
    health_line,
    prediction_line,
    reliability_rows,
    term_heading,
    term_rows,
)

__all__ = ["GENERATOR", "document", "html_page"]

GENERATOR = '<meta name="generator" content="foldin">'  # marks a page as written by foldin
_STYLE = """
:root { color-scheme: light dark; --line: #2563a8; --other: #b4530a; --third: #3a7d44; --grid: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; } td, th { padding: .2rem 1rem .2rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } svg { max-width: 100%; height: auto; } .alarm { font-weight: bold; }
figure { display: inline-block; margin: 1rem 1rem 0 0; vertical-align: top; } figcaption { font-size: .9rem; }
text { font: 11px system-ui, sans-serif; fill: currentColor; }
"""


def _training(history: list[dict[str, Any]]) -> str:
    terms = sorted({name for record in history for name in record["terms"]})
    charts = []
    if any(record["metric"] is not None for record in history):
        points = [(record["epoch"], record["metric"]) for record in history if record["metric"] is not None]
        charts.append(chart("Validation metric", {"": points}, "epoch", "metric"))
    for name in terms:
        points = [(record["epoch"], record["terms"][name]) for record in history if name in record["terms"]]
        if not name.endswith("/loss") and len(points) > 1:
            charts.append(chart(f"Training: {name}", {"": points}, "epoch", "nats per user"))
    return "".join(charts)


def _bounds(bounds: dict[str, Any]) -> str:
    parts = bounds["decomposition"]
    exact, health = parts[parts["method"]], bounds["health"]
    evidence, terms, split = map(equation_html, substituted(bounds))
    row, unit = bounds["called"]["row"], bounds["called"]["unit"]
    curve = [(float(k), entry[f"per_{row}"]) for k, entry in bounds["iwae"].items() if entry[f"per_{row}"] is not None]
    units = [(float(j + 1), kl) for j, kl in enumerate(health["kl_per_dimension"])]
    alarms = "".join(f'<p class="alarm">{html.escape(one)}</p>' for one in health["alarms"])
    return (
        f"<h2>The bound</h2><p>{html.escape(bound_heading(bounds))}. In nats per {html.escape(row)}:</p>"
        + evidence
        + terms
        + html_table(("nats", f"per {row}", f"per {unit}"), bound_rows(bounds))
        + chart("IWAE bound over k", {"": [(math.log10(k), v) for k, v in curve]}, "log₁₀ k", f"nats per {row}")
        + "<h2>Reliability of the importance weights</h2>"
        + html_table(RELIABILITY_HEAD, reliability_rows(bounds))
        + "<h2>Decomposition of the KL</h2>"
        + f"<p>KL to a standard normal, in nats per {html.escape(row)}, by {html.escape(exact['bias'])}.</p>"
        + split
        + f"<h2>Health</h2><p>{html.escape(health_line(bounds))}.</p>{alarms}"
        + chart("KL of each latent dimension, sorted", {"": units}, "dimension", f"nats per {row}")
    )


def _terms(bound: dict[str, Any]) -> str:
    return f"<h2>Terms of the bound</h2><p>{html.escape(term_heading(bound))}.</p>" + html_table(
        TERMS_HEAD, term_rows(bound)
    )


def _experts(experts: dict[str, Any]) -> str:
    return f"<h2>What each expert adds</h2><p>{html.escape(experts_heading(experts))}.</p>" + html_table(
        EXPERTS_HEAD, expert_rows(experts)
    )


def _components(components: list[dict[str, Any]]) -> str:
    rows = [(f"{one['share']:.2%}", "; ".join(one["items"])) for one in components]
    return "<h2>Components, with their most characteristic items</h2>" + html_table(("share", "items"), rows)


def _predictions(content: dict[str, Any]) -> str:
    line = prediction_line(content)
    return f"<p>{html.escape(line[0].upper() + line[1:])}; protocol {html.escape(content['protocol'])}.</p>"


def _calibration(curve: list[dict[str, Any]]) -> str:
    points = [(one["predicted"], one["observed"]) for one in curve if one["observed"] > 0]
    caption = "Predicted against observed share"
    return "<h2>Calibration</h2>" + chart(caption, {"": points}, "predicted", "observed", log=True, diagonal=True)


def html_page(content: dict[str, Any]) -> str:
    """The report of `foldin explain` as a self-contained HTML page; parts that the report lacks are left out."""
    title = f"{content['model']} on {content['data']}"
    parts = (
        _predictions(content) if "perplexity" in content else "",
        _terms(content["bound"]) if "bound" in content else "",
        _bounds(content["bounds"]) if "bounds" in content else "",
        _experts(content["experts"]) if "experts" in content else "",
        _components(content["components"]) if "components" in content else "",
        _calibration(content["calibration"]) if "calibration" in content else "",
        "<h2>Training</h2>" + _training(content["history"]) if "history" in content else "",
    )
    return document(title, "".join(parts))


def document(title: str, body: str) -> str:
    """A self-contained HTML page with a title and a body."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{GENERATOR}'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"{body}</body></html>\n"
    )
