"""SASRec: a causal transformer over a user's history.

    x_i = √d · E[item_i] + P[place_i],   h = Transformer(x),   s(next = j | first i events) = ⟨h_i, E[j]⟩

Positions are counted back from the newest event, or with `positions.origin=oldest` from the oldest that is read, both in training
and in serving. Every event but the first is a target; only the `max_length` newest are read.

Losses (`losses.py`): softmax over the whole catalog, sampled softmax with log-Q correction, binary with one negative (the
paper's), and gBCE. Under the binary losses, σ(s) is the probability that an item is the positive one among its negatives, not a
share of the catalog: the softmax of s is not a density until a temperature has been fitted on validation users
(`evaluation/temperature.py`).

The transformer's blocks mix events by softmax attention, or by another `mixer` (`mixers.py`).

With `codebook_size`, the vector of an item is the sum of its tokens' vectors (`models/item_tokens.py`: residual k-means of
co-occurrence vectors): the model learns and stores only a table of the tokens' vectors, and forms the sums of all items at each
step.

With `features`, the vector of an item is a free vector plus a linear map of its features (`_vector_table.py`), by which items
without training events are scored and read too.

Source: kang2018, eqs. 1–8 and the authors' code: d 50, 2 blocks, 1 head, Adam 1e-3 with β₂ = .98, dropout .5 (Amazon) or .2
(MovieLens), lengths 50 and 200. Losses: petrov2023 (gBCE), klenitskiy2023 (full softmax).

With `timed`, training needs the times of the events. A history without times is read as if all its events had the same time:
the bias by time is then equal for all events and cancels in the attention.

Departures from the paper: the full softmax is the default. A batch has a fixed number of events, not of users, from histories of
similar lengths, so that almost nothing is computed for padding. The default block is the paper's x + D(SA(LN(x))); that of the
authors' code, which adds to the normalized input and takes keys and values from the unnormalized one, is `block=authors`. An
empty history, which does not occur in the paper, gets the training counts.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from foldin.data import Catalog, Histories
from foldin.errors import FitError
from foldin.kernels import Buffers, logits_bytes, matmul_into, on_device
from foldin.memory import require_memory
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.extends_items import ExtendsItems
from foldin.models.feature_map import MapsFeatures, extended_by_map
from foldin.models.item_rows import ItemRows
from foldin.models.item_tokens import ItemTokenizer
from foldin.models.sequential._reading import Reading, extended, read
from foldin.models.sequential._sasrec_config import SASRecConfig
from foldin.models.sequential._sasrec_trainer import SASRecTrainer
from foldin.models.sequential._vector_table import VectorTable
from foldin.models.sequential.losses import FullSoftmax, NextItemLoss, SampledSoftmax
from foldin.models.sequential.positions import LearnedPositions, RelativePositions, RotaryPositions
from foldin.models.start import PopularStart
from foldin.models.token_sources import FromLog
from foldin.nn import SequenceEncoder, TransformerShape, encoder_bytes, step_bytes
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Trainer

__all__ = ["Reading", "SASRec", "SASRecConfig"]

_FULL_SOFTMAX_ITEMS = 200_000


class SASRec(MapsFeatures, ExtendsItems, OnnxGraph, DotProduct, ItemRows, PopularStart, Recommender[SASRecConfig]):
    """Self-attentive sequential recommendation."""

    Config = SASRecConfig
    has_likelihood = True
    side: VectorTable | None
    summary = "causal transformer over the history (Kang & McAuley 2018), full softmax by default"

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.has_likelihood = self.loss.density
        # Checked first, since the layers below would be filled one after the other until one does not fit.
        require_memory(encoder_bytes(config.embedding_dim, config.n_layers), self._called(), self.smaller, self.device)
        shape = TransformerShape(
            width=config.embedding_dim,
            heads=config.n_heads,
            blocks=config.n_layers,
            length=config.max_length,
            block=config.block,
            expansion=config.expansion,
            rotary=isinstance(config.positions, RotaryPositions),
            relative=isinstance(config.positions, RelativePositions),
            timed=config.timed,
            dropout=config.dropout,
            attention_dropout=config.mixer.attention_dropout,
            mixer=config.mixer.layer,
        )
        self.tokenizer = (
            None
            if config.codebook_size is None
            else ItemTokenizer(
                self.n_items, FromLog(codebook_size=config.codebook_size), self.device, seed=generator.initial_seed()
            )
        )
        self.encoder = SequenceEncoder(
            self.n_items if self.tokenizer is None else sum(self.tokenizer.sizes),
            shape,
            places=config.positions.origin if isinstance(config.positions, LearnedPositions) else None,
            initial_sd=config.initial_sd,
            generator=generator,
            device=self.device,
        )
        seed = generator.initial_seed()
        self.side = None if config.features is None else VectorTable(self.encoder.items, config.features, seed)
        self.encoder.table = None if self.side is None else self.side.table
        self.log_share = torch.zeros(self.n_items, device=self.device)
        self._buffers = Buffers()
        self._call()

    def training_bytes(self, train: Histories) -> float:
        config = self.config
        states = step_bytes(
            train, config.batch_tokens, config.max_length, config.embedding_dim, config.n_heads, config.n_layers
        )
        # Indices of negatives, scores and their gradients.
        tokens = min(config.batch_tokens, train.n_events)
        mixed = 4.0 * tokens * config.n_layers * config.embedding_dim * config.mixer.kept_vectors(config.max_length)
        # Vectors of a step, with gradients.
        made = 0.0 if self.side is None else 24.0 * self.n_items * config.embedding_dim
        drawn = self.loss.drawn(tokens)
        scores = 24.0 * drawn * tokens
        if drawn == 0 and on_device(self.log_share):
            scores = logits_bytes(tokens, self.n_items)
        return super().training_bytes(train) + states + mixed + made + scores

    @property
    def loss(self) -> NextItemLoss:
        """The loss of training."""
        if self.config.loss is not None:
            return self.config.loss
        return FullSoftmax() if self.n_items <= _FULL_SOFTMAX_ITEMS else SampledSoftmax()

    def tensors(self) -> dict[str, Tensor]:
        named = {} if self.tokenizer is None else self.tokenizer.tensors()
        mapped = {} if self.side is None else self.side.tensors()
        return {**self.encoder.by_name(), **named, **mapped, "log_share": self.log_share}

    def item_rows(self) -> frozenset[str]:
        return frozenset(("items", "log_share"))

    def kept_at_start(self) -> float:
        return 0.3

    def with_new_items(self, catalog: Catalog) -> "SASRec":
        return extended_by_map(self, self.side, ("items",), catalog)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.make_room(state)
        super().load_state(state)
        self._call()

    def _call(self) -> None:
        self.encoder.names = None if self.tokenizer is None else self.tokenizer.rows()
        if self.side is not None:
            self.side.forget()

    def feature_columns(self) -> tuple[str, ...] | None:
        return None if self.config.features is None else self.config.features.columns

    def check_training(self, train: Histories) -> None:
        """Raise an error unless the model can be trained on these users.

        Raises:
            FitError: no user has an event, or attention uses times and the log has none.
            ShapeError: the histories are over another catalog.
        """
        super().check_training(train)
        if self.config.timed and train.times is None:
            raise FitError(
                "SASRec: timed = true needs the times of the events, and this log has none; name their column with --time, "
                "or train with timed = false"
            )

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return SASRecTrainer(self)

    def _asked(self, states: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """Queries by which the items' vectors are multiplied, from states of the transformer."""
        return states if self.config.temperature is None else F.normalize(states, dim=-1) / self.config.temperature

    def _vectors(self) -> Float[Tensor, "items width"]:
        items = self.encoder.vectors()
        return items if self.config.temperature is None else F.normalize(items, dim=-1)

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users width"]:
        """Each user's query, by which the items' vectors are multiplied; zeros for an empty history."""
        return self._asked(self.encoder.newest_states(histories))

    @torch.no_grad()
    def item_vectors(self) -> tuple[Float[Tensor, "items width"], Float[Tensor, " items"]]:
        bias = torch.zeros(self.n_items, device=self.device) if self.side is None else self.side.log_factor()
        return self._vectors().detach(), bias

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._products(self.queries(histories), histories)

    def _products(self, queries: Float[Tensor, "users width"], histories: Histories) -> Float[Tensor, "users items"]:
        out = self._buffers.get("logits", (len(queries), self.n_items), queries)
        vectors, bias = self.item_vectors()
        matmul_into(out, queries, vectors.t())
        if self.side is not None:
            out.add_(bias)
        return self._started(out, histories)

    def speaking(self) -> Bool[Array, " items"]:
        return np.ones(self.n_items, dtype=bool)

    def lacks(self, capability: type) -> str | None:
        if capability is OnnxGraph and self.config.timed:
            return "SASRec: timed = true: a graph takes plain histories of items and would lose their times"
        if capability is ItemRows and self.tokenizer is not None:
            return f"SASRec: codebook_size = {self.config.codebook_size}: the tokens of items are learned anew from each log"
        if capability is ItemRows and self.side is not None:
            return (
                "SASRec with features cannot start from another run: its columns of features are those of one catalog"
            )
        return super().lacks(capability)

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        history = F.pad(history, (0, 1), value=-1)  # a rectangle without a column has nothing to gather from
        counts, length = (history >= 0).sum(dim=1), self.config.max_length
        lengths = counts.clamp(min=1, max=length)
        steps = (counts.clamp(min=length) - length).unsqueeze(1) + torch.arange(length, device=history.device)
        items = history.gather(1, steps.clamp(max=history.shape[1] - 1)).clamp(min=0)
        x = self.encoder.placed(F.embedding(items, self.encoder.vectors()) * self.config.embedding_dim**0.5, lengths)
        newest_at = (lengths - 1)[:, None, None].expand(-1, 1, self.config.embedding_dim)
        states = self._asked(self.encoder.transformer(x).gather(1, newest_at).squeeze(1))
        scores = states @ self._vectors().t()
        if self.side is not None:
            scores = scores + self.side.log_factor()
        return torch.where(counts.unsqueeze(1) > 0, scores, self._start())

    @torch.no_grad()
    def read(self, histories: Histories) -> Reading:
        """The result of reading histories, to which further events can be added one at a time."""
        return read(self, histories)

    @torch.no_grad()
    def extend(self, reading: Reading, later: Histories) -> Reading:
        """The reading with one more event of each user.

        If positions are not counted from the newest event, only that event is computed as long as no history is longer
        than `max_length`; otherwise everything is read again. The result is the same.

        Raises:
            ShapeError: `later` has other users, or not one event of each.
        """
        return extended(self, reading, later)

    @torch.no_grad()
    def next_logits(self, reading: Reading) -> Float[Tensor, "users items"]:
        """`logits` of the reading's histories."""
        return self.tempered(self._products(reading.states, reading.histories), reading.histories).clone()
