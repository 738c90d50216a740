"""Training on a GPU: Mult-VAE, RecVAE, SASRec and a vector quantizer, beside plain PyTorch on the same card, by turns.

python benchmarks/gpu.py              on the first GPU
python benchmarks/gpu.py --tiny       a few seconds, on the CPU where there is no GPU

An epoch of Mult-VAE and of RecVAE on an ML-20M-shaped synthetic log (I-600-200-600-I, batches of 500), against dense PyTorch
whose batches are scattered into dense rows on the card (`dense.py`, `dense_recvae.py`); an epoch of SASRec (d 64, two blocks) on
sequences of the shape of MovieLens-1M, against `nn.TransformerEncoder` on the same batches with the loss over all logits; the
loss of the last layer alone, forward and backward, whole, in chunks, by `torch.compile` and, where PyTorch has it, by
`linear_cross_entropy`; and steps of a quantizer with moving averages. Products of float32 numbers are computed in TF32 unless a
name says `float32`.

`candidates` is foldin with the kernels of `gpu_kernels.py`, which are not in use.

`share` is the time that the unavoidable products of the last layer take at the rate measured for their shapes on this card, over
the time of the epoch; `peak_gb` what PyTorch's allocator held at most, the model and its optimizer included.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, write
from dense import DenseMultVAE
from dense_recvae import DenseRecVAE
from gpu_kernels import candidates
from gpu_kernels import softmax_cross_entropy as candidate_loss
from synthetic import synthetic_log
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels import softmax_cross_entropy
from foldin.models import FullSoftmax, MultVAE, MultVAEConfig, RecVAE, RecVAEConfig, SASRec, SASRecConfig
from foldin.nn import VectorQuantizer, batches_of_transitions, transitions
from foldin.training import fit

HIDDEN, LATENT, BATCH, WIDTH, LENGTH = 600, 200, 500, 64, 200
LOSSES = ((6400, 3416, 64), (6400, 100_000, 64), (51_200, 20_000, 256))
QUANTIZERS = ((16_384, 64, 1024), (32_768, 128, 512))


def device_of() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def card() -> dict[str, Any]:
    """What the device is."""
    if not torch.cuda.is_available():
        return {"name": "cpu"}
    found = torch.cuda.get_device_properties(0)
    return {"name": found.name, "memory_gb": found.total_memory / 2**30, "cuda": torch.version.cuda}


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """(seconds of a call, peak memory of the allocator in GB)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    wait()
    start = time.perf_counter()
    work()
    wait()
    seconds = time.perf_counter() - start
    return seconds, torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def by_turns(kinds: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Name → median seconds and peak memory of a call; the first call of each is not counted."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(repeats + 1):
        for kind, work in kinds.items():
            found[kind].append(timed(work))
    return {
        kind: {
            "seconds": float(np.median([seconds for seconds, _ in runs[1:]])),
            "peak_gb": max(memory for _, memory in runs[1:]),
        }
        for kind, runs in found.items()
    }


def product_seconds(rows: int, width: int, items: int, repeats: int) -> float:
    """Seconds of the three products of a last layer: forward, gradients of the weights and of the input."""
    device = device_of()
    h, weight = torch.randn(rows, width, device=device), torch.randn(items, width, device=device)
    logits = torch.randn(rows, items, device=device)

    def products() -> None:
        for _ in range(10):
            torch.mm(h, weight.t())
            torch.mm(logits.t(), h)
            torch.mm(logits, weight)

    return by_turns({"products": products}, repeats)["products"]["seconds"] / 10


class DenseEpochs:
    """Epochs of a dense autoencoder whose batches become dense on the card."""

    def __init__(
        self,
        log: Histories,
        optimizers: list[torch.optim.Optimizer],
        losses: list[Callable[[torch.Tensor], torch.Tensor]],
    ) -> None:
        self.log, self.optimizers, self.losses = log, optimizers, losses
        self.rng = np.random.default_rng(0)

    def dense(self, users: np.ndarray) -> torch.Tensor:
        some, device = self.log.select(users), device_of()
        x = torch.zeros(len(some), some.n_items, device=device)
        rows, items = (torch.from_numpy(one.astype(np.int64)).to(device) for one in (some.users(), some.items))
        x[rows, items] = 1.0
        return x

    def epoch(self) -> None:
        for optimizer, loss in zip(self.optimizers, self.losses, strict=True):
            order = self.rng.permutation(len(self.log))
            for at in range(0, len(order), BATCH):
                x = self.dense(order[at : at + BATCH])
                optimizer.zero_grad()
                loss(x).backward()
                optimizer.step()


def dense_multvae(log: Histories, *, half: bool = False) -> DenseEpochs:
    model = DenseMultVAE(log.n_items, HIDDEN, LATENT).to(device_of()).train()

    def loss(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device_of().type, dtype=torch.bfloat16, enabled=half):
            logits, mu, logvar = model(x)
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
        return -(F.log_softmax(logits.float(), 1) * x).sum(1).mean() + 0.2 * kl

    return DenseEpochs(log, [torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)], [loss])


def dense_recvae(log: Histories) -> DenseEpochs:
    model = DenseRecVAE(log.n_items, HIDDEN, LATENT).to(device_of()).train()
    encoder = torch.optim.Adam(model.encoder.parameters(), lr=5e-4, fused=True)
    decoder = torch.optim.Adam(model.decoder.parameters(), lr=5e-4, fused=True)
    return DenseEpochs(
        log,
        [encoder, encoder, encoder, decoder],
        [lambda x: model.loss(x, 0.005, 0.5)] * 3 + [lambda x: model.loss(x, 0.005, 0.0)],
    )


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


def plain_sasrec(log: Histories, tokens: int) -> Callable[[], None]:
    model, rng = PlainSASRec(log.n_items).to(device_of()).train(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        for users in batches_of_transitions(log, LENGTH, tokens, rng):
            given, targets = transitions(log.select(users), LENGTH, device_of())
            states = model(given.items).flatten(0, 1)[given.positions()]
            optimizer.zero_grad()
            F.cross_entropy(states @ model.items.weight.t(), targets).backward()
            optimizer.step()

    return epoch


def epochs_of(model: Any, log: Histories) -> Callable[[], Any]:
    return lambda: fit(model, log, epochs=1)


def with_candidates(work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, by the kernels of `gpu_kernels.py`."""

    def run() -> None:
        with candidates():
            work()

    return run


def sequences(users: int, items: int, seed: int = 0) -> Histories:
    """Sequences of the shape of MovieLens-1M: about 165 events of a user, the most popular item 300 times the median's share."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(4.6, 1.0, users), 20, 2000).astype(np.int64)
    shares = 1.0 / (20 + np.arange(items))
    drawn = rng.choice(items, int(lengths.sum()), p=shares / shares.sum()).astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return Histories(items=drawn, offsets=offsets, n_items=items)


def losses(tokens: int, items: int, width: int, repeats: int) -> dict[str, dict[str, float]]:
    """The full softmax of many tokens alone, with the gradients of states and items."""
    device = device_of()
    states = torch.randn(tokens, width, device=device).requires_grad_()
    weight = (0.1 * torch.randn(items, width, device=device)).requires_grad_()
    targets = torch.randint(items, (tokens,), device=device)

    def plain(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(F.linear(states, weight), targets)

    compiled = torch.compile(plain, dynamic=False)
    kinds: dict[str, Callable[[], torch.Tensor]] = {
        "foldin": lambda: softmax_cross_entropy(states, weight, targets) / tokens,
        "candidates": lambda: candidate_loss(states, weight, targets) / tokens,
        "plain": lambda: plain(states, weight, targets),
    }
    if torch.cuda.is_available():
        kinds["compiled"] = lambda: compiled(states, weight, targets)
        kinds["candidates_fused"] = lambda: candidate_loss(states, weight, targets, fused=True) / tokens
    if hasattr(F, "linear_cross_entropy"):
        kinds["linear_cross_entropy"] = lambda: F.linear_cross_entropy(states, weight, targets)
    values = {kind: float(loss().detach()) for kind, loss in kinds.items()}
    assert max(values.values()) - min(values.values()) < 1e-2 * values["plain"], values
    return by_turns(
        {kind: lambda loss=loss: torch.autograd.grad(loss(), (states, weight)) for kind, loss in kinds.items()}, repeats
    )


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


def quantizers(vectors: int, width: int, codes: int, repeats: int) -> dict[str, dict[str, float]]:
    device = device_of()
    own = VectorQuantizer(codes, width, average=0.99, generator=torch.Generator().manual_seed(0), device=device)
    noise, other = torch.Generator(device).manual_seed(1), plain_quantizer(vectors, width, codes)
    x = torch.randn(vectors, width, device=device).requires_grad_()

    def ours() -> torch.Tensor:
        found = own(x, noise)
        return found.values.square().mean() + found.loss

    def steps(loss: Callable[[], torch.Tensor]) -> None:
        for _ in range(10):
            torch.autograd.grad(loss(), x)

    found = by_turns({"foldin": lambda: steps(ours), "plain": lambda: steps(lambda: other(x))}, repeats)
    return {kind: {**one, "seconds": one["seconds"] / 10} for kind, one in found.items()}


def autoencoders(options: Any, log: Histories) -> dict[str, Any]:
    """Mult-VAE and RecVAE."""
    device, found = device_of(), {}
    settings = {"batch_size": BATCH, "latent_dim": LATENT}
    vae = MultVAE(log.n_items, MultVAEConfig(hidden_dims=(HIDDEN,), **settings), device=device)
    recvae = RecVAE(log.n_items, RecVAEConfig(hidden_dim=HIDDEN, **settings), device=device)
    kinds: dict[str, dict[str, Callable[[], Any]]] = {
        "multvae": {
            "foldin": epochs_of(vae, log),
            "candidates": with_candidates(epochs_of(vae, log)),
            "dense": dense_multvae(log).epoch,
            "dense_bfloat16": dense_multvae(log, half=True).epoch,
        },
        "recvae": {
            "foldin": epochs_of(recvae, log),
            "candidates": with_candidates(epochs_of(recvae, log)),
            "dense": dense_recvae(log).epoch,
        },
    }
    for name, width, passes in (("multvae", HIDDEN, 1), ("recvae", LATENT, 4)):
        for tf32 in (True, False):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            of_step = product_seconds(BATCH, width, log.n_items, options.repeats)
            runs = by_turns(
                {kind: work for kind, work in kinds[name].items() if tf32 or kind in ("foldin", "dense")},
                options.repeats,
            )
            for one in runs.values():
                one["share"] = passes * of_step * -(-len(log) // BATCH) / one["seconds"]
                one["events_per_second"] = log.n_events / one["seconds"]
            found[name if tf32 else f"{name}_float32"] = runs
    torch.backends.cuda.matmul.allow_tf32 = True
    return found


def sasrec(options: Any, log: Histories) -> dict[str, Any]:
    found = {}
    for tokens in (6400, 51_200):
        config = SASRecConfig(
            embedding_dim=WIDTH, n_layers=2, loss=FullSoftmax(), max_length=LENGTH, batch_tokens=tokens
        )
        model = SASRec(log.n_items, config, device=device_of())
        kinds = {
            "foldin": epochs_of(model, log),
            "candidates": with_candidates(epochs_of(model, log)),
            "plain": plain_sasrec(log, tokens),
        }
        runs = by_turns(kinds, options.repeats)
        events = int(np.minimum(log.lengths - 1, LENGTH).sum())
        of_tokens = product_seconds(tokens, WIDTH, log.n_items, options.repeats) / tokens
        for one in runs.values():
            one["share"] = of_tokens * events / one["seconds"]
            one["tokens_per_second"] = events / one["seconds"]
        found[f"sasrec_{tokens}"] = runs
    return found


def main() -> None:
    options = arguments(
        __doc__,
        name="gpu",
        folder=Path(__file__).parent,
        users=40_000,
        items=20_108,
        sequences=6040,
        repeats=3,
        tiny={"users": 1000, "items": 300, "sequences": 60, "repeats": 1},
    )
    if not torch.cuda.is_available() and not options.tiny:
        raise SystemExit("no GPU that PyTorch can use; `--tiny` runs on the CPU")
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    log = synthetic_log(users=options.users, items=options.items)
    figures = autoencoders(options, log)
    figures |= sasrec(options, sequences(options.sequences, 3416 if not options.tiny else 200))
    for tokens, items, width in ((200, 300, 8),) if options.tiny else LOSSES:
        figures[f"loss_{tokens}x{width}->{items}"] = losses(tokens, items, width, 5 * options.repeats)
    for vectors, width, codes in ((256, 8, 16),) if options.tiny else QUANTIZERS:
        figures[f"quantizer_{vectors}x{width}->{codes}"] = quantizers(vectors, width, codes, options.repeats)
    ratios = {
        f"{name} {kind}": one["seconds"] / runs["foldin"]["seconds"]
        for name, runs in figures.items()
        for kind, one in runs.items()
        if kind != "foldin"
    }
    write(
        options.json,
        "gpu",
        settings={"card": card(), "users": len(log), "items": log.n_items, "events": log.n_events, "batch_size": BATCH},
        figures=figures,
        ratios=ratios,
    )


if __name__ == "__main__":
    main()
