"""Tokens of items, coarse to fine, computed from the log, from titles, or from both.

Similar items share their first tokens; one further token makes the tokens unique. Similarity is learned from the co-occurrence
of items in histories, from their titles, or from both; with titles, items without events have tokens too.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from foldin.data import Examples, Histories
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.generative import RQVAE, Autoencoder, RQVAEConfig
from foldin.models.collisions import resolve_collisions
from foldin.models.item_vectors import BUCKETS, TitleVectors, collaborative_vectors, sentence_vectors
from foldin.models.token_sources import LearnedTokens, RQVAETokens, TokenSource
from foldin.nn import CodeUse, code_use
from foldin.tensors import Array, Float32, Int, Int64, Tensor
from foldin.training import FullPass, Pretraining, fit

__all__ = ["ItemTokenizer"]

_RIDGE = 1.0


class ItemTokenizer:
    """The tokens of a catalog's items, and the learned tensors that compute the tokens of further items.

    `tokens` is (items, levels + 1), zeros until learned.
    """

    def __init__(self, n_items: int, source: TokenSource, device: torch.device, *, seed: int) -> None:
        self.source, self.device = source, device
        self.tokens = torch.zeros(n_items, source.levels + 1, dtype=torch.int64, device=device)
        self._learned = source if isinstance(source, LearnedTokens) else None
        self._rqvae: RQVAE | None = None
        text_dim = log_dim = buckets = 0
        if self._learned is not None:
            quantizer, log_dim, text_dim = self._learned.quantizer, self._learned.log_dim, self._learned.text_dim
            config = RQVAEConfig(
                levels=source.levels,
                codebook_size=source.codebook_size,
                autoencoder=Autoencoder(epochs=quantizer.epochs) if isinstance(quantizer, RQVAETokens) else None,
            )
            self._rqvae = RQVAE(log_dim + text_dim, config, seed=seed, device=device)
            buckets = BUCKETS if self._learned.text == "titles" else 0
        self._rarity, self._components = torch.zeros(buckets), torch.zeros(text_dim if buckets else 0, buckets)
        # Linear map from the vector of a title to one of the log, for items without events.
        self._bridge = torch.zeros(text_dim if log_dim else 0, log_dim)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level."""
        return (self.source.codebook_size,) * (self.source.levels + 1)

    def rows(self) -> Int[Tensor, "items levels"]:
        """The rows of each item's tokens in one table of the tokens of all levels."""
        return self.tokens + torch.arange(len(self.sizes), device=self.device) * self.source.codebook_size

    def tensors(self) -> dict[str, Tensor]:
        """Everything learned, by name."""
        found = {"tokens": self.tokens}
        if self._rqvae is not None:
            found |= {f"tokenizer.{name}": value for name, value in self._rqvae.tensors().items()}
        if len(self._rarity):
            found |= {"tokenizer.rarity": self._rarity, "tokenizer.components": self._components}
        if len(self._bridge):
            found["tokenizer.bridge"] = self._bridge
        return found

    def learning(
        self, name: str, titles: Callable[[], Sequence[str] | None], after: Callable[[Histories], None]
    ) -> Pretraining[Histories] | FullPass[Histories]:
        """The training phase that learns the tokens of all items; it reports the shares of collisions and of codes in use.

        Args:
            name: name of the phase in progress and history.
            titles: returns the titles of the items when the phase begins; None if there are none.
            after: called with the training histories once there are tokens.

        Raises when it runs:
            FitError: titles are needed, and there are none.
            ShapeError: not as many titles as items.
        """
        rqvae, source = self._rqvae, self._learned
        if rqvae is None or source is None:

            def run(train: Histories, generator: torch.Generator) -> Mapping[str, float]:
                rng = np.random.default_rng(_seed(generator))
                shape = (train.n_items, self.source.levels)
                return self._resolved(rng.integers(self.source.codebook_size, size=shape), rng, train, after)

            return FullPass(name=name, run=run)
        begun: list[tuple[Tensor, np.random.Generator]] = []

        def rows(train: Histories, generator: torch.Generator) -> tuple[Examples, int]:
            seed = _seed(generator)
            rng = np.random.default_rng(seed)
            begun[:] = [(torch.from_numpy(self._vectors(source, train, titles(), rng)), rng)]
            return Examples(begun[0][0]), seed

        def done(train: Histories) -> Mapping[str, float]:
            ((x, rng),) = begun
            return self._resolved(rqvae.codes(x).cpu().numpy(), rng, train, after)

        return Pretraining(name=name, model=rqvae, rows=rows, done=done)

    def learn(self, train: Histories, titles: Sequence[str] | None, generator: torch.Generator) -> Mapping[str, float]:
        """Learn the tokens of all items without a model that uses them; returns what `learning` reports.

        Raises:
            FitError: titles are needed, and there are none.
            ShapeError: not as many titles as items.
        """
        one = self.learning("tokens", lambda: titles, lambda _: None)
        if isinstance(one, FullPass):
            return one.run(train, generator)
        rows, seed = one.rows(train, generator)
        fit(one.model, rows, seed=seed)
        return one.done(train)

    def _resolved(
        self,
        codes: Int64[Array, "items levels"],
        rng: np.random.Generator,
        train: Histories,
        after: Callable[[Histories], None],
    ) -> Mapping[str, float]:
        self.tokens.copy_(torch.from_numpy(resolve_collisions(codes, self.source.codebook_size, rng)))
        after(train)
        use = self.use()
        return {"collisions": use.collisions, "codes_used": float(use.used.mean())}

    def use(self) -> CodeUse:
        """Use of the tokens, level by level, without the one that makes the tokens unique."""
        return code_use(self.tokens[:, :-1].cpu().numpy(), self.sizes[:-1])

    def reason_against_new(self) -> str | None:
        """Why there are no tokens for items that were not in the catalog in training; None if there are."""
        titled = self._learned is not None and self._learned.text is not None
        return None if titled else f"tokens = {self.source.name}: only tokens from titles are there for new items"

    def of_new(self, titles: Sequence[str]) -> Int64[Array, "items levels"]:
        """Tokens of items that were not in the catalog in training, from their titles.

        Raises:
            ConfigError: the tokens are not computed from titles.
            FitError: there are no tokens yet.
        """
        source, rqvae = self._learned, self._rqvae
        if source is None or rqvae is None or source.text is None:
            raise ConfigError(self.reason_against_new())
        if len(self.tokens) > 1 and not bool(self.tokens.any()):
            raise FitError("items have no tokens before training")
        if not titles:
            return np.empty((0, source.levels + 1), dtype=np.int64)
        x = self._titled(source, titles)
        if source.log:
            x = np.concatenate((_unit(x @ self._bridge.numpy()), x), axis=1)
        codes = rqvae.codes(torch.from_numpy(x)).cpu().numpy()
        size = source.codebook_size
        return resolve_collisions(codes, size, np.random.default_rng(0), taken=self.tokens.cpu().numpy())

    def _titled(self, source: LearnedTokens, titles: Sequence[str]) -> Float32[Array, "items width"]:
        if source.text == "sentences":
            return sentence_vectors(titles)
        return TitleVectors(self._rarity.numpy(), self._components.numpy())(titles)

    def _vectors(
        self, source: LearnedTokens, train: Histories, titles: Sequence[str] | None, rng: np.random.Generator
    ) -> Float32[Array, "items width"]:
        if source.text is None:
            return collaborative_vectors(train, source.log_dim, rng)
        if titles is None:
            raise FitError(f"tokens = {source.name} need the items' titles: give the model its catalog first")
        if len(titles) != train.n_items:
            raise ShapeError(f"tokens: {len(titles)} titles of {train.n_items} items")
        if source.text == "titles":
            learned = TitleVectors.learn(titles, source.text_dim, rng)
            self._rarity.copy_(torch.from_numpy(learned.rarity))
            self._components.copy_(torch.from_numpy(learned.components))
        x = self._titled(source, titles)
        if not source.log:
            return x
        taken = collaborative_vectors(train, source.log_dim, rng)
        known = taken.any(axis=1)  # items that occur with others; the rest have zeros
        squares = x[known].T @ x[known] + _RIDGE * np.eye(x.shape[1], dtype=np.float32)
        bridge = np.linalg.solve(squares, x[known].T @ taken[known])
        self._bridge.copy_(torch.from_numpy(bridge))
        taken[~known] = _unit(x[~known] @ bridge)
        return np.concatenate((taken, x), axis=1)


def _unit(x: Float32[Array, "items width"]) -> Float32[Array, "items width"]:
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(1 << 31, (), generator=generator, device=generator.device, dtype=torch.int64))
