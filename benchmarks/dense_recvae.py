"""RecVAE in plain dense PyTorch, to the recipe of its authors' code: dense batches, a full backward pass each step."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories

# Context in which layers run, such as autocast; densities and the loss are computed outside, in float32.
Products = Callable[[], AbstractContextManager[Any]]


def log_density(z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    return -0.5 * (logvar + np.log(2 * np.pi) + (z - mu).pow(2) / logvar.exp())


class Encoder(nn.Module):
    """Five densely connected layers with swish and layer norm."""

    def __init__(self, items: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(hidden if k else items, hidden) for k in range(5))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, eps=0.1) for _ in range(5))
        self.mu, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, x: torch.Tensor, dropout: float) -> tuple[torch.Tensor, torch.Tensor]:
        x = x / x.pow(2).sum(dim=-1).sqrt()[:, None]
        h = F.dropout(x, p=dropout, training=self.training)
        seen: list[torch.Tensor] = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            a = layer(h)
            for before in seen:
                a = a + before
            h = norm(a * torch.sigmoid(a))
            seen.append(h)
        return self.mu(h), self.logvar(h)


class DenseRecVAE(nn.Module):
    """Encoder, one linear decoder, and the composite prior with its frozen encoder."""

    def __init__(self, items: int, hidden: int = 600, latent: int = 200) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(items, hidden, latent), nn.Linear(latent, items)
        self.old = deepcopy(self.encoder)
        self.old.requires_grad_(False)
        self.weights = torch.tensor([3 / 20, 3 / 4, 1 / 10]).log()

    def prior(self, x: torch.Tensor, z: torch.Tensor, products: Products) -> torch.Tensor:
        with products():
            old_mu, old_logvar = (part.float() for part in self.old(x, 0.0))
        zero = torch.zeros_like(z)
        parts = [log_density(z, zero, zero), log_density(z, old_mu, old_logvar), log_density(z, zero, zero + 10)]
        return torch.logsumexp(torch.stack([p + w for p, w in zip(parts, self.weights, strict=True)], dim=-1), dim=-1)

    def loss(self, x: torch.Tensor, gamma: float, dropout: float, products: Products = nullcontext) -> torch.Tensor:
        with products():
            mu, logvar = (part.float() for part in self.encoder(x, dropout))
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        with products():
            logits = self.decoder(z)
        likelihood = (F.log_softmax(logits.float(), dim=-1) * x).sum(dim=-1).mean()
        kl = (log_density(z, mu, logvar) - self.prior(x, z, products)).sum(dim=-1).mul(gamma * x.sum(dim=-1)).mean()
        return kl - likelihood


class DenseRecVAETrainer:
    """Three passes over the encoder, the prior refreshed, one pass over the decoder."""

    def __init__(
        self, train: Histories, *, batch_size: int, gamma: float = 0.005, seed: int = 0, hidden: int = 600
    ) -> None:
        torch.manual_seed(seed)
        self.model = DenseRecVAE(train.n_items, hidden)
        self.rows, self.batch_size, self.gamma = train.csr(), batch_size, gamma
        self.encoder = torch.optim.Adam(self.model.encoder.parameters(), lr=5e-4)
        self.decoder = torch.optim.Adam(self.model.decoder.parameters(), lr=5e-4)
        self.rng = np.random.default_rng(seed)

    def _pass(self, optimizer: torch.optim.Optimizer, dropout: float, limit: int | None) -> None:
        order = self.rng.permutation(self.rows.shape[0])
        for at in range(0, len(order), self.batch_size):
            if limit is not None and at // self.batch_size >= limit:
                break
            x = torch.from_numpy(self.rows[order[at : at + self.batch_size]].toarray())
            optimizer.zero_grad()
            self.model.loss(x, self.gamma, dropout).backward()
            optimizer.step()

    def epoch(self, limit: int | None = None) -> float:
        """Seconds of an outer epoch, or of the first `limit` steps of each of its passes."""
        self.model.train()
        start = time.perf_counter()
        for _ in range(3):
            self._pass(self.encoder, 0.5, limit)
        self.model.old.load_state_dict(self.model.encoder.state_dict())
        self._pass(self.decoder, 0.0, limit)
        return time.perf_counter() - start
