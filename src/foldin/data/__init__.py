"""Event logs, read, validated and split into `Histories`; and examples as rows of a tensor, such as pictures."""

from foldin.data.catalog import Catalog
from foldin.data.conditions import conditions, conditions_of
from foldin.data.everyone import Everyone, everyone_of_file, everyone_of_frame, users_of_file
from foldin.data.examples import Examples
from foldin.data.features.columns import FeatureColumn
from foldin.data.features.features import Features
from foldin.data.features.numbers import Numbers
from foldin.data.features.terms import Categories, Text
from foldin.data.features.vectors import Vectors
from foldin.data.filters import Condition, Filters
from foldin.data.frame_style import FrameStyle
from foldin.data.frames import is_frame, to_polars
from foldin.data.histories import Histories
from foldin.data.ids import id_text
from foldin.data.images import IMAGES, Pictures, PublicPictures, load_pictures, read_idx
from foldin.data.indices import Indices, check_indices, count_of, gather_ranges, whole_numbers
from foldin.data.known import KnownUsers
from foldin.data.log.columns import Columns
from foldin.data.log.events import EventLog, log_from_table
from foldin.data.log.formats import FORMATS
from foldin.data.log.items import read_items
from foldin.data.log.options import REPEATS, ReadOptions
from foldin.data.log.read import read_file, read_frame
from foldin.data.log.read_store import read_store
from foldin.data.log.report import Note, ReadReport
from foldin.data.named import EMBEDDED, NAMED, PublicSet, cache_folder, download, read_log
from foldin.data.resolve import ResolvedHistory, repeats_of, resolve_history, weighting_of
from foldin.data.shards import is_shards, open_shards, prepare
from foldin.data.simulated import SimulatedRepeats
from foldin.data.source import Source
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.data.splits.cold_items import cold_items
from foldin.data.splits.cold_users import cold_users
from foldin.data.splits.given import FOLD_INS, is_given, read_given
from foldin.data.splits.last_out import last_out
from foldin.data.splits.protocols import DEFAULT_MIN_EVENTS, PROTOCOLS, split_log
from foldin.data.splits.strong import strong
from foldin.data.splits.temporal import temporal
from foldin.data.splits.weighed import weighed_log
from foldin.data.user_features import log_with_user_features, with_user_features
from foldin.data.weighting import EventWeights

__all__ = [
    "DEFAULT_MIN_EVENTS",
    "EMBEDDED",
    "FOLD_INS",
    "FORMATS",
    "IMAGES",
    "NAMED",
    "PROTOCOLS",
    "REPEATS",
    "Catalog",
    "Categories",
    "Columns",
    "Condition",
    "EventLog",
    "EventWeights",
    "Everyone",
    "Examples",
    "FeatureColumn",
    "Features",
    "Filters",
    "FrameStyle",
    "HeldOut",
    "Histories",
    "Indices",
    "KnownUsers",
    "Note",
    "Numbers",
    "Pictures",
    "PublicPictures",
    "PublicSet",
    "ReadOptions",
    "ReadReport",
    "ResolvedHistory",
    "SimulatedRepeats",
    "Source",
    "Split",
    "Text",
    "Vectors",
    "cache_folder",
    "catalog_of",
    "check_indices",
    "cold_items",
    "cold_users",
    "conditions",
    "conditions_of",
    "count_of",
    "download",
    "everyone_of_file",
    "everyone_of_frame",
    "gather_ranges",
    "id_text",
    "is_frame",
    "is_given",
    "is_shards",
    "last_out",
    "load_pictures",
    "log_from_table",
    "log_with_user_features",
    "open_shards",
    "prepare",
    "read_file",
    "read_frame",
    "read_given",
    "read_idx",
    "read_items",
    "read_log",
    "read_store",
    "repeats_of",
    "resolve_history",
    "split_log",
    "strong",
    "temporal",
    "to_polars",
    "users_of_file",
    "weighed_log",
    "weighting_of",
    "whole_numbers",
    "with_user_features",
]
