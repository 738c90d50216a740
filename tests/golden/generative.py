"""What every generative model learns and is measured by at fixed seeds; see `record.py`.

The files were made by the code of the commit in `provenance.json`; its names of settings and tensors are translated.
"""

from typing import Any

import numpy as np
import torch

from foldin import generative
from foldin.data import Examples
from foldin.training import fit
from tests.golden.record import shortened

__all__ = ["CASES", "record"]

VAE: dict[str, Any] = {"hidden_dims": (9,), "latent_dim": 3, "batch_size": 20, "epochs": 4, "learning_rate": 0.01}
VQVAE: dict[str, Any] = {
    "channels": 8,
    "block_channels": 4,
    "n_blocks": 1,
    "codebook_size": 6,
    "embedding_dim": 4,
    "batch_size": 16,
    "learning_rate": 5e-3,
    "epochs": 4,
}
NOISE: dict[str, Any] = {"time_dim": 8, "batch_size": 16, "epochs": 4, "noise.n_steps": 20}
# Name of a model, name of the examples, and what is set.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "generative-vae": ("VAE", "pictures", VAE),
    "generative-vae-logistic": ("VAE", "pictures", {**VAE, "likelihood": "logistic"}),
    "generative-vae-dynamic": (
        "VAE",
        "pictures",
        {
            **VAE,
            "likelihood": "dynamic-bernoulli",
            "activation": "gated",
            "beta_schedule": "share",
            "beta_schedule.share": 0.4,
        },
    ),
    "generative-vae-vamp": ("VAE", "pictures", {**VAE, "prior": "vamp", "prior.n_components": 4}),
    "generative-vqvae": ("VQVAE", "pictures", {**VQVAE, "lr_decay": 0.5}),
    "generative-code-prior": (
        "CodePrior",
        "codes",
        {
            "codebook_size": 5,
            "embedding_dim": 8,
            "n_heads": 2,
            "n_layers": 2,
            "batch_size": 20,
            "epochs": 4,
            "dropout": 0.0,
        },
    ),
    "generative-rqvae": (
        "RQVAE",
        "vectors",
        {
            "levels": 2,
            "codebook_size": 5,
            "autoencoder.hidden_dims": (8,),
            "autoencoder.latent_dim": 4,
            "autoencoder.batch_size": 32,
            "autoencoder.epochs": 4,
        },
    ),
    "generative-diffusion": (
        "Diffusion",
        "pictures",
        {**NOISE, "noise": "linear", "variance": "learned", "network.channels": (4, 8), "average_decay": 0.9},
    ),
    "generative-diffusion-mlp": ("Diffusion", "vectors", {**NOISE, "network": "mlp", "network.hidden_dims": (12,)}),
}


def examples(name: str) -> Examples:
    """Fifty pictures of 8-bit gray levels, or as many vectors or codes."""
    generator = torch.Generator().manual_seed(1)
    if name == "pictures":
        return Examples(torch.randint(0, 256, (50, 8, 8), generator=generator, dtype=torch.uint8))
    if name == "codes":
        return Examples(torch.randint(0, 5, (50, 7), generator=generator))
    return Examples(torch.randn(50, 6, generator=generator))


def record(name: str) -> dict[str, np.ndarray]:
    """Terms of all epochs, the figure of each example, and the state."""
    torch.set_num_threads(1)
    kind, data, settings = CASES[name]
    rows = examples(data)
    config = getattr(generative, f"{kind}Config")
    model = getattr(generative, kind)(
        rows.shape[0] if kind == "RQVAE" else rows.shape,
        config(codebook_size=5).with_settings(settings) if kind == "CodePrior" else config().with_settings(settings),
        seed=3,
    )
    result = fit(model, rows, seed=5)
    epochs = [[float(one.terms[term]) for term in sorted(one.terms)] for one in result.records]
    state = {f"state/{key}": shortened(value.detach().numpy()) for key, value in model.state().items()}
    return {"epochs": np.concatenate(epochs), "figure": _figure(model, rows), **state}


def _figure(model: Any, rows: Examples) -> np.ndarray:
    """What a reproduction measures of each example: a bound, a likelihood, or its codes."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        if isinstance(model, generative.VAE):
            return model.elbo(rows, generator).bound.numpy()
        if isinstance(model, generative.Diffusion):
            return model.bound(rows, generator, draws=3).bound.numpy()
        if isinstance(model, generative.VQVAE):
            return model.log_likelihood(rows).numpy()
        if isinstance(model, generative.CodePrior):
            return model.log_prob(rows.values).numpy()
        return model.codes(rows.values).numpy()
