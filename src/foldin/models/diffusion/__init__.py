"""Diffusion over histories: DiffRec, and L-DiffRec over codes."""

__all__: list[str] = []
