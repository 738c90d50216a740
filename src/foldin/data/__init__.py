"""Event logs: read, validated, split, and handed on as `Histories`; and rows of tensors, pictures among them."""

from foldin.data.catalog import Catalog
from foldin.data.columns import Columns
from foldin.data.events import EventLog, log_from_table, read_log
from foldin.data.examples import Examples
from foldin.data.filters import Condition, Filters, conditions
from foldin.data.formats import FORMATS
from foldin.data.given import FOLD_INS, is_given, read_given
from foldin.data.histories import Histories, gather_ranges
from foldin.data.images import IMAGES, Pictures, PublicPictures, load_pictures, read_idx
from foldin.data.indices import Indices, check_indices, count_of, whole_numbers
from foldin.data.items import read_items
from foldin.data.named import EMBEDDED, NAMED, PublicSet, cache_folder, download, load_log
from foldin.data.report import Note, ReadReport
from foldin.data.resolve import ResolvedHistory, repeats_of, resolve_history
from foldin.data.source import Source
from foldin.data.splits import PROTOCOLS, HeldOut, Split, last_out, split_log, strong, temporal

__all__ = [
    "EMBEDDED",
    "FOLD_INS",
    "FORMATS",
    "IMAGES",
    "NAMED",
    "PROTOCOLS",
    "Catalog",
    "Columns",
    "Condition",
    "EventLog",
    "Examples",
    "Filters",
    "HeldOut",
    "Histories",
    "Indices",
    "Note",
    "Pictures",
    "PublicPictures",
    "PublicSet",
    "ReadReport",
    "ResolvedHistory",
    "Source",
    "Split",
    "cache_folder",
    "check_indices",
    "conditions",
    "count_of",
    "download",
    "gather_ranges",
    "is_given",
    "last_out",
    "load_log",
    "load_pictures",
    "log_from_table",
    "read_given",
    "read_idx",
    "read_items",
    "read_log",
    "repeats_of",
    "resolve_history",
    "split_log",
    "strong",
    "temporal",
    "whole_numbers",
]
