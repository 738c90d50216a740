"""The studio: pages for a browser, and what they show of models."""

__all__: list[str] = []
