"""DiffRec: a person's row over the catalogue as what a diffusion with little noise began from.

    x_0 = the history as a row,   q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   1 − ᾱ_t in a straight line,   x̂_0 = f(x_t, t)

    L = E_t,ε[ w_t ‖x_0 − f(x_t, t)‖² ] / items,   w_t = SNR_t−1 − SNR_t,   w_1 = 1,   t drawn by its recent losses

In serving nothing is noised: x_T is the history itself, and x_t−1 = μ̃_t(f(x_t, t), x_t) down to x_0, which is the list. T-DiffRec
weighs the events of x from `oldest` up to 1 for the newest, in a straight line.

Beyond the paper: `head=multinomial` puts a softmax over f and the log-likelihood of the history in place of the squared error,
for a density over the next item and a bound (`bound`); `reverse_steps` takes so many steps of DDIM instead of all T; `guidance` w
moves each x̂_0 away from what f says of nobody, (1 + w) f(x_t, t) − w f(0, t), learned by emptying a share `emptied` of the
histories.

Everything is computed from the sparse history: the first layer is a bag of items and a little noise (`_noisy_bag.py`), the
squared error needs no row over the catalogue (`_squared_error.py`), nor does the reverse process but for its end
(`_history_denoiser.py`).

Source: wang2023, eqs. 1–13, algorithms 1 and 2, and the authors' code (dims 600–200, T = 40, dropout .5, Adam 1e-3, batches
of 400, β_1 = 1e-5); song2021, eq. 12; ho2022, eq. 6; liang2018, eq. 2 (the multinomial).

Departures from the paper: noise of a batch is shared in part among its people; dropout falls on the events of x_t, and the noise,
all of which stays, has the variance that it would have under dropout. Guidance and its emptied histories are ours. An empty
history, of which nothing is learned unless some are emptied, gets the training counts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.diffusion import Coefficients, NoiseSchedule, coefficients
from foldin.errors import ConfigError
from foldin.inference import Bound
from foldin.kernels import matmul_into, multinomial_log_likelihood, padded_bag, recency_weights, unit_rows
from foldin.models.capability import BoundedLikelihood, DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.diffusion._diffrec_trainer import DiffRecTrainer
from foldin.models.diffusion._history_denoiser import HistoryDenoiser
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, Trainer, setting

__all__ = ["DiffRec", "DiffRecConfig"]


@dataclass(frozen=True, kw_only=True)
class DiffRecConfig(Config):
    hidden: tuple[int, ...] = setting((600, 200), "widths down to the narrowest; the way back mirrors them", low=1)
    time: int = setting(10, "width of the embedding of t", low=2)
    steps: int = setting(40, "T", low=1, high=10_000)
    noise_scale: float = setting(0.005, "s: β are those of 1 − ᾱ rising in a line from s · low to s · high", above=0)
    noise_low: float = setting(0.005, "where the line begins, in scales", above=0)
    noise_high: float = setting(0.01, "where it ends", above=0)
    first_noise: float = setting(
        1e-5, "β_1 instead of the line's, as in the authors' code; 0: the line's", low=0, below=1
    )
    reweighted: bool = setting(True, "losses of steps weighed by SNR_t−1 − SNR_t; else all alike")
    importance: bool = setting(True, "steps of large losses are trained more often, and count less each time")
    dropout: float = setting(0.5, "of the input's entries", low=0, below=1)
    normalised: bool = setting(False, "the row that is read is divided by its L2 norm")
    oldest: float = setting(1.0, "weight of a person's oldest event; the newest has 1. Below 1: T-DiffRec", above=0)
    head: str = setting("squared", "error of a row, or its multinomial likelihood", choices=("squared", "multinomial"))
    reverse_steps: int | None = setting(None, "of DDIM in serving; none for the mean of every step", low=1)
    guidance: float = setting(0.0, "w, away from what is said of nobody", low=0)
    emptied: float = setting(0.0, "share of the histories that are emptied in training, for guidance", low=0, below=1)
    learning_rate: float = setting(1e-3, "of Adam", above=0)
    decay: float = setting(0.0, "of Adam's weights", low=0)
    batch_size: int = setting(400, "people a step", low=1)
    epochs: int = setting(200, "at most", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.noise_low < self.noise_high or self.noise_scale * self.noise_high >= 1:
            raise ConfigError(
                f"DiffRec: noise_low = {self.noise_low:g} must be below noise_high = {self.noise_high:g}, and "
                f"noise_scale · noise_high = {self.noise_scale * self.noise_high:g} below 1"
            )
        if not self.hidden:
            raise ConfigError("DiffRec: hidden = (): the width of one layer at least was expected")
        if self.head == "multinomial" and (self.reverse_steps not in (None, 1) or self.guidance):
            raise ConfigError("DiffRec: reverse_steps, guidance: a multinomial head is applied once, without guidance")
        if self.reverse_steps is not None and self.reverse_steps > self.steps:
            raise ConfigError(f"DiffRec: reverse_steps = {self.reverse_steps}: at most steps = {self.steps}")


class DiffRec(OnnxGraph, DotProduct, PopularStart, Recommender[DiffRecConfig]):
    """Diffusion over people's rows, with a linear error or a multinomial."""

    Config = DiffRecConfig
    has_likelihood = False
    summary = "diffusion over people's rows; T-DiffRec and a multinomial head as options (Wang et al. 2023)"

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.has_likelihood = config.head == "multinomial"
        self.network = HistoryDenoiser(
            self.n_items, config.hidden, time=config.time, generator=generator, device=self.device
        )
        # At less than two steps there is no line: the one step has the noise of the last.
        low = config.noise_low if config.steps > 1 else config.noise_high
        first = config.first_noise if config.steps > 1 and config.first_noise > 0 else None
        self.schedule = NoiseSchedule.linear_variance(
            config.steps, config.noise_scale, low, config.noise_high, first=first
        )
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def training_bytes(self, train: Histories) -> float:
        rows = min(self.config.batch_size, len(train))  # over the catalog, and a gradient of each
        return super().training_bytes(train) + 8.0 * rows * self.n_items

    def tensors(self) -> dict[str, Tensor]:
        return {**dict(self.network.named_parameters()), "log_share": self.log_share}

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return DiffRecTrainer(self)

    def values(self, offsets: Int[Tensor, " offsets"]) -> Float[Tensor, " events"]:
        """x at each event: 1, or from `oldest` up to 1 in the order of a person's events."""
        return recency_weights(offsets, self.config.oldest)

    def _read(self, offsets: Int[Tensor, " offsets"], values: Float[Tensor, " events"]) -> Float[Tensor, " events"]:
        """The entries that go into the first layer."""
        return unit_rows(offsets, values) if self.config.normalised else values

    def weight(self, t: Int[Tensor, " users"]) -> Float[Tensor, " users"]:
        """w_t."""
        if not self.config.reweighted or self.config.head == "multinomial":
            return torch.ones(len(t), device=t.device)
        return torch.from_numpy(self.schedule.snr_fall).float().to(t.device)[t]

    def _bag(self, histories: Histories) -> Float[Tensor, "users first"]:
        items, offsets = histories.tensors(self.device)
        read = self._read(offsets, self.values(offsets))
        weight = self.network.first.detach()
        return F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=read, include_last_offset=True)

    def _steps(self) -> list[Coefficients]:
        if self.config.head == "multinomial":
            return coefficients(self.schedule, 1)
        return coefficients(self.schedule, self.config.reverse_steps)

    def _reverse(self, bag: Float[Tensor, "users first"]) -> Float[Tensor, "users last"]:
        """States whose outputs are x_0, from W_in x_T = W_in x: x_t = a x + W_out g + β b all the way (`HistoryDenoiser`)."""
        network, weight = self.network, self.config.guidance
        steps = self._steps()
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
        return out if self.config.emptied else self._started(out, histories)

    def speaking(self) -> Bool[Array, " items"]:
        return np.ones(self.n_items, dtype=bool)

    def given_popularity(self, histories: Histories) -> Bool[Array, " users"]:
        return super().given_popularity(histories) & (self.config.emptied == 0)

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        config = self.config
        bag = padded_bag(self.network.first, history, oldest=config.oldest, normalised=config.normalised)
        scores = F.linear(self._reverse(bag), *self.network.output())
        if config.emptied:
            return scores
        shares = self.log_share if self.has_likelihood else self.log_share.exp()
        return torch.where((history >= 0).sum(dim=1, keepdim=True) > 0, scores, shares)

    def lacks(self, capability: type) -> str | None:
        if capability is BoundedLikelihood and self.config.head != "multinomial":
            return "DiffRec: head = 'squared': a row of zeros and ones has no probability, hence no bound"
        return super().lacks(capability)

    @torch.no_grad()
    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """A lower bound on log p(x) of each user, in nats, by one draw of each x_t.

        x̂_0 of a step is n softmax f, the expected row of n events. With noise as small as the paper's, x_T still shows x, and
        its KL to N(0, I) is thousands of nats: a true bound, and a loose one.

        Source: ho2020, eq. 5; kingma2021, eq. 13; liang2018, eq. 2.

        Raises:
            ConfigError: a squared error, under which a row of zeros and ones has no probability.
            ShapeError: histories over another catalog.
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
        row.index_put_((users, items), self._read(offsets, self.values(offsets)), accumulate=True)
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
