"""Plain PyTorch on a GPU, beside which `gpu.py` measures: what one writes without foldin, on the same batches.

Batches of Mult-VAE (`dense.py`) and RecVAE (`dense_recvae.py`) are scattered into dense rows on the card. SASRec is
`nn.TransformerEncoder` with the loss over all logits; foldin makes its sequences and targets. With `half`, the layers run under
autocast to bfloat16, and losses are computed in float32.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from dense import DenseMultVAE
from dense_recvae import DenseRecVAE
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories
from foldin.nn import batches_of_transitions, transitions

HIDDEN, LATENT, BATCH, WIDTH, LENGTH = 600, 200, 500, 64, 200


def device_of() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class DenseEpochs:
    """Epochs of a dense autoencoder whose batches become dense on the card.

    Args:
        passes: the optimizer and the loss of each pass, in which no gradients of other optimizers' parameters are computed.
    """

    def __init__(
        self,
        log: Histories,
        passes: list[tuple[torch.optim.Optimizer, Callable[[torch.Tensor], torch.Tensor]]],
    ) -> None:
        self.log, self.passes = log, passes
        self.rng = np.random.default_rng(0)

    def dense(self, users: np.ndarray) -> torch.Tensor:
        some, device = self.log.select(users), device_of()
        x = torch.zeros(len(some), some.n_items, device=device)
        rows, items = (torch.from_numpy(one.astype(np.int64)).to(device) for one in (some.users(), some.items))
        x[rows, items] = 1.0
        return x

    def epoch(self) -> None:
        for optimizer, loss in self.passes:
            for other, _ in self.passes:
                require_gradients(other, needed=other is optimizer)
            order = self.rng.permutation(len(self.log))
            for at in range(0, len(order), BATCH):
                x = self.dense(order[at : at + BATCH])
                optimizer.zero_grad()
                loss(x).backward()
                optimizer.step()


def require_gradients(optimizer: torch.optim.Optimizer, *, needed: bool) -> None:
    for group in optimizer.param_groups:
        parameters: Iterable[torch.Tensor] = group["params"]
        for one in parameters:
            one.requires_grad_(needed)


def products(*, half: bool) -> torch.autocast:
    """Context of the layers, whose products are in bfloat16 if `half`."""
    return torch.autocast(device_of().type, dtype=torch.bfloat16, enabled=half)


def dense_multvae(log: Histories, *, half: bool = False) -> DenseEpochs:
    model = DenseMultVAE(log.n_items, HIDDEN, LATENT).to(device_of()).train()

    def loss(x: torch.Tensor) -> torch.Tensor:
        with products(half=half):
            logits, mu, logvar = model(x)
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
        return -(F.log_softmax(logits.float(), 1) * x).sum(1).mean() + 0.2 * kl

    return DenseEpochs(log, [(torch.optim.Adam(model.parameters(), lr=1e-3, fused=True), loss)])


def dense_recvae(log: Histories, *, half: bool = False) -> DenseEpochs:
    model = DenseRecVAE(log.n_items, HIDDEN, LATENT).to(device_of()).train()
    encoder = torch.optim.Adam(model.encoder.parameters(), lr=5e-4, fused=True)
    decoder = torch.optim.Adam(model.decoder.parameters(), lr=5e-4, fused=True)

    def loss(dropout: float) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: model.loss(x, 0.005, dropout, partial(products, half=half))

    return DenseEpochs(log, [(encoder, loss(0.5))] * 3 + [(decoder, loss(0.0))])


class PlainSASRec(nn.Module):
    """What one writes with `nn.TransformerEncoder`."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.items, self.places = nn.Embedding(n_items, WIDTH), nn.Embedding(LENGTH, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 1, WIDTH, 0.2, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, nn.LayerNorm(WIDTH), enable_nested_tensor=False)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        length = items.shape[1]
        x = F.dropout(self.items(items) * WIDTH**0.5 + self.places.weight[:length], 0.2)
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=items.device)
        states: torch.Tensor = self.blocks(x, mask=mask, is_causal=True)
        return states


def plain_sasrec(log: Histories, tokens: int, *, half: bool = False) -> Callable[[], None]:
    model, rng = PlainSASRec(log.n_items).to(device_of()).train(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        for users in batches_of_transitions(log, LENGTH, tokens, rng):
            given, targets = transitions(log.select(users), LENGTH, device_of())
            with products(half=half):
                states = model(given.items).flatten(0, 1)[given.positions()]
                logits = states @ model.items.weight.t()
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), targets).backward()
            optimizer.step()

    return epoch


def plain_quantizer(vectors: int, width: int, codes: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Distances by `cdist`, sums by a product with one-hot rows, moving averages."""
    book = torch.randn(codes, width, device=device_of())
    uses, sums = torch.ones(codes, device=device_of()), book.clone()

    def step(x: torch.Tensor) -> torch.Tensor:
        at = torch.cdist(x.detach(), book).argmin(dim=1)
        own = F.one_hot(at, codes).to(x.dtype)
        uses.mul_(0.99).add_(own.sum(0), alpha=0.01)
        sums.mul_(0.99).add_(own.t() @ x.detach(), alpha=0.01)
        values = book[at]
        book.copy_(sums / uses.unsqueeze(1))
        loss = 0.25 * (x - values).square().sum(1).mean()
        return (x + (values - x).detach()).square().mean() + loss

    return step
