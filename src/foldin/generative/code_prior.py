"""A prior over sequences of codes: a causal transformer that predicts each code from those before it.

    log p(c) = Σ_t log p(c_t | c_1 … c_t−1),   p(c_t | c_<t) = softmax(W h_t + b),   h = Transformer(start, c_1, …, c_t−1)

All sequences have one length; they may be the grid of a VQ-VAE, row by row, or the levels of a residual quantizer. With this
prior the autoencoder becomes generative: codes are drawn one after the other and decoded.

Source: vandenoord2017, section 3.3 (a prior learned on the codes after the autoencoder). `nn/transformer.py` for the layers.

Departures from the paper: a transformer instead of PixelCNN, with a learned vector for each position instead of 2-D masks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from foldin.data import Examples
from foldin.errors import ConfigError, ShapeError
from foldin.kernels import softmax_cross_entropy
from foldin.nn import Cache, SequenceEncoder, Sequences, TransformerShape
from foldin.tensors import Float, Int, Shaped, Tensor
from foldin.training import Config, GradientPhase, Loss, Step, Trainable, Trainer, falling, setting, shuffled

__all__ = ["CodePrior", "CodePriorConfig"]

_TOKENS = 1 << 14  # codes that are processed at once


@dataclass(frozen=True, kw_only=True)
class CodePriorConfig(Config):
    codebook_size: int = setting(512, "Codes that there are, K.", low=1)
    embedding_dim: int = setting(128, "Width of a code's vector.", low=1)
    n_heads: int = setting(4, "Heads of the attention.", low=1)
    n_layers: int = setting(4, "Blocks of the transformer.", low=1)
    block: str = setting("gated", "Block of the transformer: gated, or SASRec's plain one.", choices=("gated", "plain"))
    expansion: int = setting(2, "Width of the feed-forward layer, in widths of the block.", low=1)
    dropout: float = setting(0.1, "Dropout of the input and of each layer's output.", low=0, below=1)
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0)
    lr_decay: float = setting(
        0.5, "Share of the planned steps, the last ones, over which the learning rate falls to zero.", low=0, high=1
    )
    batch_size: int = setting(64, "Rows of codes in a batch.", low=1)
    epochs: int = setting(100, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding_dim % self.n_heads:
            raise ConfigError(f"CodePrior: n_heads = {self.n_heads}: must divide embedding_dim = {self.embedding_dim}")


class CodePrior(Trainable[CodePriorConfig, Examples]):
    """Autoregressive prior p(c) of sequences of codes in [0, K), which `Examples` hold as (rows, positions) of int64.

    Args:
        shape: of a sequence of codes: (positions,).
        config, seed, device: as for every `Trainable`.

    Raises:
        ShapeError: the shape is not of this form.
    """

    Config = CodePriorConfig

    def __init__(
        self,
        shape: tuple[int, ...],
        config: CodePriorConfig | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if len(shape) != 1 or shape[0] < 1:
            raise ShapeError(f"CodePrior: rows of shape {shape}: one axis of one position at least was expected")
        self.shape, self.positions = shape, shape[0]
        super().__init__(config, seed=seed, device=device)

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        shape = TransformerShape(
            width=config.embedding_dim,
            heads=config.n_heads,
            blocks=config.n_layers,
            length=self.positions,
            block=config.block,
            expansion=config.expansion,
            dropout=config.dropout,
        )
        self.encoder = SequenceEncoder(
            config.codebook_size + 1,  # the last one is the start
            shape,
            places="oldest",
            initial_sd=None,
            generator=generator,
            device=self.device,
        )
        weight = torch.empty(config.codebook_size, config.embedding_dim)
        weight.normal_(0.0, config.embedding_dim**-0.5, generator=generator)
        self.weight = torch.nn.Parameter(weight.to(self.device))
        self.bias = torch.nn.Parameter(torch.zeros(config.codebook_size, device=self.device))

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._parameters())

    def _parameters(self) -> Mapping[str, torch.nn.Parameter]:
        return {**self.encoder.by_name(), "weight": self.weight, "bias": self.bias}

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return _Training(self)

    def check_training(self, train: Examples) -> None:
        super().check_training(train)
        self._check(train.values)

    def _check(self, codes: Shaped[Tensor, "..."]) -> None:
        if codes.dtype != torch.int64 or codes.ndim != 2 or codes.shape[1] != self.positions:
            raise ShapeError(
                f"CodePrior: (rows, {self.positions}) of int64 was expected, not {tuple(codes.shape)} of {codes.dtype}"
            )
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < self.config.codebook_size:
            raise ShapeError(
                f"CodePrior: codes must be in [0, {self.config.codebook_size}), met {int(codes.min())} to {int(codes.max())}"
            )

    def _sequences(self, items: Int[Tensor, "rows length"]) -> Sequences:
        return Sequences(items=items, lengths=items.new_full((len(items),), items.shape[1]), times=None)

    def _states(
        self, codes: Int[Tensor, "rows positions"], noise: torch.Generator | None = None
    ) -> Float[Tensor, "rows positions width"]:
        """State h_t for each t, which depends on the codes before t."""
        return self.encoder(self._sequences(F.pad(codes[:, :-1], (1, 0), value=self.config.codebook_size)), noise)

    @torch.no_grad()
    def logits(self, codes: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows positions codes"]:
        """Logits of p(c_t | c_<t), for each t.

        Raises:
            ShapeError: the number of positions or the type is wrong, or a code is not in [0, K).
        """
        self._check(codes)
        return F.linear(self._states(codes.to(self.device)), self.weight, self.bias)

    @torch.no_grad()
    def log_prob(self, codes: Int[Tensor, "rows positions"]) -> Float[Tensor, " rows"]:
        """log p(c) of each sequence, in nats.

        Raises:
            ShapeError: as for `logits`.
        """
        self._check(codes)
        found, step = torch.zeros(len(codes), device=self.device), max(1, _TOKENS // self.positions)
        for at in range(0, len(codes), step):
            part = codes[at : at + step].to(self.device)
            each = torch.log_softmax(self.logits(part), dim=2).gather(2, part.unsqueeze(2))
            found[at : at + step] = each.sum(dim=(1, 2))
        return found

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator, *, temperature: float = 1.0) -> Int[Tensor, "n positions"]:
        """n draws of c, code by code; the keys and values of earlier codes are cached.

        Args:
            n: number of draws.
            generator: source of the draws.
            temperature: divisor of the logits: 1 draws from p, less makes likely codes likelier.

        Raises:
            ConfigError: n is less than 1, or the temperature is not above 0.
        """
        if n < 1 or not temperature > 0:
            raise ConfigError(
                f"CodePrior: {n} draws at temperature {temperature:g}: n ≥ 1 and a temperature > 0 were expected"
            )
        drawn = torch.full((n, 1), self.config.codebook_size, device=self.device)
        found: list[Tensor] = []
        cache: Cache | None = None
        for _ in range(self.positions):
            event = self._sequences(drawn)
            states, cache = self.encoder.begin(event) if cache is None else self.encoder.extend(event, cache)
            logits = F.linear(states[:, 0], self.weight, self.bias)
            drawn = torch.multinomial(torch.softmax(logits / temperature, dim=1), 1, generator=generator)
            found.append(drawn)
        return torch.cat(found, dim=1)


class _Training(Trainer[Examples]):
    def __init__(self, model: CodePrior) -> None:
        self.model, config = model, model.config
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=model._parameters(),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
            ),
            batches=shuffled(config.batch_size),
            learning_rate=falling(config.learning_rate, config.lr_decay),
        )
        super().__init__(phase, epochs=config.epochs)

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        codes = batch.values.to(model.device)
        states = model._states(codes, generator).flatten(0, 1)
        value = softmax_cross_entropy(states, model.weight, codes.flatten(), model.bias) / len(codes)
        return Loss(value, {"nats_per_code": value / model.positions})
