"""`foldin explain`: where every nat went."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from foldin.cli.options import JSON
from foldin.cli.output import json_out, out, table, working
from foldin.cli.page import bound_rows, html_page
from foldin.data import Split
from foldin.errors import ConfigError
from foldin.evaluation import bound_report, calibration_curve
from foldin.experiment import choose_device, split_of_run
from foldin.files import write_text
from foldin.models import Segmented, Variational
from foldin.store import Run, load_run

__all__ = ["command", "explain"]

_TELLING, _SEGMENTS = 6, 20


def explain(run: Run, split: Split, *, people: int, draws: int, seed: int, progress: Any = None) -> dict[str, Any]:
    """The report of a run as data.

    Raises:
        ConfigError: the model has no density, so that there is nothing to explain in nats.
    """
    if not run.model.has_likelihood:
        raise ConfigError(f"{run.folder}: {run.name} has no density: nothing to explain in nats")
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    lines = (run.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    content: dict[str, Any] = {
        "run": str(run.folder),
        "model": run.name,
        "data": run.info["source"]["path"],
        "protocol": split.protocol,
        "config": run.model.config.as_dict(),
        "log_likelihood_per_item": metrics["log_likelihood_per_item"],
        "perplexity": metrics["perplexity"],
        "calibration": calibration_curve(run.model, split.test),
        "history": [json.loads(line) for line in lines],
    }
    if isinstance(run.model, Variational):
        content["bounds"] = bound_report(
            run.model, split.test, people=people, draws=draws, seed=seed, progress=progress
        )
    if isinstance(run.model, Segmented):
        shares, _ = run.model.segments()
        telling = run.model.telling_items(min(_TELLING, run.model.n_items))
        content["segments"] = [
            {"share": float(shares[at]), "items": [run.catalog.titles[i] for i in telling[at].tolist()]}
            for at in np.argsort(-shares, kind="stable").tolist()
        ]
    return content


@click.command()
@click.argument("run")
@click.option("--people", type=click.IntRange(2), default=500, show_default=True, help="Held-out people at most.")
@click.option(
    "--draws", type=click.IntRange(1), default=500, show_default=True, help="Of z for each person: the largest k."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
@click.option("--html", "page", metavar="FILE", help="Where the page goes  [default: RUN/explain.html]")
@click.option("--data", "path", metavar="PATH", help="The log, when it has moved since training.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, mps or auto.")
@JSON
def command(
    run: str, people: int, draws: int, seed: int, page: str | None, path: str | None, device: str, as_json: bool
) -> None:
    """Where every nat went: the bound that RUN optimises on held-out people, how tight it is, how its KL decomposes, how
    its probabilities are calibrated; for classes, topics and factors, the items that say most about each.

    Prints tables and writes a page that opens offline.

    \b
    Example:
      foldin explain runs/films
    """
    loaded = load_run(run, device=choose_device(device))
    split = split_of_run(loaded, path)
    with working("draws") as bar:
        content = explain(loaded, split, people=people, draws=draws, seed=seed, progress=bar)
    target = Path(page) if page is not None else Path(run) / "explain.html"
    write_text(target, html_page(content))
    if as_json:
        json_out(content)
        return
    console = out()
    likelihood = content["log_likelihood_per_item"]
    console.print(
        f"{loaded.name} on {content['data']}: held-out log-likelihood {likelihood['mean']:.4f} nats an item "
        f"({likelihood['low']:.4f} to {likelihood['high']:.4f}), perplexity {content['perplexity']['mean']:.0f}",
        soft_wrap=True,
    )
    if "bounds" in content:
        _show_bounds(console, content["bounds"])
    if "segments" in content:
        largest = content["segments"][:_SEGMENTS]
        title = (
            f"the largest {len(largest)} of {len(content['segments'])} parts, and the items that say most about each"
        )
        rows = [(f"{one['share']:.1%}", "; ".join(one["items"])) for one in largest]
        console.print(table(title, ("share", "items"), rows, left=2))
    console.print(f"the page with its curves: {target}", soft_wrap=True)


def _show_bounds(console: Any, bounds: dict[str, Any]) -> None:
    title = (
        f"{bounds['people']} held-out people, {bounds['items_per_person']:.0f} items each, "
        f"{bounds['draws']} draws; prior: {bounds['prior']}"
    )
    console.print(table(title, ("nats", "per person", "per item"), bound_rows(bounds)))
    parts = bounds["decomposition"]
    rows = [
        (
            f"{method} ({parts[method]['batch']} people)",
            *(
                f"{parts[method][k]:.2f}"
                for k in ("kl", "mutual_information", "total_correlation", "dimension_wise_kl")
            ),
            parts[method]["bias"],
        )
        for method in ("all", "stratified", "weighted")
    ]
    title = f"KL to a standard normal = I(x; z) + TC + Σ_j KL_j   (I ≤ log N = {parts['log_people']:.2f})"
    console.print(table(title, ("aggregate by", "KL", "I(x; z)", "TC", "Σ KL_j", "bias"), rows))
    health = bounds["health"]
    console.print(
        f"{health['active_units']} of {health['latent']} units active, effective rank {health['effective_rank']:.1f}"
    )
    for alarm in health["alarms"]:
        console.print(f"alarm: {alarm}", style="bold", soft_wrap=True)
