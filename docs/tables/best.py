"""The tables of `reproductions/best.py`, and the choice of a model on each of its logs."""

import json
from collections.abc import Mapping
from typing import Any

from foldin.reports import choice_title, facts_rows
from tables.base import ROOT, cell, rows_of

__all__ = ["best_in_short", "best_of_each_log", "best_result"]

KEPT = ROOT / "reproductions" / "results" / "best.json"
SHOWN = {"ndcg@10": "NDCG@10", "ndcg@100": "NDCG@100", "recall@20": "recall@20", "perplexity": "perplexity"}

Kept = dict[str, Any]


def best_result() -> Kept | None:
    """The kept result; None before it was measured."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else None


def best_in_short(result: Kept) -> str:
    """A row for each model and a column for each log, with the metric that everything was chosen by; the best of each in bold."""
    figures, reports = result["figures"], result["reports"]
    means = {
        log: {name: one[reports[log]["metric"]]["mean"] for name, one in models.items()}
        for log, models in figures.items()
    }
    best = {log: max(values.values()) for log, values in means.items()}

    def standing(name: str) -> float:
        """Mean over the logs that have the model of its share of the best model's metric."""
        shares = [values[name] / best[log] for log, values in means.items() if name in values]
        return sum(shares) / len(shares)

    every = dict.fromkeys(name for values in means.values() for name in values)
    names = sorted(every, key=standing, reverse=True)
    head = ["model", *(f"{log}, `{reports[log]['protocol']}`, {_shown(reports[log]['metric'])}" for log in means)]

    def mean_of(log: str, name: str) -> str:
        value = means[log].get(name)
        if value is None:
            return "–"
        return f"**{value:.3f}**" if value == best[log] else f"{value:.3f}"

    table = rows_of(head, [[f"`{name}`", *(mean_of(log, name) for log in means)] for name in names])
    chosen = "; ".join(f"{log}: `{reports[log]['choice']['model']}`" for log in means)
    return (
        f"All models on {len(means)} log{'s' if len(means) > 1 else ''}, the best of each in bold, best first by their mean "
        f"share of it. {_budget(result)}\n\n{table}\n\nThe choice of `foldin compare`, by the validation users, the cheapest of "
        f"those that are not shown to be behind the best: {chosen}. [On each log](#on-each-log) has the reasons, intervals, "
        "tests and times."
    )


def best_of_each_log(result: Kept) -> str:
    """For each log the choice with its reasons, the facts of the log, and the table of all models."""
    parts = ["## On each log", _budget(result)]
    for log, report in result["reports"].items():
        choice = report["choice"]
        reasons = "\n".join(f"- {sentence}" for sentence in choice["sentences"])
        left_out = "".join(f"\n\nLeft out: `{name}`: {why}." for name, why in report["left_out"].items())
        parts += [
            f"### {log}, protocol `{report['protocol']}`",
            f"**{choice_title(choice)}.**",
            reasons,
            rows_of(["fact", "figure"], [list(row) for row in facts_rows(choice["facts"])]),
            _against(report) + rows_of(*_table_of(result["figures"][log], report)) + left_out,
        ]
    return "\n\n".join(parts)


def _budget(result: Kept) -> str:
    """The budget of the rows of each log, or of all logs if it is the same."""
    told = {log: _in_words(report["budget"]) for log, report in result["reports"].items()}
    seeds = max(len(row["by_seed"]) for report in result["reports"].values() for row in report["rows"].values())
    same = len(set(told.values())) == 1
    each = next(iter(told.values())) if same else "; ".join(f"on {log} {one}" for log, one in told.items())
    return (
        f"Every row of a log had the same budget ({each}), and its best settings were trained with up to {seeds} seeds. "
        "`product` multiplies two of the other rows, and its time of tuning is that of both."
    )


def _in_words(budget: Mapping[str, Any]) -> str:
    threads = budget["threads"]
    return f"{budget['minutes']:g} minutes of tuning on {threads} thread{'s' if threads > 1 else ''}"


def _against(report: Mapping[str, Any]) -> str:
    if report["baseline"] is None:
        return ""
    return (
        f"On the test users; “against {report['baseline']}” is the difference in {_shown(report['metric'])} to the baseline that "
        "was best on validation, with the p-value after Holm's correction:\n\n"
    )


def _table_of(figures: Mapping[str, Any], report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of the table of a log, best first."""
    metric, baseline = report["metric"], report["baseline"]
    tests = {one["a"]: one for one in report["tests"]}
    shown = {metric: SHOWN[metric], **{name: text for name, text in SHOWN.items() if not name.startswith("ndcg")}}
    rows = []
    for name in sorted(figures, key=lambda one: -figures[one][metric]["mean"]):
        row, costs = report["rows"][name], report["rows"][name]["costs"]
        rows.append(
            [
                f"`{name}`",
                *(cell(figures[name].get(one), 0 if one == "perplexity" else 4) for one in shown),
                *([] if baseline is None else [_tested(tests.get(name))]),
                f"{row['tuning']['seconds'] / 60:,.1f} min",
                f"{costs['seconds']:,.1f} s",
                f"{costs['lists']:,.2f} s",
            ]
        )
    against = [] if baseline is None else [f"against {baseline}"]
    return ["model", *shown.values(), *against, "tuning", "training", "1,000 lists"], rows


def _tested(test: Mapping[str, Any] | None) -> str:
    if test is None or test["difference"] is None:
        return "–"
    p = test["p_adjusted"]
    return f"{test['difference']:+.4f}" + ("" if p is None else f", p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}")


def _shown(metric: str) -> str:
    return SHOWN.get(metric, metric)
