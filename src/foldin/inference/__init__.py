"""Bounds and estimators, free of any model."""

from foldin.inference.decomposition import KlDecomposition, aggregate_log_density, decompose_kl
from foldin.inference.elbo import ElboTerms, gaussian_kl, log_normal, log_normal_terms, reparameterise
from foldin.inference.em import EMResult, Maximisable, Statistics, em, stochastic_em
from foldin.inference.gaussian_mixture import GaussianMixture, Points
from foldin.inference.health import active_units, alarms, effective_rank
from foldin.inference.iwae import iwae_bound, iwae_curve
from foldin.inference.k_means import k_means, nearest
from foldin.inference.refine import refine_gaussian
from foldin.inference.variational_mixture import VariationalGaussianMixture

__all__ = [
    "EMResult",
    "ElboTerms",
    "GaussianMixture",
    "KlDecomposition",
    "Maximisable",
    "Points",
    "Statistics",
    "VariationalGaussianMixture",
    "active_units",
    "aggregate_log_density",
    "alarms",
    "decompose_kl",
    "effective_rank",
    "em",
    "gaussian_kl",
    "iwae_bound",
    "iwae_curve",
    "k_means",
    "log_normal",
    "log_normal_terms",
    "nearest",
    "refine_gaussian",
    "reparameterise",
    "stochastic_em",
]
