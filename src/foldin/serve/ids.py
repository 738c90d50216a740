"""Ids that no other process gives."""

import itertools
import secrets
from collections.abc import Callable

__all__ = ["unique_ids"]


def unique_ids() -> Callable[[], str]:
    """A function that returns a new id at each call: a random beginning, and a count."""
    beginning, numbers = secrets.token_hex(8), itertools.count()
    return lambda: f"{beginning}-{next(numbers):x}"
