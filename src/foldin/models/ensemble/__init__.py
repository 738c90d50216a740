"""Ensembles of models: the product of experts."""

__all__: list[str] = []
