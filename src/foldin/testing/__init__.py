"""Tests that a model passes to be one of foldin's, for packages of other users; needs pytest."""

from foldin.testing.contract import RecommenderContract
from foldin.testing.histories import two_tastes

__all__ = ["RecommenderContract", "two_tastes"]
