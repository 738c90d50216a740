"""DiffRec: a diffusion with little noise that starts from a user's row over the catalog.

    x_0 = the history as a row,   q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   1 − ᾱ_t linear in t,   x̂_0 = f(x_t, t)

    L = E_t,ε[ w_t ‖x_0 − f(x_t, t)‖² ] / items,   w_t = SNR_t−1 − SNR_t,   w_1 = 1,   t drawn by its recent losses

In serving, no noise is added: x_T is the history itself, and x_t−1 = μ̃_t(f(x_t, t), x_t) down to x_0, which are the scores.
T-DiffRec (a separate class) weights the events of x linearly from `oldest` to 1 for the newest.

Beyond the paper: `head=multinomial` (`heads.py`) replaces the squared error by the log-likelihood of the history under a softmax
of f, for a density over the next item and a bound; `head.reverse_steps` is a number of DDIM steps that replace all T;
`head.guidance` w moves each x̂_0 away from the output for an empty row, (1 + w) f(x_t, t) − w f(0, t), which is learned by
emptying a share `empty_share` of the histories.

Everything is computed from the sparse history: the first layer is a bag of items plus low-dimensional noise (`_noisy_bag.py`),
and neither the squared error (`_squared_error.py`) nor the reverse process before its end (`_history_denoiser.py`) needs a row
over the catalog.

Source: wang2023, eqs. 1–13, algorithms 1 and 2, and the authors' code (dims 600–200, T = 40, dropout .5, Adam 1e-3, batches
of 400, β_1 = 1e-5); song2021, eq. 12; ho2022, eq. 6; liang2018, eq. 2 (the multinomial).

Departures from the paper: the noise of users of one batch is dependent; dropout applies to the events of x_t, and the noise, none
of which is dropped, has the variance that it would have under dropout. Guidance and emptied histories are additions. An empty
history gets the training counts, unless some histories are emptied in training.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.inference import Bound
from foldin.kernels import matmul_into, multinomial_log_likelihood, padded_bag, recency_weights, unit_rows
from foldin.models.capability import BoundedLikelihood, DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.diffusion._diffrec_trainer import DiffRecTrainer
from foldin.models.diffusion._history_denoiser import HistoryDenoiser
from foldin.models.diffusion.heads import Multinomial, SquaredError
from foldin.models.diffusion.noise import LinearVariance
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, Range, Trainer, setting

__all__ = ["DiffRec", "DiffRecConfig", "TDiffRec", "TDiffRecConfig"]


@dataclass(frozen=True, kw_only=True)
class DiffRecConfig(Config):
    hidden_dims: tuple[int, ...] = setting(
        (600, 200),
        "Widths of the layers down to the narrowest; the way back mirrors them.",
        low=1,
        range=((200,), (600,), (600, 200), (1000,)),
    )
    time_dim: int = setting(10, "Width of the embedding of t.", low=2)
    n_steps: int = setting(40, "Steps of the diffusion, T.", low=1, high=10_000, range=(5, 10, 40))
    noise: LinearVariance = setting(LinearVariance(first=1e-5), "Noise of the steps.")
    importance: bool = setting(
        True, "Whether steps of large losses are trained more often, and count less each time; otherwise all alike."
    )
    dropout: float = setting(0.5, "Dropout of the input's entries.", low=0, below=1, range=Range(0.0, 0.8))
    normalized: bool = setting(False, "Whether the row that is read is divided by its L2 norm.")
    head: SquaredError | Multinomial = setting(SquaredError(), "What the network says, and what it is trained by.")
    empty_share: float = setting(
        0.0, "Share of the histories that are emptied in training: what guidance moves away from.", low=0, below=1
    )
    learning_rate: float = setting(1e-3, "Learning rate of AdamW.", above=0, range=Range(1e-4, 1e-2, log=True))
    weight_decay: float = setting(0.0, "Weight decay of AdamW.", low=0)
    batch_size: int = setting(400, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(200, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_dims:
            raise ConfigError(f"{self._of()}: hidden_dims = (): the width of one layer at least was expected")
        if isinstance(self.head, SquaredError) and (self.head.reverse_steps or 0) > self.n_steps:
            raise ConfigError(
                f"{self._of()}: head.reverse_steps = {self.head.reverse_steps}: at most n_steps = {self.n_steps}"
            )


@dataclass(frozen=True, kw_only=True)
class TDiffRecConfig(DiffRecConfig):
    oldest: float = setting(
        0.1,
        "Weight of a user's oldest event; the newest has 1, those between lie on a straight line.",
        above=0,
        range=Range(0.05, 1.0),
    )


C = TypeVar("C", bound=DiffRecConfig)


class _HistoryDiffusion(OnnxGraph, DotProduct, PopularStart, Recommender[C]):
    """A diffusion over rows; a subclass defines `oldest`."""

    has_likelihood = False

    @property
    @abstractmethod
    def oldest(self) -> float:
        """Weight of a user's oldest event; the newest has 1."""

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.has_likelihood = config.head.density
        self.network = HistoryDenoiser(
            self.n_items, config.hidden_dims, time=config.time_dim, generator=generator, device=self.device
        )
        self.schedule = config.noise.schedule(config.n_steps)
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def training_bytes(self, train: Histories) -> float:
        rows = min(self.config.batch_size, len(train))  # outputs over the catalog, and their gradients
        return super().training_bytes(train) + 8.0 * rows * self.n_items

    def tensors(self) -> dict[str, Tensor]:
        return {**dict(self.network.named_parameters()), "log_share": self.log_share}

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return DiffRecTrainer(self)

    def values(self, offsets: Int[Tensor, " offsets"]) -> Float[Tensor, " events"]:
        """x at each event: 1, or from `oldest` up to 1 in the order of a user's events."""
        return recency_weights(offsets, self.oldest)

    def read(self, offsets: Int[Tensor, " offsets"], values: Float[Tensor, " events"]) -> Float[Tensor, " events"]:
        """The entries of the input row at each event: `values`, divided by the norm of the row if `normalized`."""
        return unit_rows(offsets, values) if self.config.normalized else values

    def _bag(self, histories: Histories) -> Float[Tensor, "users first"]:
        items, offsets = histories.tensors(self.device)
        read = self.read(offsets, self.values(offsets))
        weight = self.network.first.detach()
        return F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=read, include_last_offset=True)

    def _reverse(self, bag: Float[Tensor, "users first"]) -> Float[Tensor, "users last"]:
        """States whose outputs are x_0, from W_in x_T = W_in x, with x_t = a x + W_out g + β b throughout (`HistoryDenoiser`)."""
        network, weight = self.network, self.config.head.guidance
        steps = self.config.head.steps(self.schedule)
        through, of_bias = network.through() if len(steps) > 1 else (None, None)
        summed, nobody, a, b = bag, torch.zeros_like(bag[:1]), 1.0, 0.0
        g: Tensor | None = None
        states = bag
        for step in steps:
            if g is not None and through is not None and of_bias is not None:
                summed = a * bag + torch.mm(g, through) + b * of_bias
            t = torch.full((1,), step.t, dtype=torch.int64, device=bag.device)
            states = network.hidden(summed, t)
            if weight:
                states = (1.0 + weight) * states - weight * network.hidden(nobody, t)
            g = step.of_clean * states + (0.0 if g is None else step.of_now * g)
            a, b = step.of_now * a, step.of_clean + step.of_now * b
        return states

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users last"]:
        return self._reverse(self._bag(histories))

    def item_vectors(self) -> tuple[Float[Tensor, "items last"], Float[Tensor, " items"]]:
        return self.network.output()

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        out = self.network.outputs(self.queries(histories))
        return out if self.config.empty_share else self._started(out, histories)

    def speaking(self) -> Bool[Array, " items"]:
        return np.ones(self.n_items, dtype=bool)

    def given_popularity(self, histories: Histories) -> Bool[Array, " users"]:
        return super().given_popularity(histories) & (self.config.empty_share == 0)

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        config = self.config
        bag = padded_bag(self.network.first, history, oldest=self.oldest, normalized=config.normalized)
        scores = F.linear(self._reverse(bag), *self.network.output())
        if config.empty_share:
            return scores
        shares = self.log_share if self.has_likelihood else self.log_share.exp()
        return torch.where((history >= 0).sum(dim=1, keepdim=True) > 0, scores, shares)

    def lacks(self, capability: type) -> str | None:
        if capability is BoundedLikelihood and not self.config.head.density:
            head = self.config.head.name
            return f"{type(self).__name__}: head = {head}: a row of zeros and ones has no probability, hence no bound"
        return super().lacks(capability)

    @torch.no_grad()
    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """A lower bound on log p(x) of each user, in nats, by one draw of each x_t.

        x̂_0 of a step is n softmax f, with n the sum of the weights of the user's events. With noise as small as the paper's,
        x_T still reveals x, and its KL to N(0, I) is thousands of nats: the bound is valid but loose.

        Source: ho2020, eq. 5; kingma2021, eq. 13; liang2018, eq. 2.

        Raises:
            ConfigError: the head is a squared error, under which a row of zeros and ones has no probability.
            ShapeError: the histories are over another catalog.
        """
        if reason := self.lacks(BoundedLikelihood):
            raise ConfigError(reason)
        self.check_histories(histories)
        step = self.block()
        return Bound.of_blocks(
            [self._bound(histories.rows(at, at + step), generator) for at in range(0, max(1, len(histories)), step)]
        )

    def _bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        network, schedule, n = self.network, self.schedule, self.n_items
        items, offsets = histories.tensors(self.device)
        lengths = offsets.diff()
        users = torch.repeat_interleave(torch.arange(len(lengths), device=self.device), lengths)
        row = torch.zeros(len(lengths), n, device=self.device)
        row.index_put_((users, items), self.read(offsets, self.values(offsets)), accumulate=True)
        snr, steps = schedule.snr, torch.zeros(len(lengths), device=self.device)
        reconstruction = steps
        for t in range(schedule.steps, 0, -1):
            at = torch.full((len(lengths),), t, dtype=torch.int64, device=self.device)
            noise = torch.randn(row.shape, generator=generator, device=self.device)
            now = schedule.diffuse(row, at, noise)
            summed = matmul_into(row.new_empty(len(now), network.first.shape[1]), now, network.first)
            logits = network.outputs(network.hidden(summed, at))
            if t == 1:
                reconstruction = multinomial_log_likelihood(logits, items, offsets)
                break
            clean = torch.softmax(logits, dim=1).mul_(row.sum(dim=1, keepdim=True))
            steps = steps + 0.5 * float(snr[t - 1] - snr[t]) * (row - clean).square().sum(dim=1)
        return Bound(
            "log p(x) of the events as draws from one distribution, under a diffusion from N(0, I)",
            {
                "E log p(x|x_1)": reconstruction,
                "−Σ KL(q(x_t−1|x_t, x) ‖ p(x_t−1|x_t))": -steps,
                "−KL(q(x_T|x) ‖ N(0, I))": -schedule.prior_kl(row),
            },
        )


class DiffRec(_HistoryDiffusion[DiffRecConfig]):
    """Diffusion over users' rows."""

    Config = DiffRecConfig
    summary = "diffusion over users' histories (Wang et al. 2023)"

    @property
    def oldest(self) -> float:
        return 1.0


class TDiffRec(_HistoryDiffusion[TDiffRecConfig]):
    """Diffusion over users' rows in which later events weigh more: the loss of DiffRec with

        x_0 = Σ_m w_m 1_{item_m},   w_m = oldest + (1 − oldest) (m − 1) / (n − 1),   m = 1 … n from the oldest event on

    where a single event has weight 1. Source: wang2023, section 3.6.
    """

    Config = TDiffRecConfig
    summary = "DiffRec in which later events weigh more (T-DiffRec, Wang et al. 2023)"

    @property
    def oldest(self) -> float:
        return self.config.oldest
