"""Latent-variable models over any tensor, in their papers' own settings."""

from foldin.generative.code_prior import CodePrior, CodePriorConfig
from foldin.generative.diffusion import Diffusion, DiffusionConfig
from foldin.generative.diffusion_bound import DiffusionBound
from foldin.generative.flow import log_likelihood_by_flow
from foldin.generative.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    Gaussian,
    Likelihood,
    Logistic,
    binarize,
    bits_per_value,
)
from foldin.generative.priors import LearnedPrior, MixturePrior, VampPrior
from foldin.generative.rqvae import RQVAE, RQVAEConfig
from foldin.generative.samplers import (
    Denoise,
    Denoised,
    ancestral,
    ddim,
    dpm_solver,
    evenly,
    evenly_in_snr,
    guided,
)
from foldin.generative.store import ALL, load_model, save_model
from foldin.generative.vae import VAE, VAEConfig
from foldin.generative.vqvae import VQVAE, VQVAEConfig

__all__ = [
    "ALL",
    "LIKELIHOODS",
    "RQVAE",
    "VAE",
    "VQVAE",
    "Bernoulli",
    "Categorical",
    "CodePrior",
    "CodePriorConfig",
    "Denoise",
    "Denoised",
    "Diffusion",
    "DiffusionBound",
    "DiffusionConfig",
    "Gaussian",
    "LearnedPrior",
    "Likelihood",
    "Logistic",
    "MixturePrior",
    "RQVAEConfig",
    "VAEConfig",
    "VQVAEConfig",
    "VampPrior",
    "ancestral",
    "binarize",
    "bits_per_value",
    "ddim",
    "dpm_solver",
    "evenly",
    "evenly_in_snr",
    "guided",
    "load_model",
    "log_likelihood_by_flow",
    "save_model",
]
