"""Lists for more users than one machine serves, by actors of Ray that each load the run once.

A part is read, ranked and written by one actor, and nothing but its name and its numbers goes through Ray. That is all that a
scoring needs of a cluster, so it is done by actors rather than by Ray Data, whose blocks would be cut anew, lose their order and
have to be put together again into files that say whether they are whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from foldin.cluster.connecting import Cluster, connected, ray_package
from foldin.cluster.messages import or_refusal
from foldin.cluster.parts import Part, check_users, is_finished, parts_of, summary_of, tidy, write_part
from foldin.cluster.pool import each
from foldin.data import ReadOptions, everyone_of_file
from foldin.errors import RunError
from foldin.experiment import ListMaker, ListRequest, source_of_run
from foldin.ranking import searches_stored
from foldin.runs import Run, index_facts, load_run

__all__ = ["Lists", "PartWorker", "recommend_on"]

_MEASURED = 1000  # users on whom the share of the exact lists is measured, about


@dataclass(frozen=True, kw_only=True)
class Lists:
    """What a scoring has written, in all parts together.

    Args:
        parts: number of parts.
        skipped: number of parts whose lists were there already.
        users: number of users.
        rows: number of entries of their lists.
        unknown_events: number of events with items that are not in the model's catalog.
        without_events: number of users without a usable event.
        given_popularity: number of users who are given the most popular items.
        recall_of_exact: share of the exact lists that the ranker found, on some users of each part; None for a ranker that misses
            nothing.
    """

    parts: int
    skipped: int
    users: int
    rows: int
    unknown_events: int
    without_events: int
    given_popularity: int
    recall_of_exact: float | None


def recommend_on(
    cluster: Cluster,
    run: str | Path,
    users: str | Path,
    out: str | Path,
    request: ListRequest,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Lists:
    """Lists for every user of a folder of files, made on a cluster: a Parquet file of lists for each file of events.

    The lists are those that one process makes of the same files, up to rounding. A part is written at once; one that is there
    already is skipped, so that a scoring that was killed goes on where it ended. If a worker or its machine dies, its part is
    made by another one.

    Args:
        cluster: the cluster.
        run: directory of the run, which all machines see.
        users: folder of files of events in any format that a log may have. All events of a user must be in one file.
        out: folder of the lists: `part-7.parquet` for `part-7.csv`.
        request: which lists to make.
        progress: called with (parts done, all parts).

    Raises:
        ConfigError: the folders or the request do not fit, or the cluster has too few CPUs.
        DataError: a part cannot be read, or a user is in several parts.
        MissingExtraError: Ray is not installed.
        RunError: the run cannot be loaded, `out` holds something else, a part ended three workers, or none could be started.
    """
    folder, source, target = (Path(one).resolve() for one in (run, users, out))
    parts = parts_of(source, target)
    loaded = load_run(folder, device=torch.device("cpu"))
    about = _about(loaded, request)
    left = [part for part in parts if not is_finished(part, about)]
    if left:
        check_users(parts, source_of_run(loaded) or ReadOptions())
    generation = loaded.folder  # workers that begin later must not load one that has become current since
    del loaded
    ray, done = ray_package(), len(parts) - len(left)
    if left:
        with connected(cluster) as workers:
            kind = ray.remote(num_cpus=cluster.cpus)(PartWorker)
            arguments = (generation, request, about, cluster.cpus, max(1, _MEASURED // len(parts)))
            for _ in each(ray, lambda: kind.remote(*arguments), left, workers):
                done += 1
                if progress is not None:
                    progress(done, len(parts))
    tidy(parts)
    return _together(parts, len(parts) - len(left))


def _about(run: Run, request: ListRequest) -> dict[str, Any]:
    """What the lists of a run depend on besides their part: the run, the request, and the stored index if it is searched."""
    about = {"run": run.info["digest"], **request.as_dict()}
    found = index_facts(run.folder) if searches_stored(request.ranker) else None
    return about if found is None else {**about, "index": found}


def _together(parts: list[Part], skipped: int) -> Lists:
    """The numbers of all parts, from their files."""
    found = summary_of(parts)
    shares = [(one["recall_of_exact"], one["measured"]) for one in found if one["recall_of_exact"] is not None]
    names = ("users", "rows", "unknown_events", "without_events", "given_popularity")
    measured = sum(count for _, count in shares)
    return Lists(
        parts=len(parts),
        skipped=skipped,
        recall_of_exact=sum(share * count for share, count in shares) / measured if measured else None,
        **{name: sum(one[name] for one in found) for name in names},
    )


class PartWorker:
    """The actor that makes the lists of parts.

    Args:
        run: directory of the run; of a folder of generations, that of the generation.
        request: which lists to make.
        about: what the lists depend on besides their part, which each file of lists keeps.
        cpus: number of PyTorch's threads.
        measured: number of users of each part on whom the share of the exact lists is measured.
    """

    def __init__(self, run: Path, request: ListRequest, about: dict[str, Any], cpus: int, measured: int) -> None:
        self._run, self._request, self._about = run, request, about
        self._cpus, self._measured = cpus, measured
        self._maker: ListMaker | None = None

    def ready(self) -> Any:
        """True when the run is loaded; a `Refusal` if it cannot be."""
        return or_refusal(self._load)

    def do(self, part: Part) -> Any:
        """The numbers about a part whose lists have been written; a `Refusal` if they cannot be made."""
        return or_refusal(lambda: self._write(part))

    def _load(self) -> bool:
        torch.set_num_threads(self._cpus)
        run = load_run(self._run, device=torch.device("cpu"))
        maker = self._request.maker(run)  # loads the index
        found = _about(run, self._request)
        for name, what in (("run", "run"), ("index", "index of the run")):
            if found.get(name) != self._about.get(name):
                raise RunError(
                    f"{self._run}: the {what} was replaced while its lists were being made; run this again, with another folder "
                    f"for the lists if some are there already"
                )
        self._maker = maker
        return True

    def _write(self, part: Part) -> dict[str, Any]:
        maker = self._maker
        assert maker is not None
        run = maker.run
        asked = everyone_of_file(part.source, source_of_run(run) or ReadOptions(), run.catalog, run.weighting)
        lists, some = maker.frame(asked), asked.histories.rows(0, self._measured)
        counts = {
            "users": len(asked.histories),
            "rows": lists.height,
            "unknown_events": asked.unknown_events,
            "without_events": asked.without_events,
            "given_popularity": maker.given_popularity(asked.histories),
            "recall_of_exact": maker.recall(some),
            "measured": len(some),
        }
        write_part(part, lists, self._about, counts)
        return counts
