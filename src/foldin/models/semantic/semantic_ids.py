"""Semantic ids: an item is a short sequence of learned tokens, and a transformer generates those of the next item.

    x_i = √d Σ_l e^l_{c_l(item_i)} + P[place_i],   h = Transformer(x)
    p(next = j | h) = Π_l p(c_l(j) | h, c_<l(j)),   over the tokens that continue the path to some item

Tokens come from residual k-means or an RQ-VAE of vectors of the items (`models/item_tokens.py`); random tokens are a control.
Since each factor is normalized over the continuations that exist, p is normalized over the catalog, and likelihoods are
comparable with those of other models. A catalog too large to be scored as a whole can be ranked by beam search. `with_items`
returns a model with further items, whose tokens come from their titles, without training.

Source: rajput2023 (TIGER): tokens, sizes, constrained beam search; lee2022 (RQ-Transformer): codes of one position from one
state; vandenoord2017.

Departures from the paper: a causal transformer reads items, as sums of their codes' vectors, instead of an encoder that reads
codes one by one; the next tokens come from its state, with gates for the path (`_code_decoder.py`) instead of a decoder
with attention; every event of a history but the first is a target; there is no token of the user. With `constrained=false`,
training normalizes over all codes of a level, as the paper does, not only over those that exist; serving is always constrained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.memory import require_memory
from foldin.models.capability import Components, ItemFeatures, ItemTokens
from foldin.models.contract import Recommender
from foldin.models.enlarged import number_added
from foldin.models.extends_items import ExtendsItems
from foldin.models.item_tokens import ItemTokenizer
from foldin.models.semantic._code_beam import code_beam
from foldin.models.semantic._code_decoder import CodeDecoder
from foldin.models.semantic._code_scores import CodeScores
from foldin.models.semantic._code_tree import CodeTree
from foldin.models.start import PopularStart
from foldin.models.token_sources import (
    FromLog,
    FromLogAndSentences,
    FromLogAndTitles,
    FromSentences,
    FromTitles,
    RandomTokens,
)
from foldin.nn import (
    CodeUse,
    SequenceEncoder,
    TransformerShape,
    batches_of_transitions,
    encoder_bytes,
    step_bytes,
    transitions,
)
from foldin.tensors import Array, Bool, Float, Int, Int64, Tensor
from foldin.training import Config, GradientPhase, Loss, Range, Step, Trainer, falling, setting

__all__ = ["SemanticIds", "SemanticIdsConfig"]

_SMALL_BATCH = 1 << 17  # entries of a batch's states


@dataclass(frozen=True, kw_only=True)
class SemanticIdsConfig(Config):
    tokens: FromLog | FromTitles | FromSentences | FromLogAndTitles | FromLogAndSentences | RandomTokens = setting(
        FromLog(), "Where the tokens of items come from."
    )
    embedding_dim: int = setting(64, "Width of a token's vector, d.", low=1, range=(32, 64, 128, 256))
    n_heads: int = setting(1, "Heads of the attention.", low=1, range=(1, 2, 4))
    n_layers: int = setting(2, "Blocks of the transformer.", low=1, high=1000, range=Range(1, 3))
    max_length: int = setting(50, "Newest events of a history that are read.", low=1, range=(50, 100, 200))
    dropout: float = setting(
        0.2, "Dropout of the input and of each layer's output.", low=0, below=1, range=Range(0.0, 0.6)
    )
    expansion: int = setting(1, "Width of the feed-forward layer, in widths of the block.", low=1)
    item_vectors: bool = setting(
        False, "Whether what is read of an item is the sum of its tokens' vectors and one of its own."
    )
    constrained: bool = setting(
        True, "Whether training chooses among the tokens that exist after a path; otherwise among all of a level."
    )
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    lr_decay: float = setting(
        0.0, "Share of the planned steps, the last ones, over which the learning rate falls to zero.", low=0, high=1
    )
    batch_tokens: int = setting(2048, "Events in a batch.", low=1)
    epochs: int = setting(200, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding_dim % self.n_heads:
            raise ConfigError(
                f"SemanticIds: n_heads = {self.n_heads}: must divide embedding_dim = {self.embedding_dim}"
            )


class SemanticIds(ItemFeatures, ExtendsItems, ItemTokens, Components, PopularStart, Recommender[SemanticIdsConfig]):
    """Generative retrieval by semantic ids."""

    Config = SemanticIdsConfig
    has_likelihood = True
    summary = "items as learned tokens that a transformer generates (TIGER, Rajput et al. 2023)"

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        require_memory(encoder_bytes(config.embedding_dim, config.n_layers), self._called(), self.smaller, self.device)
        self.tokenizer = ItemTokenizer(self.n_items, config.tokens, self.device, seed=generator.initial_seed())
        shape = TransformerShape(
            width=config.embedding_dim,
            heads=config.n_heads,
            blocks=config.n_layers,
            length=config.max_length,
            expansion=config.expansion,
            dropout=config.dropout,
        )
        sizes = self.tokenizer.sizes
        self.encoder = SequenceEncoder(
            sum(sizes) + config.item_vectors * self.n_items,
            shape,
            places="newest",
            initial_sd=None,
            generator=generator,
            device=self.device,
        )
        self.decoder = CodeDecoder(sizes, config.embedding_dim, generator=generator, device=self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)
        self.titles: Sequence[str] | None = None
        self._grow()

    def training_bytes(self, train: Histories) -> float:
        config = self.config
        states = step_bytes(
            train, config.batch_tokens, config.max_length, config.embedding_dim, config.n_heads, config.n_layers
        )
        tokens = min(config.batch_tokens, train.n_events)
        return super().training_bytes(train) + states + 12.0 * tokens * sum(self.tokenizer.sizes)

    def tensors(self) -> dict[str, Tensor]:
        learned = {f"decoder.{name}": value for name, value in self.decoder.named_parameters()}
        return {**self.encoder.by_name(), **learned, **self.tokenizer.tensors(), "log_share": self.log_share}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        super().load_state(state)
        self._grow()

    def describe(self, catalog: Catalog) -> None:
        if len(catalog) != self.n_items:
            raise ShapeError(f"the model knows {self.n_items} items, the catalog {len(catalog)}")
        given = catalog.table["title"].to_list() if "title" in catalog.table.columns else []
        # Without a title, the text is empty: no tokens are computed from the id.
        self.titles = [title or "" for title in given] if any(given) else None

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self)

    def _grow(self) -> None:
        tokens = self.tokenizer.tokens
        # Before training all tokens are zeros, and there is no tree.
        known = len(tokens) == 1 or bool(tokens.any())
        self._tree = CodeTree(tokens.cpu().numpy(), self.device) if known else None
        self.encoder.names = self.tokenizer.rows()
        if self.config.item_vectors:
            rows = torch.arange(self.n_items, device=self.device) + self.decoder.starts[-1]
            self.encoder.names = torch.cat((self.encoder.names, rows.unsqueeze(1)), dim=1)

    @property
    def tree(self) -> CodeTree:
        """The tree of the items' tokens.

        Raises:
            FitError: the tokens have not been learned yet.
        """
        if self._tree is None:
            raise FitError("SemanticIds: items have no tokens before training")
        return self._tree

    def _scores(self) -> CodeScores:
        return CodeScores(self.decoder, self.tree, self.encoder.items.detach(), self.tokenizer.tokens)

    @torch.no_grad()
    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._started(self._scores().every(self.encoder.newest_states(histories)), histories)

    def speaking(self) -> Bool[Array, " items"]:
        return np.ones(self.n_items, dtype=bool)

    def branching(self) -> int:
        return self.config.tokens.codebook_size

    @torch.no_grad()
    def beam_search(
        self,
        histories: Histories,
        paths: int,
        *,
        allowed: Bool[Tensor, " items"],
        seen: tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]],
    ) -> tuple[Float[Tensor, "users found"], Int[Tensor, "users found"]]:
        states, table = self.encoder.newest_states(histories), self.encoder.items
        logp, best = code_beam(self.decoder, self.tree, table, states, paths, allowed=allowed, seen=seen)
        permitted = self._scores().log_permitted(states, seen, allowed)
        values = (logp.double() - permitted.unsqueeze(1)).clamp(max=0.0)
        return values.masked_fill(best < 0, -torch.inf).float(), best

    def item_tokens(self) -> Int64[Array, "items levels"]:
        _ = self.tree  # raises before training
        return self.tokenizer.tokens.cpu().numpy()

    def token_use(self) -> CodeUse:
        return self.tokenizer.use()

    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        """(share of events, distribution over items) of each first code that has an item."""
        share = self.log_share.double().exp().cpu().numpy()
        first = self.tree.levels[0].node_of.cpu().numpy()
        split = np.zeros((int(first.max()) + 1, self.n_items))
        split[first, np.arange(self.n_items)] = share
        weights = split.sum(axis=1)
        return weights, split / weights[:, None]

    def lacks(self, capability: type) -> str | None:
        if capability is ExtendsItems:
            return self.tokenizer.reason_against_new()
        return super().lacks(capability)

    def columns_of_new(self) -> frozenset[str]:
        return frozenset(("title",))

    def with_new_items(self, catalog: Catalog) -> "SemanticIds":
        added = number_added(self, catalog)
        titles = catalog.table["title"].to_list() if "title" in catalog.table.columns else [None] * len(catalog)
        larger = self.with_items([title or "" for title in titles[-added:]])
        larger.describe(catalog)
        return larger

    @torch.no_grad()
    def with_items(self, titles: Sequence[str]) -> "SemanticIds":
        """A model with further items after those of this one; nothing is trained.

        Args:
            titles: titles of the new items.

        Raises:
            ConfigError: the tokens are not computed from titles, or `titles` is a single title or has one that is not text.
            FitError: this model is not trained.
        """
        if isinstance(titles, str):
            raise ConfigError(f"a list of titles was expected, not the title {titles!r}")
        titles = list(titles)
        if odd := [one for one in titles if not isinstance(one, str)]:
            raise ConfigError(f"titles are text; met {odd[0]!r}")
        added = torch.from_numpy(self.tokenizer.of_new(titles)).to(self.device)
        grown = SemanticIds(self.n_items + len(titles), self.config, device=self.device)
        state = self.state()
        state["tokens"] = torch.cat((state["tokens"], added.cpu()))
        if self.config.item_vectors:
            state["items"] = torch.cat((state["items"], torch.zeros(len(titles), self.config.embedding_dim)))
        # New items have no events: for an empty history, they are scored like the rarest items.
        share = state["log_share"].exp()
        share = torch.cat((share, share.min().expand(len(titles))))
        state["log_share"] = (share / share.sum()).log()
        grown.load_state(state)
        grown.temperature = self.temperature
        if self.titles is not None:
            grown.titles = [*self.titles, *titles]
        return grown


class _Training(Trainer[Histories]):
    def __init__(self, model: SemanticIds) -> None:
        self.model, config = model, model.config
        learned = {f"decoder.{name}": value for name, value in model.decoder.named_parameters()}
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters={**model.encoder.by_name(), **learned},
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
            ),
            batches=lambda train, rng: batches_of_transitions(train, config.max_length, config.batch_tokens, rng),
            learning_rate=falling(config.learning_rate, config.lr_decay),
            small=config.batch_tokens * config.embedding_dim <= _SMALL_BATCH,
            needs_float32=None,
        )
        first = (model.tokenizer.learning("name", lambda: model.titles, self._after),)
        super().__init__(phase, epochs=config.epochs, first=first)

    def _after(self, train: Histories) -> None:
        self.model.learn_shares(train)
        self.model._grow()

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        given, targets = transitions(batch, model.config.max_length, model.device)
        states = model.encoder(given, generator).flatten(0, 1).index_select(0, given.positions())
        tree = model.tree if model.config.constrained else None
        parts = model.decoder.log_prob(model.encoder.items, states, model.tokenizer.tokens[targets], tree).mean(dim=0)
        terms = {f"nats_level_{level}": -part for level, part in enumerate(parts.detach(), 1)}
        return Loss(-parts.sum(), terms)
