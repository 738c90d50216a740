"""Bounds, EM, variational inference and importance sampling, independent of any recommender."""

from foldin.inference.ais import Annealing, Schedule, annealed_weights, tuned_schedule
from foldin.inference.black_box import BlackBoxResult, GaussianApproximation, Parameter, black_box_vi
from foldin.inference.bound import Bound
from foldin.inference.bounds import Called, bound_report, entry_of
from foldin.inference.decomposition import KlDecomposition, aggregate_log_density, decompose_kl
from foldin.inference.elbo import (
    ElboTerms,
    gaussian_kl,
    gaussian_kl_terms,
    log_normal,
    log_normal_terms,
    perturbed,
    reparameterize,
)
from foldin.inference.em import EMResult, Maximizable, Statistics, em, stochastic_em
from foldin.inference.factor_analysis import FactorAnalysis
from foldin.inference.finite_mixture import FiniteMixture, Weighted
from foldin.inference.gaussian_mixture import GaussianMixture, Points
from foldin.inference.health import active_units, alarms, effective_rank
from foldin.inference.iwae import iwae_bound, iwae_curve
from foldin.inference.k_means import k_means, nearest
from foldin.inference.laplace import LaplaceResult, laplace, maximum_a_posteriori
from foldin.inference.latent import LatentModel
from foldin.inference.moments import Moments
from foldin.inference.proposals import draws_of, posteriors, reliability, weights_of_both
from foldin.inference.psis import effective_sample_size, pareto_shape, psis
from foldin.inference.refine import refine_gaussian
from foldin.inference.variational_mixture import VariationalGaussianMixture

__all__ = [
    "Annealing",
    "BlackBoxResult",
    "Bound",
    "Called",
    "EMResult",
    "ElboTerms",
    "FactorAnalysis",
    "FiniteMixture",
    "GaussianApproximation",
    "GaussianMixture",
    "KlDecomposition",
    "LaplaceResult",
    "LatentModel",
    "Maximizable",
    "Moments",
    "Parameter",
    "Points",
    "Schedule",
    "Statistics",
    "VariationalGaussianMixture",
    "Weighted",
    "active_units",
    "aggregate_log_density",
    "alarms",
    "annealed_weights",
    "black_box_vi",
    "bound_report",
    "decompose_kl",
    "draws_of",
    "effective_rank",
    "effective_sample_size",
    "em",
    "entry_of",
    "gaussian_kl",
    "gaussian_kl_terms",
    "iwae_bound",
    "iwae_curve",
    "k_means",
    "laplace",
    "log_normal",
    "log_normal_terms",
    "maximum_a_posteriori",
    "nearest",
    "pareto_shape",
    "perturbed",
    "posteriors",
    "psis",
    "refine_gaussian",
    "reliability",
    "reparameterize",
    "stochastic_em",
    "tuned_schedule",
    "weights_of_both",
]
