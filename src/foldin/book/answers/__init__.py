"""The right values of the exercises, a module for each chapter."""

__all__: list[str] = []
