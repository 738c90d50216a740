"""Maximum likelihood, conjugate posteriors, draws, entropies and divergences for `torch.distributions`."""

from foldin.probability.circle import fit_von_mises
from foldin.probability.conjugate import (
    NormalGamma,
    beta_bernoulli,
    dirichlet_categorical,
    gamma_exponential,
    gamma_poisson,
    normal_normal,
)
from foldin.probability.discrete import (
    fit_bernoulli,
    fit_binomial,
    fit_categorical,
    fit_geometric,
    fit_multinomial,
    fit_poisson,
)
from foldin.probability.divergence import Estimate, entropy, kl
from foldin.probability.draws import sample
from foldin.probability.exponential import ExponentialFamily
from foldin.probability.families import FAMILIES, family_of
from foldin.probability.fitted import Fitted
from foldin.probability.gamma import fit_exponential, fit_gamma, fit_inverse_gamma
from foldin.probability.location_scale import fit_laplace, fit_log_normal, fit_multivariate_normal, fit_normal
from foldin.probability.negative_binomial import fit_negative_binomial
from foldin.probability.simplex import fit_beta, fit_dirichlet
from foldin.probability.student import fit_student_t
from foldin.probability.wishart import fit_wishart

__all__ = [
    "FAMILIES",
    "Estimate",
    "ExponentialFamily",
    "Fitted",
    "NormalGamma",
    "beta_bernoulli",
    "dirichlet_categorical",
    "entropy",
    "family_of",
    "fit_bernoulli",
    "fit_beta",
    "fit_binomial",
    "fit_categorical",
    "fit_dirichlet",
    "fit_exponential",
    "fit_gamma",
    "fit_geometric",
    "fit_inverse_gamma",
    "fit_laplace",
    "fit_log_normal",
    "fit_multinomial",
    "fit_multivariate_normal",
    "fit_negative_binomial",
    "fit_normal",
    "fit_poisson",
    "fit_student_t",
    "fit_von_mises",
    "fit_wishart",
    "gamma_exponential",
    "gamma_poisson",
    "kl",
    "normal_normal",
    "sample",
]
