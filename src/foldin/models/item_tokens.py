"""Names of items: a few codes each, coarse to fine, from what is known of the items.

Items that are alike share their first codes; one code more tells those of the same codes apart. What items are like is learned
from who took them together, from their titles, or from both; with titles, an item that nobody has taken yet has a name too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from foldin.data import Examples, Histories
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.generative import RQVAE, RQVAEConfig
from foldin.models.collisions import resolve_collisions
from foldin.models.item_vectors import BUCKETS, TitleVectors, collaborative_vectors, sentence_vectors
from foldin.nn import CodeUse, code_use
from foldin.tensors import Array, Float32, Int, Int64, Tensor
from foldin.training import FullPass, Pretraining, fit

__all__ = ["KINDS", "SOURCES", "ItemNames", "Naming", "naming"]

KINDS = ("k-means", "rq-vae", "random")
SOURCES = ("log", "titles", "sentences", "log+titles", "log+sentences")
_SENTENCE_WIDTH = 384
_RIDGE = 1.0


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How names are learned.

    Args:
        kind: residual k-means, RQ-VAE, or random codes, which say nothing: the control.
        source: what vectors of items come from.
        levels, codes: of a name, without the code that tells equal names apart.
        width: of an item's vector from the log, and of one from its title.
        epochs: of RQ-VAE.
    """

    kind: str
    source: str
    levels: int
    codes: int
    width: int
    epochs: int


def naming(codes: int) -> Naming:
    """Residual k-means of three levels, from the log."""
    return Naming(kind="k-means", source="log", levels=3, codes=codes, width=64, epochs=1)


class ItemNames:
    """The names of a catalogue, and what it takes to name further items.

    `names` is (items, levels + 1), zeros until learned.
    """

    def __init__(self, n_items: int, how: Naming, device: torch.device, *, seed: int) -> None:
        self.how, self.device = how, device
        self.names = torch.zeros(n_items, how.levels + 1, dtype=torch.int64, device=device)
        titled = _SENTENCE_WIDTH if "sentences" in how.source else how.width
        width = ("log" in how.source) * how.width + (how.source != "log") * titled
        config = RQVAEConfig(encoder=how.kind == "rq-vae", levels=how.levels, codes=how.codes, epochs=how.epochs)
        self._rqvae = RQVAE(width, config, seed=seed, device=device)
        buckets = BUCKETS if "titles" in how.source else 0
        self._rarity, self._components = torch.zeros(buckets), torch.zeros(how.width, buckets)
        # From a title's vector to one of the log, for items that nobody has taken.
        self._bridge = torch.zeros(titled if "+" in how.source else 0, how.width)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return (self.how.codes,) * (self.how.levels + 1)

    def rows(self) -> Int[Tensor, "items levels"]:
        """The rows of a table of all levels' codes that a name is made of."""
        return self.names + torch.arange(len(self.sizes), device=self.device) * self.how.codes

    def tensors(self) -> dict[str, Tensor]:
        """Everything learned, by name."""
        found = {"names": self.names}
        if self.how.kind != "random":
            found |= {f"naming.{name}": value for name, value in self._rqvae.tensors().items()}
        if "titles" in self.how.source:
            found |= {"naming.rarity": self._rarity, "naming.components": self._components}
        if "+" in self.how.source:
            found["naming.bridge"] = self._bridge
        return found

    def learning(
        self, name: str, titles: Callable[[], Sequence[str] | None], after: Callable[[Histories], None]
    ) -> Pretraining[Histories] | FullPass[Histories]:
        """How the names of all items are learned; it tells the share of them that share their codes, and of codes in use.

        Args:
            name: in progress and history.
            titles: of the items, when it begins.
            after: done with the training histories once there are names.

        Raises when it runs:
            FitError: titles are needed, and there are none.
            ShapeError: not as many titles as items.
        """
        if self.how.kind == "random":

            def run(train: Histories, generator: torch.Generator) -> Mapping[str, float]:
                rng = np.random.default_rng(_seed(generator))
                return self._named(
                    rng.integers(self.how.codes, size=(train.n_items, self.how.levels)), rng, train, after
                )

            return FullPass(name=name, run=run)
        begun: list[tuple[Tensor, np.random.Generator]] = []

        def rows(train: Histories, generator: torch.Generator) -> tuple[Examples, int]:
            seed = _seed(generator)
            rng = np.random.default_rng(seed)
            begun[:] = [(torch.from_numpy(self._vectors(train, titles(), rng)), rng)]
            return Examples(begun[0][0]), seed

        def done(train: Histories) -> Mapping[str, float]:
            ((x, rng),) = begun
            return self._named(self._rqvae.codes(x).cpu().numpy(), rng, train, after)

        return Pretraining(name=name, model=self._rqvae, rows=rows, done=done)

    def learn(self, train: Histories, titles: Sequence[str] | None, generator: torch.Generator) -> Mapping[str, float]:
        """Names of all items, without a model that reads them; tells what `learning` does.

        Raises:
            FitError: titles are needed, and there are none.
            ShapeError: not as many titles as items.
        """
        one = self.learning("names", lambda: titles, lambda _: None)
        if isinstance(one, FullPass):
            return one.run(train, generator)
        rows, seed = one.rows(train, generator)
        fit(one.model, rows, seed=seed)
        return one.done(train)

    def _named(
        self,
        codes: Int64[Array, "items levels"],
        rng: np.random.Generator,
        train: Histories,
        after: Callable[[Histories], None],
    ) -> Mapping[str, float]:
        self.names.copy_(torch.from_numpy(resolve_collisions(codes, self.how.codes, rng)))
        after(train)
        use = self.use()
        return {"collisions": use.collisions, "codes_used": float(use.used.mean())}

    def use(self) -> CodeUse:
        """Use of the codes, level by level, without the one that tells equal names apart."""
        return code_use(self.names[:, :-1].cpu().numpy(), self.sizes[:-1])

    def of_new(self, titles: Sequence[str]) -> Int64[Array, "items levels"]:
        """Names of items that were not there in training, from their titles.

        Raises:
            ConfigError: names that titles say nothing of.
            FitError: there are no names yet.
        """
        if self.how.kind == "random" or self.how.source == "log":
            raise ConfigError(
                f"names are {self.how.kind!r} from {self.how.source!r}: only names from titles are there for new items"
            )
        if len(self.names) > 1 and not bool(self.names.any()):
            raise FitError("items have no names before training")
        if not titles:
            return np.empty((0, self.how.levels + 1), dtype=np.int64)
        x = self._titled(titles)
        if "log" in self.how.source:
            x = np.concatenate((_unit(x @ self._bridge.numpy()), x), axis=1)
        codes = self._rqvae.codes(torch.from_numpy(x)).cpu().numpy()
        return resolve_collisions(codes, self.how.codes, np.random.default_rng(0), taken=self.names.cpu().numpy())

    def _titled(self, titles: Sequence[str]) -> Float32[Array, "items width"]:
        if "sentences" in self.how.source:
            return sentence_vectors(titles)
        return TitleVectors(self._rarity.numpy(), self._components.numpy())(titles)

    def _vectors(
        self, train: Histories, titles: Sequence[str] | None, rng: np.random.Generator
    ) -> Float32[Array, "items width"]:
        if self.how.source == "log":
            return collaborative_vectors(train, self.how.width, rng)
        if titles is None:
            raise FitError(f"names from {self.how.source!r} need the items' titles: give the model its catalogue first")
        if len(titles) != train.n_items:
            raise ShapeError(f"names: {len(titles)} titles of {train.n_items} items")
        if "titles" in self.how.source:
            learned = TitleVectors.learn(titles, self.how.width, rng)
            self._rarity.copy_(torch.from_numpy(learned.rarity))
            self._components.copy_(torch.from_numpy(learned.components))
        x = self._titled(titles)
        if "log" not in self.how.source:
            return x
        taken = collaborative_vectors(train, self.how.width, rng)
        known = taken.any(axis=1)  # with others; the rest have zeros
        squares = x[known].T @ x[known] + _RIDGE * np.eye(x.shape[1], dtype=np.float32)
        bridge = np.linalg.solve(squares, x[known].T @ taken[known])
        self._bridge.copy_(torch.from_numpy(bridge))
        taken[~known] = _unit(x[~known] @ bridge)
        return np.concatenate((taken, x), axis=1)


def _unit(x: Float32[Array, "items width"]) -> Float32[Array, "items width"]:
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(1 << 31, (), generator=generator, device=generator.device, dtype=torch.int64))
