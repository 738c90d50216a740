"""Protocols: how a log becomes training users, validation and test."""

__all__: list[str] = []
