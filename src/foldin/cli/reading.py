"""The split that a command's options describe, with what must be known of it."""

from collections.abc import Mapping
from typing import Any

from foldin.cli.options import source_of
from foldin.cli.output import status, working
from foldin.data import EventLog, Split
from foldin.data.log.urls import is_file_url, is_url
from foldin.experiment import unused

__all__ = ["name_of_data", "read_split"]


def read_split(path: str, options: Mapping[str, Any]) -> Split:
    """The split; warnings of the reader, and what no model looks at, are printed as notes."""
    with working("reading") as bar:
        split = source_of(path, options).split(download_progress=bar)
    for note in split.report.warnings:
        status(f"{note.count:,} {note.text}")
    for sentence in unused(split):
        status(sentence)
    if is_url(path) and not is_file_url(path):
        status(f"{split.report.source} names the events that were read, also when the store has grown")
    return split


def name_of_data(path: str, read: Split | EventLog) -> str:
    """The path of a log as it was given; a URL has no password, and that of an event store names exactly these events."""
    return read.report.source if is_url(path) else path
