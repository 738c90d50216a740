"""`foldin evaluate`: evaluate a finished run on its test users."""

from collections.abc import Mapping
from typing import Any

import click

from foldin.cli.options import DEVICE, JSON
from foldin.cli.output import json_out, out, table, working
from foldin.cli.rankers import RANKER
from foldin.cli.reading import name_of_data
from foldin.evaluation import (
    DEFAULT_METRICS,
    LOG_LIKELIHOOD,
    LOG_LIKELIHOOD_PER_EVENT,
    evaluate,
    evaluate_repeats,
)
from foldin.experiment import check_targets, choose_device, split_of_run
from foldin.ranking import ranker_of
from foldin.reports.wording import figure, interval
from foldin.runs import load_run

__all__ = ["command"]

_NAMES = {
    LOG_LIKELIHOOD: "log-likelihood per item, mean over users",
    LOG_LIKELIHOOD_PER_EVENT: "log-likelihood per held-out event",
    "perplexity": "perplexity, of the mean over users",
    "perplexity_per_event": "perplexity per held-out event",
}


@click.command()
@click.argument("run")
@click.option(
    "--metrics", default=",".join(DEFAULT_METRICS), show_default=True, help="Comma-separated names of metrics."
)
@click.option("--data", "path", metavar="PATH", help="Path of the log, if it has moved since training.")
@DEVICE
@RANKER
@JSON
def command(run: str, metrics: str, path: str | None, device: str, ranker: str, as_json: bool) -> None:
    """Read the log of RUN again, check that it has not changed, and evaluate the model on the test users. For a log that keeps
    repeats, targets that the user took before and new ones are also evaluated apart.

    \b
    Example:
      foldin evaluate runs/films --metrics ndcg@10,recall@20
    """
    loaded = load_run(run, device=choose_device(device))
    split = split_of_run(loaded, path)
    names = [name.strip() for name in metrics.split(",")]
    by = ranker_of(ranker, loaded.model, seed=loaded.info.get("seed") or 0, index=lambda: loaded.index)
    check_targets(split)
    with working("evaluating") as bar:
        found = evaluate(
            loaded.model,
            split.test,
            metrics=names,
            train_counts=split.train.counts(),
            train_users=len(split.train),
            ranker=by,
            progress=bar,
        )
    repeats = evaluate_repeats(loaded.model, split.test, ranker=by) if split.reading.keeps_repeats else None
    info = loaded.info
    seed = info.get("seed") or 0
    summary = found.summary(seed=seed)
    content: dict[str, Any] = {
        "data": name_of_data(path, split) if path else (info.get("source") or {}).get("path"),
        "protocol": split.protocol,
        "seed": seed,
        "users": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "without_targets": found.without_targets,
        "items": len(split.catalog),
        "ranker": ranker,
        "models": {
            loaded.name: {
                "config": loaded.model.config.as_dict(),
                "fit_seconds": info.get("fit_seconds"),
                "metrics": summary,
                **({} if repeats is None else {"repeats": repeats.as_dict()}),
            }
        },
        "tests": [],
    }
    if as_json:
        json_out(content)
        return
    title = f"{loaded.name}: {len(found.per_user):,} test users, {len(split.catalog):,} items"
    _show(title, summary)
    if repeats is not None:
        out().print(repeats.display().text(), markup=False, highlight=False, soft_wrap=True)


def _show(title: str, summary: Mapping[str, Any]) -> None:
    """Print a table of metrics."""
    rows = [
        (_NAMES.get(name, name), figure(entry, "mean", 4), interval(entry, 4, " – ")) for name, entry in summary.items()
    ]
    out().print(table(title, ("metric", "mean", "95 % interval"), rows))
