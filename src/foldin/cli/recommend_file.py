"""`foldin recommend --users`: the lists of every user in a file, block by block."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from foldin.cli.output import json_out, out, status, working
from foldin.cli.targets import check_file
from foldin.data import Everyone, Histories, ReadOptions, everyone_of_file
from foldin.experiment import source_of_run
from foldin.files import write_atomically
from foldin.memory import require_memory
from foldin.models import PopularStart, capability, user_key
from foldin.ranking import Approximate, Beam, Eligibility, Ranker, rank, recall_against
from foldin.runs import Run

__all__ = ["lists_for_file"]

_WRITERS = {".parquet": "write_parquet", ".csv": "write_csv", ".ndjson": "write_ndjson", ".jsonl": "write_ndjson"}

_USERS = 4096  # users of a file in one block
_ROW_BYTES = 200.0  # memory for one entry of a list before it is written
_MEASURED = 1000  # users on whom the share of the exact lists is measured, at most


def lists_for_file(
    run: Run,
    file: str,
    target: Path,
    k: int,
    eligible: Callable[[Histories], Eligibility],
    ranker: Ranker,
    *,
    as_json: bool,
) -> None:
    """Lists of `k` items for every user of a file or an event store, written to `target`; what happened is printed.

    Raises:
        ConfigError: a target that cannot be written.
        DataError: a file that cannot be read; says what and where.
    """
    check_file(target, "--out", tuple(_WRITERS), source=Path(file))
    asked = everyone_of_file(file, source_of_run(run) or ReadOptions(), run.catalog, run.weighting)
    users, places = asked.histories, min(k, len(run.catalog))
    require_memory(
        _ROW_BYTES * float(len(users)) * places,
        f"{len(users):,} lists of {places:,} items",
        "ask for shorter lists (-k), or for fewer users at a time",
    )
    if asked.unknown_events:
        status(
            f"{asked.unknown_events:,} events with {asked.unknown_items:,} items that are not in the model's catalog are ignored"
        )
    if asked.without_events:
        status(f"{asked.without_events:,} users have no usable event")
    lists = _lists(run, asked, k, eligible, ranker)
    write_atomically(target, getattr(lists, _WRITERS[target.suffix]))
    recall = _recall(run, users.rows(0, _MEASURED), k, eligible, ranker)
    fallback = capability(run.model, PopularStart)
    popular = 0 if fallback is None else int(fallback.given_popularity(users).sum())
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


def _lists(
    run: Run, asked: Everyone, k: int, eligible: Callable[[Histories], Eligibility], ranker: Ranker
) -> pl.DataFrame:
    users, frames = asked.histories, []
    with working("users") as bar:
        for start in range(0, len(users), _USERS):
            part = users.rows(start, start + _USERS)
            # Posterior spread costs a hundred times the list, so a file gets it only if the ranker computes it anyway.
            ids = asked.users[start : start + _USERS]
            keys = [user_key(user) for user in ids]
            found = rank(run.model, part, k, ranker=ranker, eligible=eligible(part), keys=keys)
            frames.append(found.frame(run.catalog, ids))
            bar(min(start + _USERS, len(users)), len(users))
    return pl.concat(frames)


def _recall(
    run: Run, users: Histories, k: int, eligible: Callable[[Histories], Eligibility], ranker: Ranker
) -> float | None:
    """The mean share of the exact lists that the ranker finds; None for a ranker that misses nothing."""
    if not isinstance(ranker, Approximate | Beam):
        return None
    lists_of = partial(rank, run.model, users, k, eligible=eligible(users))
    return float(recall_against(lists_of(ranker=ranker), lists_of()).mean()) if len(users) else 1.0
