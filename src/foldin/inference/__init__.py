"""Bounds and estimators, free of any model."""

from foldin.inference.elbo import ElboTerms, gaussian_kl, reparameterise

__all__ = ["ElboTerms", "gaussian_kl", "reparameterise"]
