"""`foldin index`: an index over the items of a run, stored with it."""

import time

import click

from foldin.cli.indexing import DESCRIPTION, index_in_words
from foldin.cli.options import JSON
from foldin.cli.output import json_out, out, status
from foldin.ranking import DEFAULT_INDEX
from foldin.runs import add_index, load_run
from foldin.runs.stored_index import INDEX_FILES

__all__ = ["command"]


@click.command()
@click.argument("run")
@click.option("--kind", "description", default=DEFAULT_INDEX, show_default=True, metavar="FAISS", help=DESCRIPTION)
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.98,
    show_default=True,
    help="Share of the exact lists of 100 items that is wanted; the least effort of a search that finds it is stored.",
)
@click.option(
    "--effort",
    type=click.IntRange(1),
    help="Effort of a search (efSearch of HNSW, nprobe of IVF), in place of the least one that reaches --recall.",
)
@JSON
def command(run: str, description: str, recall: float, effort: int | None, as_json: bool) -> None:
    """Build an index over the items of RUN, with which lists are found without scoring every item, and store it with the run.

    `--ranker index` of `foldin serve`, `recommend` and `evaluate` uses it, and so does `Approximate(run.model, run.index)` in
    Python; it is mapped from its file, which several processes share. It pays for catalogs from some hundred thousand items
    on. The model stays as it is, and the run keeps its digest: a service takes up the index when it loads the run again.

    The recall is measured on up to 200 users: on some of those whose histories are saved with the run, or on made-up users who
    have taken popular items. `foldin recommend --users` measures it on others.

    \b
    Example:
      foldin index runs/films
      foldin serve runs/films --ranker index
    """
    loaded = load_run(run)
    if not as_json:
        status(f"building {description} over {len(loaded.catalog):,} items")
    start = time.perf_counter()
    users = None if loaded.known is None else loaded.known.histories
    index = add_index(
        loaded.folder,
        loaded.model,
        loaded.catalog,
        description=description,
        effort=effort,
        recall=recall,
        users=users,
    )
    seconds, file = time.perf_counter() - start, loaded.folder / INDEX_FILES[0]
    size = file.stat().st_size
    if as_json:
        about = {"kind": index.description, "effort": index.effort, "recall": index.recall, "k": index.measured_k}
        json_out({"run": run, "out": str(file), **about, "seconds": seconds, "bytes": size})
        return
    out().print(f"{index_in_words(index)} → {file} ({size / 1e6:.1f} MB, {seconds:.1f} s)", soft_wrap=True)
    if index.recall is not None and index.recall < recall and effort is None:
        status(f"no effort that was tried finds {recall:.1%}; another kind of index may")
