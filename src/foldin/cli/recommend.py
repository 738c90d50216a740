"""`foldin recommend`: lists for new people or for a file of them."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from foldin.cli.options import JSON
from foldin.cli.output import json_out, out, status, table, working
from foldin.data import Catalog, Histories, read_log
from foldin.errors import ConfigError, DataError
from foldin.experiment import choose_device
from foldin.models import Recommender, TopK
from foldin.store import load_run, write_atomically

__all__ = ["as_rows", "command", "list_table"]

_WRITERS = {".parquet": "write_parquet", ".csv": "write_csv", ".ndjson": "write_ndjson", ".jsonl": "write_ndjson"}


def as_rows(model: Recommender, catalog: Catalog, found: TopK, user: int) -> list[dict[str, Any]]:
    """One person's list as data; a likelihood model's entries have a probability, others a score."""
    rows = []
    for place, (item, score) in enumerate(zip(found.items[user].tolist(), found.scores[user].tolist(), strict=True)):
        if item >= 0:
            value = {"probability": float(np.exp(score))} if model.has_likelihood else {"score": score}
            rows.append({"rank": place + 1, "item": catalog.ids[item], "title": catalog.titles[item], **value})
    return rows


def list_table(title: str, rows: list[dict[str, Any]]) -> Any:
    """A person's list to look at."""
    key = "probability" if rows and "probability" in rows[0] else "score"
    shown = [
        (str(row["rank"]), row["title"], f"{row[key]:.2%}" if key == "probability" else f"{row[key]:.3f}")
        for row in rows
    ]
    return table(title, ("", "title", key), shown, left=2)


def _history(catalog: Catalog, ids: tuple[str, ...], titles: tuple[str, ...]) -> list[int]:
    named = [part.strip() for one in ids for part in one.split(",") if part.strip()]
    return [*catalog.indices(named), *(catalog.find_title(title) for title in titles)]


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
    device: str,
    as_json: bool,
) -> None:
    """Fold in one new person (--history, --likes) or everybody in a file (--users, --out) and list what they may pick
    next. Nothing is retrained. With neither, the list of a person with no history.

    \b
    Example:
      foldin recommend runs/films --likes "Toy Story (1995)" --likes "Aladdin (1992)" -k 5
    """
    loaded = load_run(run, device=choose_device(device))
    catalog = loaded.catalog
    limits: dict[str, Any] = {
        "allow": _history(catalog, allow, ()) if allow else None,
        "deny": _history(catalog, deny, ()) if deny else None,
    }
    if file is not None:
        if target is None or ids or titles:
            raise ConfigError("--users goes with --out FILE, and without --history and --likes")
        _for_file(
            loaded.model, catalog, Path(file), Path(target), k, limits, exclude_seen=not keep_seen, as_json=as_json
        )
        return
    if target is not None:
        raise ConfigError("--out goes with --users FILE")
    history = _history(catalog, ids, titles)
    people = Histories.from_lists([history], loaded.model.n_items)
    found = loaded.model.recommend(people, k, exclude_seen=not keep_seen, **limits)
    rows = as_rows(loaded.model, catalog, found, 0)
    if as_json:
        json_out({"run": run, "model": loaded.name, "history": [catalog.ids[i] for i in history], "items": rows})
        return
    taken = ", ".join(catalog.titles[i] for i in history) or "nothing yet"
    out().print(list_table(f"Took: {taken}", rows))


def _for_file(
    model: Recommender,
    catalog: Catalog,
    file: Path,
    target: Path,
    k: int,
    limits: dict[str, Any],
    *,
    exclude_seen: bool,
    as_json: bool,
) -> None:
    if target.suffix not in _WRITERS:
        raise DataError(f"{target}: one of {', '.join(_WRITERS)} was expected")
    log = read_log(file)
    index = dict(zip(catalog.ids, range(len(catalog)), strict=True))
    new = np.array([index.get(one, -1) for one in log.items["item"]], dtype=np.int64)
    people = log.histories.reindex(new, len(catalog))
    unknown = log.histories.n_events - people.n_events
    if unknown:
        status(f"{unknown:,} events on {int((new < 0).sum()):,} items that the model does not know are left out")
    frames = []
    step = 4096
    with working("people") as bar:
        for start in range(0, len(people), step):
            found = model.recommend(people.rows(start, start + step), k, exclude_seen=exclude_seen, **limits)
            frames.append(_frame(model, catalog, found, log.people[start : start + step]))
            bar(min(start + step, len(people)), len(people))
    lists = pl.concat(frames)
    write_atomically(target, getattr(lists, _WRITERS[target.suffix]))
    if as_json:
        json_out({"out": str(target), "people": len(people), "rows": lists.height, "unknown_events": unknown})
    else:
        out().print(f"{len(people):,} people, {lists.height:,} rows → {target}", soft_wrap=True)


def _frame(model: Recommender, catalog: Catalog, found: TopK, people: pl.Series) -> pl.DataFrame:
    k = found.items.shape[1]
    flat, scores = found.items.reshape(-1), found.scores.reshape(-1)
    kept = flat >= 0
    value = pl.Series("probability", np.exp(scores[kept])) if model.has_likelihood else pl.Series("score", scores[kept])
    return pl.DataFrame(
        [
            people.gather(np.repeat(np.arange(people.len()), k)[kept]).alias("person"),
            pl.Series("rank", np.tile(np.arange(1, k + 1), people.len())[kept]),
            catalog.table["item"].gather(flat[kept]),
            pl.Series("title", catalog.titles).gather(flat[kept]),
            value,
        ]
    )
