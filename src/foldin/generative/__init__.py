"""Latent-variable models of any tensor, with the settings of their papers."""

from foldin.generative.code_prior import CodePrior, CodePriorConfig
from foldin.generative.codebooks import CodebookLoss, MovingAverage
from foldin.generative.diffusion import Diffusion, DiffusionConfig
from foldin.generative.likelihoods import (
    Bernoulli,
    Categorical,
    DynamicBernoulli,
    Gaussian,
    Likelihood,
    Logistic,
    binarize,
    bits_per_value,
)
from foldin.generative.networks import MLPNetwork, UNetNetwork
from foldin.generative.noise import CosineNoise, GivenNoise, LinearNoise
from foldin.generative.priors import (
    LearnedPrior,
    MixtureOfGaussians,
    MixtureOfPosteriors,
    MixturePrior,
    NormalPrior,
    VampPrior,
)
from foldin.generative.rqvae import RQVAE, Autoencoder, RQVAEConfig
from foldin.generative.store import ALL, load_model, save_model
from foldin.generative.vae import VAE, FreeBits, VAEConfig
from foldin.generative.vqvae import VQVAE, VQVAEConfig

__all__ = [
    "ALL",
    "RQVAE",
    "VAE",
    "VQVAE",
    "Autoencoder",
    "Bernoulli",
    "Categorical",
    "CodePrior",
    "CodePriorConfig",
    "CodebookLoss",
    "CosineNoise",
    "Diffusion",
    "DiffusionConfig",
    "DynamicBernoulli",
    "FreeBits",
    "Gaussian",
    "GivenNoise",
    "LearnedPrior",
    "Likelihood",
    "LinearNoise",
    "Logistic",
    "MLPNetwork",
    "MixtureOfGaussians",
    "MixtureOfPosteriors",
    "MixturePrior",
    "MovingAverage",
    "NormalPrior",
    "RQVAEConfig",
    "UNetNetwork",
    "VAEConfig",
    "VQVAEConfig",
    "VampPrior",
    "binarize",
    "bits_per_value",
    "load_model",
    "save_model",
]
