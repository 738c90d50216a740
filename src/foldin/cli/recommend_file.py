"""`foldin recommend --users`: the lists of every user in a file, block by block."""

from functools import partial
from pathlib import Path

from foldin.cli.output import json_out, out, status, working
from foldin.cli.targets import check_file
from foldin.data import ReadOptions, everyone_of_file
from foldin.experiment import ListMaker, source_of_run
from foldin.files import write_atomically

__all__ = ["lists_for_file"]

_WRITERS = {".parquet": "write_parquet", ".csv": "write_csv", ".ndjson": "write_ndjson", ".jsonl": "write_ndjson"}

_MEASURED = 1000  # users on whom the share of the exact lists is measured, at most


def lists_for_file(maker: ListMaker, file: str, target: Path, *, as_json: bool) -> None:
    """Lists for every user of a file or an event store, written to `target`; what happened is printed.

    Raises:
        ConfigError: a target that cannot be written.
        DataError: a file that cannot be read; says what and where.
    """
    check_file(target, "--out", tuple(_WRITERS), source=Path(file))
    run = maker.run
    asked = everyone_of_file(file, source_of_run(run) or ReadOptions(), run.catalog, run.weighting)
    users = asked.histories
    if asked.unknown_events:
        status(
            f"{asked.unknown_events:,} events with {asked.unknown_items:,} items that are not in the model's catalog are ignored"
        )
    if asked.without_events:
        status(f"{asked.without_events:,} users have no usable event")
    with working("users") as bar:
        lists = maker.frame(asked, bar)
    write_atomically(target, getattr(lists, _WRITERS[target.suffix]))
    recall, popular = maker.recall(users.rows(0, _MEASURED)), maker.given_popularity(users)
    if as_json:
        about = {
            "out": str(target),
            "users": len(users),
            "rows": lists.height,
            "unknown_events": asked.unknown_events,
            "without_events": asked.without_events,
            "given_popularity": popular,
        }
        json_out(about if recall is None else {**about, "recall_of_exact": recall})
        return
    say = partial(out().print, soft_wrap=True)
    say(f"{len(users):,} users, {lists.height:,} rows → {target}")
    if popular:
        say(f"note: {popular:,} of them are given the most popular items, since they have no usable history")
    if recall is not None:
        say(f"{recall:.1%} of the exact lists were found ({min(len(users), _MEASURED):,} users)")
