"""Autoencoders of histories: Mult-DAE, Mult-VAE, RecVAE."""

__all__: list[str] = []
