"""Linear models: neighbors, weights of items on items (EASE, EDLAE, SLIM), and factors (ELSA, ALS, iALS)."""

__all__: list[str] = []
