"""`foldin demo`: the main job on a real embedded data set, start to finish."""

import tempfile
from pathlib import Path

import click
import numpy as np

from foldin.cli.describe import describe_log, describe_split, show_log, show_split
from foldin.cli.options import JSON, SEED
from foldin.cli.output import FitBar, json_out, line_width, out, status, working
from foldin.cli.recommend import as_rows, list_table, single_ranker
from foldin.cli.tables import metrics_table, show_tests
from foldin.data import EMBEDDED, Histories, Source, split_log
from foldin.errors import ConfigError, RunError
from foldin.experiment import report, train
from foldin.models import EASEConfig, MultVAEConfig, PopularityConfig
from foldin.ranking import Exact, rank
from foldin.runs import check_target, is_finished, load_run
from foldin.training import Config

__all__ = ["command"]

# Settings for a small log of 671 users: a narrow latent space, strong regularization.
_MODELS: dict[str, Config] = {
    "popularity": PopularityConfig(),
    "ease": EASEConfig(regularization=200.0),
    "multvae": MultVAEConfig(latent_dim=64, hidden_dims=(), epochs=80, batch_size=50),
}
_LIKES = ("Toy Story (1995)", "Aladdin (1992)", "Lion King, The (1994)")


@click.command()
@click.option(
    "--likes",
    "titles",
    multiple=True,
    metavar="TITLE",
    help="Item that the new user likes; may be repeated.",
)
@click.option("--out", "folder", metavar="RUN", help="Run directory in which the trained Mult-VAE is saved.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the split and of training.")
@click.option(
    "--serve", is_flag=True, help="Whether to serve the trained Mult-VAE afterwards and open the studio in a browser."
)
@JSON
def command(titles: tuple[str, ...], folder: str | None, seed: int, serve: bool, as_json: bool) -> None:
    """Read MovieLens small, split it, train and compare three models, and recommend items to a test user and to a new user.

    \b
    Example:
      foldin demo --likes "Alien (1979)" --likes "Blade Runner (1982)"
    """
    if serve and as_json:
        raise ConfigError(
            "--serve and --json exclude each other: --serve runs until Ctrl-C, --json prints one object and ends"
        )
    with tempfile.TemporaryDirectory() as scratch:
        _demo(titles, folder, seed, serve=serve, as_json=as_json, scratch=Path(scratch))


def _demo(titles: tuple[str, ...], folder: str | None, seed: int, *, serve: bool, as_json: bool, scratch: Path) -> None:
    if folder is not None:
        if is_finished(Path(folder)):
            raise RunError(f"{folder}: holds a finished run; give another folder, or remove it first")
        check_target(Path(folder))
    console = out()
    source = Source(path=EMBEDDED, min_rating=4.0, protocol="strong", held_out=100, seed=seed)
    with working("reading"):
        log = source.log()
        split = split_log(log, "strong", held_out=source.held_out, seed=seed)
    # A misspelled title is reported before the models are trained.
    likes = [split.catalog.find_title(title) for title in titles or _LIKES]
    if not as_json:
        show_log(console, describe_log(log))
        show_split(console, describe_split(split))
        console.print()
    trained = {}
    for name, config in _MODELS.items():
        with FitBar(name, "ndcg@100") as progress:
            trained[name] = train(split, config, seed=seed, progress=progress)
    content = report(split, trained, data=EMBEDDED, seed=seed)
    model, catalog = trained["multvae"].model, split.catalog
    # The lists below come from the saved run, so that they are what `foldin recommend` would show.
    target = Path(folder) if folder is not None else scratch / "multvae"
    trained["multvae"].save(target)
    model = load_run(target).model
    lengths = split.test.fold_in.lengths
    user = int(np.argmin(np.abs(lengths - 12)))
    known = split.test.fold_in.select(np.array([user]))
    new = Histories.from_lists([likes], len(catalog))
    lists = {
        who: as_rows(model, catalog, rank(model, users, 10, ranker=single_ranker(model, Exact())), 0)
        for who, users in (("known", known), ("new", new))
    }
    if as_json:
        json_out(content | {"recommendations": lists})
        return
    console.print(metrics_table(content, line_width(console)))
    show_tests(console, content, "ndcg@100")
    history = [catalog.titles[i] for i in known.of(0)]
    found = {catalog.titles[i] for i in split.test.targets.of(user)}
    console.print(f"\nA test user (id {split.test.users[user]}), not in training, took:", highlight=False)
    console.print("  " + "; ".join(history), soft_wrap=True)
    console.print("held-out items: " + "; ".join(sorted(found)), soft_wrap=True)
    for row in lists["known"]:
        row["title"] += "  ✓" if row["title"] in found else ""
    console.print(list_table("\nMult-VAE expects next (✓ = held out)", lists["known"]))
    console.print(list_table("\nA new user who likes " + "; ".join(catalog.titles[i] for i in likes), lists["new"]))
    console.print(
        "\nThe formulas behind these numbers are derived in the book: docs/book, or `foldin docs`.", soft_wrap=True
    )
    if folder is not None:
        console.print(f'\nsaved in {folder}; try: foldin recommend {folder} --likes "Alien (1979)"', soft_wrap=True)
        console.print(f"to open the studio in a browser: foldin serve {folder} --no-keys", soft_wrap=True)
    if serve:
        _serve(target, scratch / "events.db")


def _serve(run: Path, database: Path) -> None:
    from foldin.cli.serve import server_module
    from foldin.serve import Limits

    server = server_module()
    from foldin.serve.log_lines import logged

    url, host = f"sqlite:///{database}", "127.0.0.1"

    def ready(address: str) -> None:
        status(f"the studio is at {address}; Ctrl-C stops")
        click.launch(address)

    with logged():
        app, _, watcher = server.build([run], url, open_to_all=True, host=host, limits=Limits(), device="cpu")
        server.run(app, watcher, host=host, port=0, ready=ready)
