"""Bounds and estimators, free of any model."""

from foldin.inference.elbo import ElboTerms, gaussian_kl, log_normal, log_normal_terms, reparameterise

__all__ = ["ElboTerms", "gaussian_kl", "log_normal", "log_normal_terms", "reparameterise"]
