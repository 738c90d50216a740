"""The database: events, keys, and how it is brought up to date."""

__all__: list[str] = []
