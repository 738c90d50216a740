"""The film of a VAE of small pictures: its encoder, its decoder and the terms of its bound while it is trained.

A picture has 4 × 4 pixels that are on or off. In its upper three rows either the left or the right half is on, and
its bottom row is on or off; each pixel is then flipped with probability 0.1. So 12 pixels agree on the half, and 4 on
the bottom row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from foldin.data import Examples
from foldin.generative import VAE, VAEConfig
from foldin.inference import gaussian_kl_terms
from foldin.tensors import Float, Int64, Shaped, Tensor
from foldin.training import EpochRecord, Progress, Trainer, fit

__all__ = ["EPOCHS", "film", "pictures"]

EPOCHS = (0, 1, 2, 3, 5, 8, 12, 18, 25, 35, 50, 75, 110, 160, 220, 300, 400)
SIDE, FLIPPED = 4, 0.1
TRAINED, SHOWN, DRAWS = 400, 60, 32
PLACES = (-2, -1, 0, 1, 2)  # of z in each dimension, whose pictures the decoder makes


def pictures() -> tuple[Float[Tensor, "rows side side"], Int64[Tensor, "rows 2"]]:
    """(the pictures; of each, which half is on, 0 for the left one, and whether the bottom row is)."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(TRAINED) % 4
    right, bottom = kinds // 2, kinds % 2
    clean = torch.zeros(TRAINED, SIDE, SIDE)
    clean[:, :3, :2] = (1.0 - right)[:, None, None]
    clean[:, :3, 2:] = right[:, None, None].float()
    clean[:, 3] = bottom[:, None].float()
    flipped = torch.rand(clean.shape, generator=generator) < FLIPPED
    return torch.where(flipped, 1.0 - clean, clean), torch.stack([right, bottom], dim=1)


def _rounded(values: Shaped[Tensor, "..."], digits: int = 3) -> list[Any]:
    return (np.round(values.double().numpy(), digits) + 0.0).tolist()  # + 0.0 turns −0 into 0


class _Frames(Progress):
    """What a VAE has learned at each of some epochs; epoch 0 is before training."""

    def __init__(self, model: VAE, train: Examples, epochs: Sequence[int]) -> None:
        self.model, self.train, self.epochs = model, train, frozenset(epochs)
        self.found: list[dict[str, Any]] = []

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._take(done)

    def epoch(self, record: EpochRecord) -> None:
        self._take(record.epoch)

    @torch.no_grad()
    def _take(self, epoch: int) -> None:
        if epoch not in self.epochs:
            return
        model, generator = self.model, torch.Generator().manual_seed(epoch)
        mu, logvar = model.posterior(self.train)
        reconstructions = [model.elbo(self.train, generator).reconstruction.double().mean() for _ in range(DRAWS)]
        places = torch.tensor([[one, two] for two in PLACES for one in PLACES], dtype=torch.float32)
        self.found.append(
            {
                "epoch": epoch,
                "mu": _rounded(mu[:SHOWN]),
                "sigma": _rounded(torch.exp(0.5 * logvar[:SHOWN])),
                "reconstruction": round(float(torch.stack(reconstructions).mean()), 4),
                "kl": _rounded(gaussian_kl_terms(mu, logvar).mean(dim=0), 4),
                "pictures": _rounded(model.likelihood.mean(model.decode(places)).flatten(1), 2),
            }
        )


def film(beta: float = 1, *, epochs: Sequence[int] = EPOCHS) -> dict[str, Any]:
    """The frames of one training with two latent dimensions.

    Args:
        beta: weight of the KL term in training; 1 trains by the ELBO.
        epochs: epochs after which a frame is taken, in ascending order; 0 is before training. Training ends with the last.

    Returns:
        `side` of a picture, the `places` of z of the decoder's pictures in each dimension, the `groups` of the pictures shown,
        and `frames`, each with `epoch`, `mu` and `sigma` of the encoder for the pictures shown, mean `reconstruction` and `kl` of
        each latent dimension in nats over all training pictures, and `pictures`, what the decoder makes of each place.
    """
    values, groups = pictures()
    train = Examples(values)
    config = VAEConfig(hidden_dims=(16,), latent_dim=2, beta=float(beta), batch_size=100, learning_rate=0.01)
    model = VAE(train.shape, config, seed=1)
    frames = _Frames(model, train, epochs)
    fit(model, train, seed=2, epochs=epochs[-1], patience=None, progress=frames)
    return {"side": SIDE, "places": list(PLACES), "groups": groups[:SHOWN].tolist(), "frames": frames.found}
