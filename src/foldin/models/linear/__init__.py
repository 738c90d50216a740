"""Linear models of items: neighbors, EASE, ALS."""

__all__: list[str] = []
