"""The path or name of a log with all options of reading and splitting, as one value that is saved in a run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from foldin.data.log.events import EventLog
from foldin.data.log.options import ReadOptions
from foldin.data.log.urls import is_file_url, is_url, public_url, shown_source
from foldin.data.log.users import open_users
from foldin.data.named import read_log
from foldin.data.splits.base import Split
from foldin.data.splits.given import is_given, read_given
from foldin.data.splits.protocols import DEFAULT_MIN_EVENTS, split_log
from foldin.data.user_features import with_user_features
from foldin.errors import SplitError

__all__ = ["Source"]


@dataclass(frozen=True, kw_only=True)
class Source(ReadOptions):
    """The origin of a log, how it is read (the options of `ReadOptions`), and how it is split.

    Args:
        path: file, folder, URL of a file or an event store, or name of a data set; see `read_log`.
        protocol: one of `PROTOCOLS`; None means `given` for a folder that is already split, and `strong` otherwise.
        seed: seed of the split.
        held_out: users (strong, cold-items, cold-users) or events (temporal) held out for validation, and as many for the test:
            a share, or a number of users.
        min_events: users with fewer events are dropped.
        item_events: items with fewer events are dropped first.
        core: whether to repeat both filters until both hold (a k-core).
        fold_in: events by which test users are folded in, for a folder of train, valid and test: their training events
            (`train`, as published), or their validation events too (`all`, as in the service).
        targets: kinds of events that may be targets; all kinds if empty. Events of all kinds are seen.
        users: file of features of the users, for models and protocols that read them.
    """

    path: str
    protocol: str | None = None
    seed: int = 0
    held_out: float = 0.1
    min_events: int | None = None
    item_events: int = 1
    core: bool = False
    fold_in: str = "train"
    targets: tuple[str, ...] = ()
    users: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "targets", tuple(self.targets))

    def __repr__(self) -> str:
        given = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not one.default}
        return f"Source({', '.join(f'{name}={value!r}' for name, value in {**given, 'path': self.shown}.items())})"

    @property
    def shown(self) -> str:
        """The path for messages: a URL without passwords."""
        return shown_source(self.path)

    @property
    def given(self) -> bool:
        """Whether `path` is a folder that is already split."""
        return self.protocol == "given" or (self.protocol is None and is_given(Path(self.path)))

    def log(
        self,
        *,
        progress: Callable[[str], None] | None = None,
        download_progress: Callable[[int, int | None], None] | None = None,
    ) -> EventLog:
        """The validated log, filtered but not split."""
        log = read_log(
            self.path,
            progress=progress,
            download_progress=download_progress,
            users=self.users,
            **self.reading(),
        )
        if self.item_events > 1 or self.core:
            # The protocol's own minimum, so that it removes no user afterwards and the core stays one.
            least = DEFAULT_MIN_EVENTS.get(self.protocol or "strong", 1) if self.min_events is None else self.min_events
            users = least if self.core else 1
            log = log.core(user_events=users, item_events=self.item_events, repeat=self.core)
        return log

    def split(
        self,
        *,
        progress: Callable[[str], None] | None = None,
        download_progress: Callable[[int, int | None], None] | None = None,
    ) -> Split:
        """The split log.

        Raises:
            DataError: the log cannot be read.
            SplitError: the protocol does not apply, or a filter was given for a folder that is already split.
        """
        if is_url(self.path) and self.protocol == "given":
            what = "a file" if is_file_url(self.path) else "an event store"
            raise SplitError(f"{self.shown}: {what} is not split already; the protocol 'given' needs a folder")
        if self.given:
            if self.min_rating is not None or self.item_events > 1 or self.core or self.min_events is not None:
                raise SplitError(f"{self.path}: the folder is already split; filters would change the published split")
            if self.targets:
                raise SplitError(f"{self.path}: the folder is already split; its targets are given")
            split = replace(read_given(self.path, fold_in=self.fold_in, **self.reading()), source=self.as_dict())
            return split if self.users is None else with_user_features(split, open_users(self.users)[0])
        if self.fold_in != "train":
            raise SplitError(f"{self.shown}: fold_in = {self.fold_in!r} needs a folder of train, valid and test")
        log = self.log(progress=progress, download_progress=download_progress)
        split = split_log(
            log,
            self.protocol or "strong",
            held_out=self.held_out,
            min_events=self.min_events,
            seed=self.seed,
            targets=self.targets,
        )
        # The report names exactly these events of a store, which grows.
        source = replace(self, path=log.report.source) if is_url(self.path) else self
        return replace(split, source=source.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as JSON; an existing path is absolute, and a URL has no password."""
        there = not is_url(self.path) and Path(self.path).exists()
        plain = asdict(replace(self, path=str(Path(self.path).resolve()) if there else self.shown))
        for name, place in (("items", self.items), ("users", self.users)):
            if place is not None:
                plain[name] = public_url(place) if is_file_url(place) else str(Path(place).resolve())
        defaults = asdict(Source(path=""))
        return {name: value for name, value in plain.items() if value != defaults[name]}
