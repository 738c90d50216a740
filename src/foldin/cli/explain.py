"""`foldin explain`: where every nat went."""

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
from foldin.reports.explanation import explain, explain_file
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
    help="Largest number of held-out users, or of pictures.",
)
@click.option(
    "--draws",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="Draws of z for each of them: the largest k of the importance-weighted bound.",
)
@click.option(
    "--annealed",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="Number of them whose log p(x) is bounded by annealed importance sampling too; 0 for none.",
)
@click.option(
    "--temperatures",
    type=click.IntRange(1, 1_000_000),
    default=300,
    show_default=True,
    help="Steps of annealed importance sampling: the more, the tighter its bounds and the longer it takes.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the draws.")
@click.option(
    "--html", "page", metavar="FILE", help="File of the page  [default: RUN/explain.html, or beside the file]"
)
@click.option(
    "--data",
    "path",
    metavar="PATH",
    help="The log, if it has moved since training; for a model in a file, the name or folder of the pictures.",
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
    """Where every nat went: the bound that RUN optimizes on held-out users, how tight it is, how its KL decomposes, how
    its probabilities are calibrated; for classes, topics and factors, the items that say most about each.

    RUN may also be a generative model in a file; then --data says which test pictures.

    Prints tables and writes a page that opens offline.

    \b
    Example:
      foldin explain runs/films
      foldin explain vae.safetensors --data fashion-mnist
    """
    file, annealing = Path(run), Annealing(temperatures=temperatures)
    target = Path(page) if page is not None else file.with_suffix(".html") if file.is_file() else file / "explain.html"
    if page is not None or file.is_file():  # in a run's own folder the name is foldin's
        check_file(target, "--html", (".html", ".htm"))
    if file.is_file():
        if path is None:
            raise ConfigError(f"{run}: a model in a file; --data must say which pictures, such as fashion-mnist")
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
            loaded, split, users=users, draws=draws, seed=seed, annealed=annealed, annealing=annealing, progress=bar
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
    if "components" in content:
        largest = content["components"][:_COMPONENTS]
        title = f"the largest {len(largest)} of {len(content['components'])} components, and the items that say most about each"
        rows = [(f"{one['share']:.1%}", "; ".join(one["items"])) for one in largest]
        console.print(table(title, ("share", "items"), rows, left=2))
    if "names" in content:
        _show_names(console, content["names"])
    console.print(f"the page with its curves: {target}", soft_wrap=True)


def _show_names(console: Any, names: dict[str, Any]) -> None:
    rows = [
        (str(level), f"{used:.1%}", f"{perplexity:.0f}", f"{entropy:.2f}", f"{shared:.1%}")
        for level, (used, perplexity, entropy, shared) in enumerate(
            zip(*(names[key] for key in ("used", "perplexity", "entropy", "shared")), strict=True), 1
        )
    ]
    console.print(
        f"names of {len(rows)} codes: {names['collisions']:.1%} of the items share theirs with another (up to "
        f"{names['largest']} of them), and one code more tells them apart",
        soft_wrap=True,
    )
    console.print(
        table(
            "names",
            ("level", f"of {names['codes']} codes used", "perplexity", "entropy, nats", "items not alone yet"),
            rows,
        )
    )
    for alarm in names["alarms"]:
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
            f"{bits[key]:.4f} bits a pixel by {name}"
            for key, name in (("elbo", "the ELBO"), ("best_bound", "the best bound on log p(x)"))
            if bits[key] is not None
        ),
        soft_wrap=True,
    )
    _show_bounds(console, content["bounds"])
    console.print(f"the page with its curves: {target}", soft_wrap=True)


def _show_bounds(console: Any, bounds: dict[str, Any]) -> None:
    called = bounds["called"]
    head = ("nats", f"per {called['row']}", f"per {called['unit']}")
    console.print(table(bound_heading(bounds), head, bound_rows(bounds)))
    console.print(table("how far the importance weights can be trusted", RELIABILITY_HEAD, reliability_rows(bounds)))
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
