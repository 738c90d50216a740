"""Latent-variable models over any tensor, in their papers' own settings."""

from foldin.generative.code_prior import CodePrior, CodePriorConfig
from foldin.generative.diffusion import Diffusion, DiffusionConfig
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
    "Diffusion",
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
    "binarize",
    "bits_per_value",
    "load_model",
    "save_model",
]
