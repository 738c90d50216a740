"""Event logs: read, validated, split, and handed on as `Histories`."""

from foldin.data.catalog import Catalog
from foldin.data.columns import Columns
from foldin.data.events import EventLog, log_from_table, read_log
from foldin.data.formats import FORMATS
from foldin.data.given import is_given, read_given
from foldin.data.histories import Histories, gather_ranges
from foldin.data.items import read_items
from foldin.data.named import EMBEDDED, NAMED, PublicSet, cache_folder, download, load_log
from foldin.data.report import Note, ReadReport
from foldin.data.source import Source
from foldin.data.splits import PROTOCOLS, HeldOut, Split, last_out, split_log, strong, temporal

__all__ = [
    "EMBEDDED",
    "FORMATS",
    "NAMED",
    "PROTOCOLS",
    "Catalog",
    "Columns",
    "EventLog",
    "HeldOut",
    "Histories",
    "Note",
    "PublicSet",
    "ReadReport",
    "Source",
    "Split",
    "cache_folder",
    "download",
    "gather_ranges",
    "is_given",
    "last_out",
    "load_log",
    "log_from_table",
    "read_given",
    "read_items",
    "read_log",
    "split_log",
    "strong",
    "temporal",
]
