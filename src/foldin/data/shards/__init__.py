"""Logs larger than memory: prepared once into sorted arrays on disk, which are then mapped into memory instead of read."""

from foldin.data.shards.opened import is_shards, open_shards
from foldin.data.shards.prepare import prepare

__all__ = ["is_shards", "open_shards", "prepare"]
