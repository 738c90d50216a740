"""`foldin explain`: the bound report of a run."""

from pathlib import Path
from typing import Any

import click

from foldin.cli.options import DEVICE, JSON, SEED
from foldin.cli.output import json_out, out, table, working
from foldin.cli.targets import check_file
from foldin.errors import ConfigError
from foldin.experiment import choose_device, split_of_run
from foldin.files import write_text
from foldin.inference import Annealing
from foldin.reports.experts import EXPERTS_HEAD, expert_rows, experts_heading
from foldin.reports.explanation import explain, explain_file, subject_of_run
from foldin.reports.page import html_page
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
from foldin.runs import load_run

__all__ = ["command"]

_COMPONENTS = 20


@click.command()
@click.argument("run")
@click.option(
    "--users",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Maximum number of held-out users, or of test pictures.",
)
@click.option(
    "--draws",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="Number of draws of z for each user or picture: the largest k of the importance-weighted bound.",
)
@click.option(
    "--annealed",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="Number of users or pictures whose log p(x) is also bounded by annealed importance sampling; 0 for none.",
)
@click.option(
    "--temperatures",
    type=click.IntRange(1, 1_000_000),
    default=300,
    show_default=True,
    help="Number of steps of annealed importance sampling. More steps give tighter bounds and take longer.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the draws.")
@click.option(
    "--html",
    "page",
    metavar="FILE",
    help="File of the HTML report  [default: RUN/explain.html, or beside a model file]",
)
@click.option(
    "--data",
    "path",
    metavar="PATH",
    help="Path of the log, if it has moved since training; for a model file, the name or folder of the pictures.",
)
@DEVICE
@JSON
def command(
    run: str,
    users: int,
    draws: int,
    annealed: int,
    temperatures: int,
    seed: int,
    page: str | None,
    path: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Report the bound that RUN optimizes on held-out users, how tight it is, how its KL decomposes and how well its
    probabilities are calibrated; for models with classes, topics or factors, the most characteristic items of each.

    RUN may also be the file of a generative model; --data then chooses the test pictures.

    Prints tables and writes an HTML report that opens offline.

    \b
    Example:
      foldin explain runs/films
      foldin explain vae.safetensors --data fashion-mnist
    """
    file, annealing = Path(run), Annealing(temperatures=temperatures)
    target = Path(page) if page is not None else file.with_suffix(".html") if file.is_file() else file / "explain.html"
    if page is not None or file.is_file():  # inside a run directory, explain.html may always be overwritten
        check_file(target, "--html", (".html", ".htm"))
    if file.is_file():
        if path is None:
            raise ConfigError(
                f"{run}: is a model file; choose its test pictures with --data, such as --data fashion-mnist"
            )
        with working("draws") as bar:
            content = explain_file(
                file,
                path,
                device=choose_device(device),
                users=users,
                draws=draws,
                seed=seed,
                annealed=annealed,
                annealing=annealing,
                progress=bar,
            )
        _show_file(content, target, as_json)
        return
    loaded = load_run(run, device=choose_device(device))
    split = split_of_run(loaded, path)
    with working("draws") as bar:
        content = explain(
            subject_of_run(loaded),
            split,
            users=users,
            draws=draws,
            seed=seed,
            annealed=annealed,
            annealing=annealing,
            progress=bar,
        )
    write_text(target, html_page(content))
    if as_json:
        json_out(content)
        return
    console = out()
    console.print(f"{loaded.name} on {content['data']}: {prediction_line(content)}", soft_wrap=True)
    if "bound" in content:
        console.print(table(term_heading(content["bound"]), TERMS_HEAD, term_rows(content["bound"])))
    if "bounds" in content:
        _show_bounds(console, content["bounds"])
    if "experts" in content:
        console.print(table(experts_heading(content["experts"]), EXPERTS_HEAD, expert_rows(content["experts"])))
    if "components" in content:
        largest = content["components"][:_COMPONENTS]
        title = f"the largest {len(largest)} of {len(content['components'])} components, with their most characteristic items"
        rows = [(f"{one['share']:.1%}", "; ".join(one["items"])) for one in largest]
        console.print(table(title, ("share", "items"), rows, left=2))
    if "item_tokens" in content:
        _show_item_tokens(console, content["item_tokens"])
    console.print(f"the report with its curves: {target}", soft_wrap=True)


def _show_item_tokens(console: Any, use: dict[str, Any]) -> None:
    rows = [
        (str(level), f"{used:.1%}", f"{perplexity:.0f}", f"{entropy:.2f}", f"{shared:.1%}")
        for level, (used, perplexity, entropy, shared) in enumerate(
            zip(*(use[key] for key in ("used", "perplexity", "entropy", "shared")), strict=True), 1
        )
    ]
    console.print(
        f"item tokens of {len(rows)} levels: {use['collisions']:.1%} of the items share all of them with another item (up to "
        f"{use['largest']} items), and one more token makes them unique",
        soft_wrap=True,
    )
    console.print(
        table(
            "use of the item tokens",
            ("level", f"of {use['codes']} tokens used", "perplexity", "entropy, nats", "items not unique yet"),
            rows,
        )
    )
    for alarm in use["alarms"]:
        console.print(f"alarm: {alarm}", style="bold", soft_wrap=True)


def _show_file(content: dict[str, Any], target: Path, as_json: bool) -> None:
    write_text(target, html_page(content))
    if as_json:
        json_out(content)
        return
    console, bits = out(), content["bits_per_pixel"]
    console.print(
        f"{content['model']} on {content['data']}: at most "
        + ", ".join(
            f"{bits[key]:.4f} bits per pixel by {name}"
            for key, name in (("elbo", "the ELBO"), ("best_bound", "the best bound on log p(x)"))
            if bits[key] is not None
        ),
        soft_wrap=True,
    )
    _show_bounds(console, content["bounds"])
    console.print(f"the report with its curves: {target}", soft_wrap=True)


def _show_bounds(console: Any, bounds: dict[str, Any]) -> None:
    called = bounds["called"]
    head = ("nats", f"per {called['row']}", f"per {called['unit']}")
    console.print(table(bound_heading(bounds), head, bound_rows(bounds)))
    console.print(table("reliability of the importance weights", RELIABILITY_HEAD, reliability_rows(bounds)))
    parts = bounds["decomposition"]
    one = parts[parts["method"]]
    terms = (one[key] for key in ("kl", "mutual_information", "total_correlation", "dimension_wise_kl"))
    cells = (f"{parts['method']} ({one['batch']} {called['rows']})", *("–" if v is None else f"{v:.2f}" for v in terms))
    title = (
        f"KL to a standard normal = I(x; z) + TC + Σ_j KL_j   (I ≤ log N = {parts['log_users']:.2f}), by {one['bias']}"
    )
    console.print(table(title, ("aggregate by", "KL", "I(x; z)", "TC", "Σ KL_j"), [cells]))
    console.print(health_line(bounds))
    for alarm in bounds["health"]["alarms"]:
        console.print(f"alarm: {alarm}", style="bold", soft_wrap=True)
