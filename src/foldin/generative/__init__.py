"""Latent-variable models over any tensor, in their papers' own settings."""

__all__: list[str] = []
