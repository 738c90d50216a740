"""`foldin recommend`: lists for new people or for a file of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import torch

from foldin.cli.ids import item_indices
from foldin.cli.options import JSON, SEED
from foldin.cli.output import json_out, out, status, table, working
from foldin.cli.people import people_of
from foldin.cli.targets import check_file
from foldin.data import Catalog, Histories, ResolvedHistory, repeats_of, resolve_history
from foldin.errors import ConfigError
from foldin.experiment import choose_device
from foldin.files import write_atomically
from foldin.memory import require_memory
from foldin.models import PopularStart, Posterior, Predictive, Recommender, TopK, user_key
from foldin.retrieval import Index, recall_against
from foldin.store import Run, load_run

__all__ = ["as_rows", "command", "list_table", "lists_of"]

_WRITERS = {".parquet": "write_parquet", ".csv": "write_csv", ".ndjson": "write_ndjson", ".jsonl": "write_ndjson"}

_USERS = 4096  # of a file, whose lists are made at once
_ROW_BYTES = 200.0  # of a place of a list on its way into a file

_UNCERTAINTY = ("sd", "low", "high", "in_top_k", "in_top_k_se")
_EXPLORED = (*_UNCERTAINTY, "inverse_propensity")


def as_rows(
    model: Recommender[Any], catalog: Catalog, found: TopK, user: int, *, explore: bool = False
) -> list[dict[str, Any]]:
    """One person's list as data: a probability, or the score of a model without a density.

    With the posterior's uncertainty: the standard deviation of the probability, its 90 % credible interval, and P(the item is
    among the k best) with its standard error; when exploring, the weight for inverse propensity scoring too.
    """
    rows = []
    for place, item in enumerate(found.items[user].tolist()):
        if item < 0:
            continue
        score = float(found.scores[user, place])
        row = {"rank": place + 1, "item": catalog.ids[item], "title": catalog.titles[item]}
        row |= {"probability": float(np.exp(score))} if model.has_likelihood else {"score": score}
        if isinstance(found, Predictive):
            row |= {name: float(getattr(found, name)[user, place]) for name in (_EXPLORED if explore else _UNCERTAINTY)}
        rows.append(row)
    return rows


def list_table(title: str, rows: list[dict[str, Any]]) -> Any:
    """A person's list to look at."""
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


def lists_of(
    model: Recommender[Any],
    people: Histories,
    k: int,
    how: dict[str, Any],
    *,
    explore: bool = False,
    seed: int = 0,
    draws: int | None = None,
    keys: Sequence[int] | None = None,
) -> TopK:
    """Lists, with the posterior's uncertainty where the model has one; what is drawn is keyed by the seed and each user."""
    if isinstance(model, Posterior):
        generator = torch.Generator().manual_seed(seed)
        return model.predictive(people, k, generator, explore=explore, draws=draws, keys=keys, **how)
    if explore:
        raise ConfigError(f"--explore needs a model with a posterior; {type(model).__name__} has none")
    return model.recommend(people, k, **how)


def _history(run: Run, ids: tuple[str, ...], titles: tuple[str, ...]) -> ResolvedHistory:
    """What a user took, as the service would read it too.

    Raises:
        UnknownItemError: an id or a title that the catalog does not have.
    """
    named = [run.catalog.ids[at] for at in _items(run.catalog, ids, "--history")]
    return resolve_history(run.catalog, named, titles=titles, repeats=repeats_of(run.info))


def _items(catalog: Catalog, ids: tuple[str, ...], option: str) -> list[int]:
    found, notes = item_indices(catalog, ids, option)
    for note in notes:
        status(note)
    return found


def _start_note(model: Recommender[Any], people: Histories) -> str | None:
    """What is to be said of a list that does not come from the user's own events."""
    if not isinstance(model, PopularStart) or not model.given_popularity(people)[0]:
        return None
    known = "no history" if people.n_events == 0 else "nothing is learned of the items in the history"
    return f"{known}: these are the most popular items"


@click.command()
@click.argument("run")
@click.option("--history", "ids", multiple=True, metavar="ID,ID,…", help="What the person took, oldest first.")
@click.option("--likes", "titles", multiple=True, metavar="TITLE", help="The same by title; may be repeated.")
@click.option("--users", "file", metavar="FILE", help="A log of people, in any format that `fit` reads.")
@click.option("--out", "target", metavar="FILE", help="Where their lists go: .parquet, .csv or .ndjson.")
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Length of the lists.")
@click.option("--allow", multiple=True, metavar="ID,ID,…", help="Only these items may be listed.")
@click.option("--deny", multiple=True, metavar="ID,ID,…", help="These items may not.")
@click.option("--keep-seen", is_flag=True, help="List items of the history too.")
@click.option("--explore", is_flag=True, help="The list of one draw from the posterior, with propensities.")
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the draws; with it a user is given the same list in any file.",
)
@click.option(
    "--draws",
    type=click.IntRange(2),
    help="Number of draws from the posterior, for intervals and P(in the top k)  [default: 100; with --explore 1000, but 100 "
    "of lda and poisson]",
)
@click.option("--index", metavar="FAISS", help="With --users: search approximately, e.g. HNSW32 or IVF256,Flat.")
@click.option("--effort", type=click.IntRange(1), help="Of that search: efSearch of HNSW, nprobe of IVF.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, mps or auto.")
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
    keep_seen: bool,
    explore: bool,
    seed: int,
    draws: int | None,
    index: str | None,
    effort: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Fold in one new person (--history, --likes) or everybody in a file (--users, --out) and list what they may pick
    next. Nothing is retrained. With neither, the list of a person with no history.

    A model with a posterior says how sure it is: the 90 % credible interval of each probability (--json: its standard
    deviation too), and P(in the top k) with its standard error. Under --explore the list is that of one draw from the
    posterior, and P(in the top k), over further, independent draws, is each item's marginal propensity: that of being
    anywhere in the list. It is 0 where no draw listed the item; inverse_propensity, (n + 1) / (X + 1) with X of n draws, is the
    finite weight for inverse propensity scoring. An item of propensity p needs several times 1/p draws.

    An option that takes ID,ID,… may be repeated. A value that is itself the id of an item is that item, commas, blanks and
    all; else it is split at commas, and an id with a comma stands in quotes, as in CSV: '"10,5",7'.

    Whoever a model has learned nothing of, such as a person with no history, is given the most popular items, and a note
    says so. Every person in FILE gets a list, also where none of the events can be used. The file that --out names may be
    there already only where this command wrote it.

    With --index the lists come from a FAISS index over the items, and the share of the exact lists that it found is
    measured on up to a thousand of the people.

    \b
    Example:
      foldin recommend runs/films --likes "Toy Story (1995)" --likes "Aladdin (1992)" -k 5
    """
    loaded = load_run(run, device=choose_device(device))
    catalog = loaded.catalog
    how: dict[str, Any] = {
        "exclude_seen": not keep_seen,
        "allow": _items(catalog, allow, "--allow") if allow else None,
        "deny": _items(catalog, deny, "--deny") if deny else None,
    }
    if allow and not how["allow"]:
        raise ConfigError("--allow names no item, so that no item may be listed")
    if file is not None:
        if target is None or ids or titles:
            raise ConfigError("--users goes with --out FILE, and without --history and --likes")
        if index is not None and explore:
            raise ConfigError("--explore draws from the posterior and scores every item: it goes without --index")
        search = None if index is None else Index(loaded.model, index, effort=effort)
        _for_file(
            loaded, Path(file), Path(target), k, how, search, explore=explore, seed=seed, draws=draws, as_json=as_json
        )
        return
    if index is not None:
        raise ConfigError("--index goes with --users FILE; a single list is exact")
    if target is not None:
        raise ConfigError("--out goes with --users FILE")
    history = _history(loaded, ids, titles)
    people = history.histories(loaded.model.n_items)
    found = lists_of(loaded.model, people, k, how, explore=explore, seed=seed, draws=draws)
    rows = as_rows(loaded.model, catalog, found, 0, explore=explore)
    note = _start_note(loaded.model, people)
    if as_json:
        about = {"run": run, "model": loaded.name, "history": [catalog.ids[i] for i in history.items], "items": rows}
        json_out(about if note is None else {**about, "note": note})
        return
    taken = ", ".join(catalog.titles[i] for i in history.items) or "nothing yet"
    out().print(list_table(f"Took: {taken}", rows))
    if note is not None:
        out().print(f"note: {note}", soft_wrap=True)


def _for_file(
    run: Run,
    file: Path,
    target: Path,
    k: int,
    how: dict[str, Any],
    search: Index | None,
    *,
    explore: bool,
    seed: int,
    draws: int | None,
    as_json: bool,
) -> None:
    model, catalog = run.model, run.catalog
    check_file(target, "--out", tuple(_WRITERS), source=file)
    asked = people_of(run, file)
    people = asked.histories
    places = min(k, len(catalog))
    require_memory(
        _ROW_BYTES * float(len(people)) * places,
        f"{len(people):,} lists of {places:,} places",
        "ask for shorter lists (-k), or for fewer people at a time",
    )
    if asked.unknown_events:
        status(
            f"{asked.unknown_events:,} events on {asked.unknown_items:,} items that the model does not know are left out"
        )
    if asked.without_events:
        status(f"{asked.without_events:,} people have no event that can be used")
    frames = []
    step = _USERS
    with working("people") as bar:
        for start in range(0, len(people), step):
            part = people.rows(start, start + step)
            # The spread over the posterior costs a hundred times the list: for a file only where it is asked for.
            if explore:
                keys = [user_key(user) for user in asked.people[start : start + step]]
                found = lists_of(model, part, k, how, explore=True, seed=seed, draws=draws, keys=keys)
            else:
                found = model.recommend(part, k, **how) if search is None else search.recommend(part, k, **how)
            normalised = model.has_likelihood and search is None
            frames.append(_frame(catalog, found, asked.people[start : start + step], normalised=normalised))
            bar(min(start + step, len(people)), len(people))
    lists = pl.concat(frames)
    write_atomically(target, getattr(lists, _WRITERS[target.suffix]))
    recall = None
    if search is not None:
        some = people.rows(0, 1000)
        found_share = recall_against(search.recommend(some, k, **how), model.recommend(some, k, **how))
        recall = float(found_share.mean()) if len(some) else 1.0
    popular = int(model.given_popularity(people).sum()) if isinstance(model, PopularStart) else 0
    if as_json:
        more = {} if recall is None else {"recall_of_exact": recall}
        json_out(
            {
                "out": str(target),
                "people": len(people),
                "rows": lists.height,
                "unknown_events": asked.unknown_events,
                "without_events": asked.without_events,
                "given_popularity": popular,
                **more,
            }
        )
    else:
        out().print(f"{len(people):,} people, {lists.height:,} rows → {target}", soft_wrap=True)
        if popular:
            out().print(
                f"note: {popular:,} of them are given the most popular items, for want of a history", soft_wrap=True
            )
        if recall is not None:
            out().print(f"{recall:.1%} of the exact lists were found ({min(len(people), 1000):,} people)")


def _frame(catalog: Catalog, found: TopK, people: pl.Series, *, normalised: bool) -> pl.DataFrame:
    k = found.items.shape[1]
    flat, scores = found.items.reshape(-1), found.scores.reshape(-1)
    kept = flat >= 0
    values = [pl.Series("probability", np.exp(scores[kept])) if normalised else pl.Series("score", scores[kept])]
    if isinstance(found, Predictive):
        values += [pl.Series(name, getattr(found, name).reshape(-1)[kept]) for name in _EXPLORED]
    return pl.DataFrame(
        [
            people.gather(np.repeat(np.arange(people.len()), k)[kept]).alias("person"),
            pl.Series("rank", np.tile(np.arange(1, k + 1), people.len())[kept]),
            catalog.table["item"].gather(flat[kept]),
            pl.Series("title", catalog.titles).gather(flat[kept]),
            *values,
        ]
    )
