"""Mult-VAE in plain dense PyTorch: what one writes from the paper. The peer of our own benchmarks."""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories


class DenseMultVAE(nn.Module):
    """I-hidden-(μ, log σ² of latent)-hidden-I with tanh; Xavier weights."""

    def __init__(self, items: int, hidden: int = 600, latent: int = 200, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = dropout
        self.encoder, self.heads = nn.Linear(items, hidden), nn.Linear(hidden, 2 * latent)
        self.decoder, self.out = nn.Linear(latent, hidden), nn.Linear(hidden, items)
        for layer in (self.encoder, self.heads, self.decoder, self.out):
            nn.init.xavier_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.001)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = F.dropout(F.normalize(x), self.dropout, self.training)
        mu, logvar = self.heads(torch.tanh(self.encoder(h))).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar) if self.training else mu
        return self.out(torch.tanh(self.decoder(z))), mu, logvar


class DenseTrainer:
    """Batches made dense, `log_softmax`, a full backward pass, `torch.optim.Adam`."""

    def __init__(
        self, model: DenseMultVAE, train: Histories, *, batch_size: int, beta: float, anneal: int, seed: int = 0
    ) -> None:
        torch.manual_seed(seed)
        self.model, self.rows = model, train.csr()
        self.batch_size, self.beta, self.anneal = batch_size, beta, anneal
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.rng, self.steps = np.random.default_rng(seed), 0

    def epoch(self, limit: int | None = None) -> float:
        """Seconds of a pass, or of its first `limit` steps."""
        self.model.train()
        order = self.rng.permutation(self.rows.shape[0])
        start = time.perf_counter()
        for at in range(0, len(order), self.batch_size):
            if limit is not None and at // self.batch_size >= limit:
                break
            x = torch.from_numpy(self.rows[order[at : at + self.batch_size]].toarray())
            self.optimizer.zero_grad()
            logits, mu, logvar = self.model(x)
            beta = min(self.beta, self.beta * self.steps / max(1, self.anneal))
            kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
            loss = -(F.log_softmax(logits, 1) * x).sum(1).mean() + beta * kl
            loss.backward()
            self.optimizer.step()
            self.steps += 1
        return time.perf_counter() - start

    @torch.no_grad()
    def logits(self, histories: Histories) -> torch.Tensor:
        """Scores of users, at the mean of z."""
        self.model.eval()
        found: torch.Tensor = self.model(torch.from_numpy(histories.csr().toarray()))[0]
        return found
