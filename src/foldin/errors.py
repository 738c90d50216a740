"""Every error foldin raises on purpose.

    FoldinError
    ├── DataError            a log, a catalog or a file of them cannot be used as it is
    │   ├── FormatError      the file is not in the format that its name or `--format` states, or is damaged
    │   ├── ColumnError      a column is missing, ambiguous, or holds values of the wrong kind
    │   ├── EmptyLogError    no event is left to learn from
    │   └── DownloadError    a public data set could not be fetched or does not match its checksum
    ├── SplitError           a protocol cannot be applied to this log
    ├── ConfigError          a setting has a bad name or value
    │   ├── UnknownModelError a model that is not in service
    │   └── CapacityError    the requested operation needs more memory than is free
    ├── ShapeError           arrays that must agree in size do not
    ├── SupportError         logged lists hold nothing about what a policy would list
    ├── UnknownItemError     an item id or title that is not in the catalog
    ├── UnknownUserError     a user id whose history is not known
    ├── RunError             a run directory is missing, unfinished, damaged or of another version
    ├── FitError             training cannot continue (a loss that is not finite, a plan with no phases)
    ├── EventStoreError      the database of events cannot be reached, is full or is of a later version
    │   └── IdempotencyError an idempotency key was used before with other events
    ├── OutdatedError        a deployment changed since it was read
    ├── OverloadedError      the queue of waiting requests is full
    ├── ClientError          a call of a service failed; defined, with its kinds, in `foldin.client.errors`
    └── MissingExtraError    an optional package is not installed

All of them mean that the caller can correct the call; the command line prints the message on one line and exits with code 2.

What does not stop a call, but which its caller should know, is a `FoldinWarning`. It is a warning of Python's `warnings`, so that
a script or a notebook shows it once, in one line with the place of the call, and `warnings.filterwarnings` hides it or makes it
an error. The logger `foldin` has what is no warning: the epochs of a training, and the trials of a search.
"""

import sys
import warnings

__all__ = [
    "CapacityError",
    "ColumnError",
    "ConfigError",
    "DataError",
    "DownloadError",
    "EmptyLogError",
    "EventStoreError",
    "FitError",
    "FoldinError",
    "FoldinWarning",
    "FormatError",
    "IdempotencyError",
    "MissingExtraError",
    "OutdatedError",
    "OverloadedError",
    "RunError",
    "ShapeError",
    "SplitError",
    "SupportError",
    "UnknownItemError",
    "UnknownModelError",
    "UnknownUserError",
    "warn",
]


_WITHIN = ("foldin", "torch", "contextlib")  # packages of a call's frames: `torch.no_grad` wraps functions of foldin


class FoldinError(Exception):
    """Base class of all errors that the caller can correct."""


class FoldinWarning(UserWarning):
    """Something that a call left out or did otherwise than its caller may expect."""


def warn(text: str) -> None:
    """Warn the caller of foldin; the place that the warning names is the line that called foldin, not one of foldin.

    Args:
        text: what was met, where, and what was done, in one line.
    """
    frame, level = sys._getframe().f_back, 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _WITHIN:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, FoldinWarning, stacklevel=level)


class DataError(FoldinError):
    """A log, a catalog or a file of them cannot be used as it is."""


class FormatError(DataError):
    """The file is not in the stated format or that of its name, or is damaged."""


class ColumnError(DataError):
    """A column is missing, ambiguous, or holds values of the wrong kind."""


class EmptyLogError(DataError):
    """No event is left to learn from."""


class DownloadError(DataError):
    """A file could not be fetched or does not match its checksum."""


class SplitError(FoldinError):
    """A protocol cannot be applied to this log."""


class ConfigError(FoldinError):
    """A setting has a bad name or value."""


class UnknownModelError(ConfigError):
    """A model that is not in service."""


class ShapeError(FoldinError):
    """Arrays that must agree in size do not."""


class SupportError(FoldinError):
    """Logged lists hold nothing about what a policy would list."""


class UnknownUserError(FoldinError):
    """A user id whose history is not known."""


class UnknownItemError(FoldinError):
    """An item id or title that is not in the catalog."""


class RunError(FoldinError):
    """A run directory is missing, unfinished, damaged or of another version."""


class FitError(FoldinError):
    """Training cannot continue."""


class CapacityError(ConfigError):
    """The requested operation needs more memory than is free."""


class EventStoreError(FoldinError):
    """The database of events cannot be reached, is full or is of a later version."""


class IdempotencyError(EventStoreError):
    """An idempotency key was used before with other events."""


class OutdatedError(FoldinError):
    """A deployment changed since it was read.

    Args:
        message: what was met and what was expected, in one line.
        expected: generation or revision that the caller read.
        found: generation or revision in the database.
    """

    def __init__(self, message: str, *, expected: int, found: int) -> None:
        super().__init__(message)
        self.expected, self.found = expected, found


class OverloadedError(FoldinError):
    """The queue of waiting requests is full."""


class MissingExtraError(FoldinError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the package {package!r}: pip install 'foldin[{extra}]'")
