"""Protocols, which split a log into training, validation and test users."""

__all__: list[str] = []
