"""Baselines without a model of users: popularity."""

__all__: list[str] = []
