"""DiffRec in plain dense PyTorch, to the recipe of its authors' code: dense rows, dense noise, the whole reverse process."""

import math
import time

import numpy as np
import torch
from torch import nn

from foldin.data import Histories

STEPS, KEPT = 40, 10


def embedding(t: torch.Tensor, width: int) -> torch.Tensor:
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32) / half)
    angles = t[:, None].float() * rates[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class DenseNetwork(nn.Module):
    """[x_t; e(t)] → 600 → 200 → 600 → items, tanh, dropout of the input."""

    def __init__(self, items: int, time_width: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.time_width = time_width
        self.embedding = nn.Linear(time_width, time_width)
        self.inward = nn.ModuleList([nn.Linear(items + time_width, 600), nn.Linear(600, 200)])
        self.outward = nn.ModuleList([nn.Linear(200, 600), nn.Linear(600, items)])
        self.drop = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.data.normal_(0.0, math.sqrt(2.0 / sum(layer.weight.shape)))
                layer.bias.data.normal_(0.0, 0.001)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        h = torch.cat([self.drop(x), self.embedding(embedding(t, self.time_width))], dim=-1)
        for layer in self.inward:
            h = torch.tanh(layer(h))
        for at, layer in enumerate(self.outward):
            h = layer(h)
            if at != len(self.outward) - 1:
                h = torch.tanh(h)
        return h


class DenseDiffRec:
    """Linear variance schedule, x_0 predicted, losses weighed by the SNR difference, t by importance."""

    def __init__(self, train: Histories, *, batch_size: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = DenseNetwork(train.n_items)
        self.rows, self.batch_size = train.csr(), batch_size
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=0.0)
        variance = np.linspace(0.005 * 0.005, 0.005 * 0.01, STEPS)
        kept = 1 - variance
        betas = np.concatenate(([1e-5], 1 - kept[1:] / kept[:-1]))
        alpha_bar = np.cumprod(1 - betas)
        before = np.concatenate(([1.0], alpha_bar[:-1]))
        as_tensor = lambda x: torch.from_numpy(x).float()
        self.signal, self.sigma = as_tensor(np.sqrt(alpha_bar)), as_tensor(np.sqrt(1 - alpha_bar))
        snr = alpha_bar / (1 - alpha_bar)
        self.weights = as_tensor(np.concatenate(([1.0], snr[:-1] - snr[1:])))
        self.of_clean = as_tensor(betas * np.sqrt(before) / (1 - alpha_bar))
        self.of_now = as_tensor((1 - before) * np.sqrt(1 - betas) / (1 - alpha_bar))
        self.losses, self.counts = torch.zeros(STEPS, KEPT, dtype=torch.float64), torch.zeros(STEPS, dtype=torch.int64)
        self.rng = np.random.default_rng(seed)

    def _steps(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not (self.counts == KEPT).all():
            return torch.randint(0, STEPS, (n,)), torch.ones(n)
        chances = torch.sqrt(torch.mean(self.losses**2, dim=-1))
        chances = chances / chances.sum() * 0.999 + 0.001 / STEPS
        t = torch.multinomial(chances, num_samples=n, replacement=True)
        return t, (chances[t] * STEPS).float()

    def _loss(self, x: torch.Tensor) -> torch.Tensor:
        t, chance = self._steps(len(x))
        now = self.signal[t][:, None] * x + self.sigma[t][:, None] * torch.randn_like(x)
        loss = self.weights[t] * ((x - self.network(now, t)) ** 2).mean(dim=1)
        for step, value in zip(t, loss, strict=True):
            if self.counts[step] == KEPT:
                self.losses[step, :-1] = self.losses[step, 1:].clone()
                self.losses[step, -1] = value.detach()
            else:
                self.losses[step, self.counts[step]] = value.detach()
                self.counts[step] += 1
        return (loss / chance).mean()

    def epoch(self, limit: int | None = None) -> float:
        """Seconds of an epoch, or of its first `limit` steps."""
        self.network.train()
        order = self.rng.permutation(self.rows.shape[0])
        start = time.perf_counter()
        for at in range(0, len(order), self.batch_size):
            if limit is not None and at // self.batch_size >= limit:
                break
            x = torch.from_numpy(self.rows[order[at : at + self.batch_size]].toarray())
            self.optimizer.zero_grad()
            self._loss(x).backward()
            self.optimizer.step()
        return time.perf_counter() - start

    @torch.no_grad()
    def recommend(self, k: int, users: int) -> float:
        """Seconds of everybody's k best, seen items left out."""
        self.network.eval()
        start = time.perf_counter()
        for at in range(0, users, self.batch_size):
            seen = torch.from_numpy(self.rows[at : min(at + self.batch_size, users)].toarray())
            x = seen
            for step in reversed(range(STEPS)):
                t = torch.full((len(x),), step)
                x = self.of_clean[step] * self.network(x, t) + self.of_now[step] * x
            x[seen > 0] = -np.inf
            torch.topk(x, k)
        return time.perf_counter() - start
