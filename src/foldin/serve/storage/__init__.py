"""The database of events and keys, and its migrations."""

__all__: list[str] = []
