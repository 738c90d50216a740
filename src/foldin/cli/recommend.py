"""`foldin recommend`: lists for new users or for a file of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from foldin.cli.cluster import cluster_of, placed_options, recommend_folder
from foldin.cli.ids import item_indices
from foldin.cli.options import DEVICE, JSON, SEED
from foldin.cli.output import json_out, out, status, table
from foldin.cli.rankers import RANKER
from foldin.cli.recommend_file import lists_for_file
from foldin.data import (
    Catalog,
    Histories,
    ResolvedHistory,
    conditions,
    repeats_of,
    resolve_history,
)
from foldin.errors import ConfigError
from foldin.experiment import ListRequest, choose_device
from foldin.models import PopularStart, PosteriorSampler, Recommender, capability
from foldin.ranking import (
    PosteriorSample,
    Price,
    RankedLists,
    Ranker,
    Rules,
    WithSpread,
    rank,
    ranker_of,
    rules_from_text,
)
from foldin.runs import Run, load_run

__all__ = ["as_rows", "command", "list_table", "single_ranker"]


def as_rows(model: Recommender[Any], catalog: Catalog, found: RankedLists, user: int) -> list[dict[str, Any]]:
    """One user's list as data: for each item its probability, or a score without a scale, and the ranker's further columns."""
    rows, more = [], found.columns()
    for place, item in enumerate(found.items[user].tolist()):
        if item < 0:
            continue
        score = float(found.scores[user, place])
        row = {"rank": place + 1, "item": catalog.ids[item], "title": catalog.titles[item]}
        row |= {"probability": float(np.exp(score))} if found.normalized else {"score": score}
        rows.append(row | {name: float(values[user, place]) for name, values in more.items()})
    return rows


def list_table(title: str, rows: list[dict[str, Any]]) -> Any:
    """A user's list as a table for the terminal."""
    columns: dict[str, tuple[str, Callable[[float], str]]] = {
        "probability": ("probability", lambda v: f"{v:.2%}"),
        "score": ("score", lambda v: f"{v:.3f}"),
        "low": ("5 %", lambda v: f"{v:.2%}"),
        "high": ("95 %", lambda v: f"{v:.2%}"),
        "in_top_k": (f"in top {len(rows)}", lambda v: f"{v:.0%}"),
    }
    used = [key for key in columns if rows and key in rows[0]]
    shown = [(str(row["rank"]), row["title"], *(columns[key][1](row[key]) for key in used)) for row in rows]
    return table(title, ("", "title", *(columns[key][0] for key in used)), shown, left=2)


def single_ranker(model: Recommender[Any], ranker: Ranker, *, seed: int = 0, draws: int | None = None) -> Ranker:
    """The ranker with posterior standard deviations and intervals, where the model has a posterior and the ranker lacks them."""
    if capability(model, PosteriorSampler) and not isinstance(ranker, PosteriorSample):
        return WithSpread(ranker, draws, seed=seed)
    return ranker


def _history(run: Run, ids: tuple[str, ...], titles: tuple[str, ...]) -> ResolvedHistory:
    """A user's history, resolved in the same way as in the service.

    Raises:
        UnknownItemError: an id or a title that is not in the catalog.
    """
    known = list(_ids_of(run.catalog, ids, "--history"))
    return resolve_history(run.catalog, known, titles=titles, repeats=repeats_of(run.info))


def _ids_of(catalog: Catalog, values: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The item ids in the values of an option."""
    found, notes = item_indices(catalog, values, option)
    for note in notes:
        status(note)
    return tuple(catalog.ids[at] for at in found)


def _price(price: Price) -> dict[str, Any]:
    """What one list gives up to its rules, as data."""
    rules = [{"rule": name, "given_up": value} for name, value in price.parts(0)]
    return {"unit": price.unit, "given_up": float(price.total[0]), "places": int(price.places[0]), "rules": rules}


def _start_note(model: Recommender[Any], users: Histories) -> str | None:
    """A note for a list of the most popular items; None for a list that depends on the user's events."""
    start = capability(model, PopularStart)
    if start is None or not start.given_popularity(users)[0]:
        return None
    reason = "no history" if users.n_events == 0 else "the model has learned nothing about the items of this history"
    return f"{reason}: these are the most popular items"


@click.command()
@click.argument("run")
@click.option(
    "--history", "ids", multiple=True, metavar="ID,ID,…", help="Ids of the items that the user took, oldest first."
)
@click.option(
    "--likes",
    "titles",
    multiple=True,
    metavar="TITLE",
    help="Title of an item that the user took; may be repeated.",
)
@click.option(
    "--users",
    "file",
    metavar="FILE",
    help="Log of the users to recommend to, in any format that `fit` reads, or its URL; with --ray, a folder "
    "of such files.",
)
@click.option(
    "--out",
    "target",
    metavar="FILE",
    help="File for the lists of --users, ending in .parquet, .csv or .ndjson; with --ray, a folder for Parquet files.",
)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of items in a list.")
@click.option("--allow", multiple=True, metavar="ID,ID,…", help="Ids of the only items that may be listed.")
@click.option("--deny", multiple=True, metavar="ID,ID,…", help="Ids of items that may not be listed.")
@click.option(
    "--keep-seen/--exclude-seen",
    default=None,
    help="Whether items of the history may be listed too  [default: only if the run was trained with --repeats keep]",
)
@click.option(
    "--explore",
    is_flag=True,
    help="Whether to rank by one draw from the posterior, with propensities; the same as --ranker sample.",
)
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the draws. One seed gives a user the same list in any file.",
)
@click.option(
    "--draws",
    type=click.IntRange(2),
    help="Number of draws from the posterior, for intervals and P(in the top k)  [default: 100; with --explore 1000, or 100 "
    "for lda and poisson]",
)
@click.option(
    "--where",
    metavar="JSON",
    help="Conditions on features of the items, as in the service's `filter`: any_of, all_of, none_of, contains, low, high; dates "
    "are text such as 2024-01-31. "
    """Example: '{"genres": {"any_of": ["Comedy"]}, "year": {"low": 1990}}'.""",
)
@click.option(
    "--rules",
    "stated",
    metavar="JSON",
    help="Business rules, as in the service's `rules`, or the name of a .json file with them: boosts, freshness, diversity, caps "
    "and pins. The output says what the list gives up to them. "
    """Example: '{"boosts": [{"where": {"genres": {"any_of": ["Drama"]}}, "log_weight": 0.5}], """
    """"caps": [{"feature": "genres", "most": 3}]}'.""",
)
@placed_options
@RANKER
@DEVICE
@JSON
def command(
    run: str,
    ids: tuple[str, ...],
    titles: tuple[str, ...],
    file: str | None,
    target: str | None,
    k: int,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    keep_seen: bool | None,
    explore: bool,
    seed: int,
    draws: int | None,
    where: str | None,
    stated: str | None,
    ranker: str,
    device: str,
    as_json: bool,
    **placed: Any,
) -> None:
    """Recommend items to one new user (--history, --likes) or to every user of a file (--users, --out). Users are folded in:
    nothing is retrained. With neither, the list is that of a user with no history.

    For a model with a posterior, each item comes with the 90 % credible interval of its probability (with --json also the
    standard deviation) and P(in the top k) with its standard error. With --explore the list is ranked by one draw from the
    posterior, and P(in the top k), estimated from further, independent draws, is each item's marginal propensity: the
    probability that it is anywhere in the list. It is 0 if no draw listed the item. inverse_propensity, (n + 1) / (X + 1) where
    X of n draws listed it, is a finite weight for inverse propensity scoring. An item of propensity p needs several times 1/p
    draws.

    An option that takes ID,ID,… may be repeated. A value that is itself the id of an item is read as that item, commas and
    spaces included; any other value is split at commas, and an id that contains a comma must be quoted, as in CSV: '"10,5",7'.

    A user about whom the model has learned nothing, such as a user with no history, is given the most popular items, and a
    note says so. Every user in the file of --users gets a list, even if none of the events can be used. An existing file is
    overwritten by --out only if this command wrote it.

    With --ray, --users and --out are folders: the lists of each file of events are written to a file of their own, by processes
    on a Ray cluster that each load the run once. All events of a user must be in one file. The same command goes on where it was
    killed.

    With --users and --ranker beam or index, the share of the exact lists that the ranker found is measured on up to a thousand
    users.

    \b
    Example:
      foldin recommend runs/films --likes "Toy Story (1995)" --likes "Aladdin (1992)" -k 5
    """
    cluster = cluster_of(placed, placed["workers"], device)
    loaded = load_run(run, device=choose_device(device))
    catalog = loaded.catalog
    if explore and ranker not in ("exact", "sample"):
        raise ConfigError(f"--explore means --ranker sample and cannot be combined with --ranker {ranker}")
    allowed, denied = (_ids_of(catalog, ids_, option) for ids_, option in ((allow, "--allow"), (deny, "--deny")))
    if allow and not allowed:
        raise ConfigError("--allow contains no item, so that no item may be listed")
    request = ListRequest(
        k=k,
        ranker="sample" if explore else ranker,
        seed=seed,
        draws=draws,
        exclude_seen=not (loaded.reading.keeps_repeats if keep_seen is None else keep_seen),
        allow=allowed if allow else None,
        deny=denied,
        where=None if where is None else conditions(where, "--where"),
        rules=Rules() if stated is None else rules_from_text(stated, "--rules"),
    )
    if cluster is not None:
        if ids or titles:
            raise ConfigError("--ray cannot be combined with --history or --likes")
        recommend_folder(cluster, run, file, target, request, as_json=as_json)
        return
    if file is not None:
        if target is None or ids or titles:
            raise ConfigError("--users needs --out FILE and cannot be combined with --history or --likes")
        lists_for_file(request.maker(loaded), file, Path(target), as_json=as_json)
        return
    if target is not None:
        raise ConfigError("--out needs --users FILE")
    by = ranker_of(request.ranker, loaded.model, seed=seed, draws=draws, index=lambda: loaded.index)
    eligible = request.eligibility(catalog)
    history = _history(loaded, ids, titles)
    users = history.histories(loaded.model.n_items)
    by = request.under_rules(catalog, single_ranker(loaded.model, by, seed=seed, draws=draws))
    found = rank(loaded.model, users, k, ranker=by, eligible=eligible(users))
    rows = as_rows(loaded.model, catalog, found, 0)
    note = _start_note(loaded.model, users)
    if as_json:
        about: dict[str, Any] = {
            "run": run,
            "model": loaded.name,
            "history": [catalog.ids[i] for i in history.items],
            "items": rows,
        }
        about |= {} if found.price is None else {"price": _price(found.price)}
        json_out(about if note is None else {**about, "note": note})
        return
    taken = ", ".join(catalog.titles[i] for i in history.items) or "nothing yet"
    out().print(list_table(f"Took: {taken}", rows))
    if found.price is not None:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in found.price.parts(0))
        out().print(f"given up to the rules: {found.price.total[0]:.3f} {found.price.unit} ({parts})", soft_wrap=True)
    if note is not None:
        out().print(f"note: {note}", soft_wrap=True)
