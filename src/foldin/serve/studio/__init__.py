"""The studio: pages for a browser, and the data that they show."""

__all__: list[str] = []
