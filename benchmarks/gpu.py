"""Training on a GPU: Mult-VAE, RecVAE, SASRec and a vector quantizer, beside plain PyTorch on the same card, by turns.

python benchmarks/gpu.py              on the first GPU
python benchmarks/gpu.py --tiny       a few seconds, on the CPU where there is no GPU

An epoch of Mult-VAE and of RecVAE on an ML-20M-shaped synthetic log (I-600-200-600-I, batches of 500), against dense PyTorch
whose batches are scattered into dense rows on the card (`dense.py`, `dense_recvae.py`); an epoch of SASRec (d 64, two blocks) on
sequences of the shape of MovieLens-1M, against `nn.TransformerEncoder` on the same batches with the loss over all logits; all of
them also with products in bfloat16, foldin by `precision="bfloat16"` and plain PyTorch by autocast; the
loss of the last layer alone, forward and backward, by foldin, by plain PyTorch as a whole and by `torch.compile` and, where
PyTorch has it, by `linear_cross_entropy`; and steps of a quantizer with moving averages. Products of float32 numbers are computed
in TF32 unless a name says `float32`. The plain models are in `gpu_plain.py`.

`share` is the time that the unavoidable products of the last layer take at the rates measured for their shapes and their number
format on this card, over the time of the epoch; `peak_gb` what PyTorch's allocator held at most in a call for which nothing but
this model was on the card.
"""

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, write
from gpu_plain import (
    BATCH,
    HIDDEN,
    LATENT,
    LENGTH,
    WIDTH,
    dense_multvae,
    dense_recvae,
    device_of,
    plain_quantizer,
    plain_sasrec,
)
from synthetic import synthetic_log
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels import softmax_cross_entropy
from foldin.models import FullSoftmax, MultVAE, MultVAEConfig, RecVAE, RecVAEConfig, SASRec, SASRecConfig
from foldin.nn import VectorQuantizer
from foldin.training import fit

# What makes the work that is measured: a model with its optimizer, say, and a call that trains it for an epoch.
Make = Callable[[], Callable[[], Any]]

LOSSES = ((6400, 3416, 64), (6400, 100_000, 64), (51_200, 20_000, 256))
QUANTIZERS = ((16_384, 64, 1024), (32_768, 128, 512))


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def card() -> dict[str, Any]:
    """What the device is."""
    if not torch.cuda.is_available():
        return {"name": "cpu"}
    found = torch.cuda.get_device_properties(0)
    return {"name": found.name, "memory_gb": found.total_memory / 2**30, "cuda": torch.version.cuda}


def timed(work: Callable[[], Any]) -> float:
    """Seconds of a call."""
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def peak_gb(make: Make) -> float:
    """Peak memory of the allocator in GB, of a call and of what is made for it."""
    if not torch.cuda.is_available():
        return 0.0
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    make()()
    wait()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def by_turns(kinds: dict[str, Make], repeats: int) -> dict[str, dict[str, float]]:
    """Name → median seconds and peak memory of a call; the first call of each is not counted."""
    works = {kind: make() for kind, make in kinds.items()}
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(repeats + 1):
        for kind, work in works.items():
            found[kind].append(timed(work))
    works.clear()
    return {
        kind: {"seconds": float(np.median(found[kind][1:])), "peak_gb": peak_gb(make)} for kind, make in kinds.items()
    }


def products(rows: int, width: int, items: int, repeats: int, *, half: bool) -> dict[str, float]:
    """Seconds of each product of a last layer, in bfloat16 if `half`: forward, and the gradients of weights and of input."""
    kind = torch.bfloat16 if half else torch.float32
    shapes = ((rows, width), (items, width), (rows, items))
    h, weight, logits = (torch.randn(shape, device=device_of(), dtype=kind) for shape in shapes)

    def product(a: torch.Tensor, b: torch.Tensor) -> Callable[[], None]:
        def ten() -> None:
            for _ in range(10):
                torch.mm(a, b)

        return ten

    works = {"forward": product(h, weight.t()), "weights": product(logits.t(), h), "input": product(logits, weight)}
    times = {kind: [timed(work) for _ in range(repeats + 1)][1:] for kind, work in works.items()}
    return {kind: float(np.median(each)) / 10 for kind, each in times.items()}


def in_bfloat16(kind: str) -> bool:
    """Whether a kind of work has its products in bfloat16, as its name says."""
    return kind.endswith("_bfloat16")


def epochs_of(make: Callable[[], Any], log: Histories, precision: str = "float32") -> Make:
    """Epochs of one of foldin's models."""

    def made() -> Callable[[], Any]:
        model = make()
        return lambda: fit(model, log, epochs=1, precision=precision)

    return made


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

    kinds: dict[str, Callable[[], torch.Tensor]] = {
        "foldin": lambda: softmax_cross_entropy(states, weight, targets) / tokens,
        "plain": lambda: plain(states, weight, targets),
    }
    if torch.cuda.is_available():
        compiled = torch.compile(plain, dynamic=False)
        kinds["compiled"] = lambda: compiled(states, weight, targets)
    if hasattr(F, "linear_cross_entropy"):
        kinds["linear_cross_entropy"] = lambda: F.linear_cross_entropy(states, weight, targets)
    values = {kind: float(loss().detach()) for kind, loss in kinds.items()}
    assert max(values.values()) - min(values.values()) < 1e-2 * values["plain"], values

    def gradients(loss: Callable[[], torch.Tensor]) -> Make:
        return lambda: lambda: torch.autograd.grad(loss(), (states, weight))

    return by_turns({kind: gradients(loss) for kind, loss in kinds.items()}, repeats)


def quantizers(vectors: int, width: int, codes: int, repeats: int) -> dict[str, dict[str, float]]:
    device = device_of()
    x = torch.randn(vectors, width, device=device).requires_grad_()

    def ours() -> Callable[[], None]:
        own = VectorQuantizer(codes, width, average=0.99, generator=torch.Generator().manual_seed(0), device=device)
        noise = torch.Generator(device).manual_seed(1)

        def loss() -> torch.Tensor:
            found = own(x, noise)
            return found.values.square().mean() + found.loss

        return lambda: steps(loss)

    def plain() -> Callable[[], None]:
        other = plain_quantizer(vectors, width, codes)
        return lambda: steps(lambda: other(x))

    def steps(loss: Callable[[], torch.Tensor]) -> None:
        for _ in range(10):
            torch.autograd.grad(loss(), x)

    found = by_turns({"foldin": ours, "plain": plain}, repeats)
    return {kind: {**one, "seconds": one["seconds"] / 10} for kind, one in found.items()}


def autoencoders(options: Any, log: Histories) -> dict[str, Any]:
    """Mult-VAE and RecVAE."""
    device, found = device_of(), {}
    settings = {"batch_size": BATCH, "latent_dim": LATENT}
    of_vae, of_recvae = (
        MultVAEConfig(hidden_dims=(HIDDEN,), **settings),
        RecVAEConfig(hidden_dim=HIDDEN, **settings),
    )

    def vae() -> MultVAE:
        return MultVAE(log.n_items, of_vae, device=device)

    def recvae() -> RecVAE:
        return RecVAE(log.n_items, of_recvae, device=device)

    kinds: dict[str, dict[str, Make]] = {
        "multvae": {
            "foldin": epochs_of(vae, log),
            "foldin_bfloat16": epochs_of(vae, log, "bfloat16"),
            "dense": lambda: dense_multvae(log).epoch,
            "dense_bfloat16": lambda: dense_multvae(log, half=True).epoch,
        },
        "recvae": {
            "foldin": epochs_of(recvae, log),
            "foldin_bfloat16": epochs_of(recvae, log, "bfloat16"),
            "dense": lambda: dense_recvae(log).epoch,
            "dense_bfloat16": lambda: dense_recvae(log, half=True).epoch,
        },
    }
    # How often a step of each pass of an epoch needs each product: RecVAE's encoder has three passes, its decoder one.
    needed = {
        "multvae": {"forward": 1, "weights": 1, "input": 1},
        "recvae": {"forward": 4, "weights": 1, "input": 3},
    }
    for name, width in (("multvae", HIDDEN), ("recvae", LATENT)):
        for tf32 in (True, False):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            of_steps = {}
            for half in (False, True):
                of_each = products(BATCH, width, log.n_items, options.repeats, half=half)
                of_steps[half] = sum(count * of_each[kind] for kind, count in needed[name].items())
            runs = by_turns(
                {kind: make for kind, make in kinds[name].items() if tf32 or kind in ("foldin", "dense")},
                options.repeats,
            )
            for kind, one in runs.items():
                one["share"] = of_steps[in_bfloat16(kind)] * -(-len(log) // BATCH) / one["seconds"]
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

        def model(config: SASRecConfig = config) -> SASRec:
            return SASRec(log.n_items, config, device=device_of())

        kinds: dict[str, Make] = {
            "foldin": epochs_of(model, log),
            "foldin_bfloat16": epochs_of(model, log, "bfloat16"),
            "plain": lambda tokens=tokens: plain_sasrec(log, tokens),
            "plain_bfloat16": lambda tokens=tokens: plain_sasrec(log, tokens, half=True),
        }
        runs = by_turns(kinds, options.repeats)
        events = int(np.minimum(log.lengths - 1, LENGTH).sum())
        of_tokens = {
            half: sum(products(tokens, WIDTH, log.n_items, options.repeats, half=half).values()) / tokens
            for half in (False, True)
        }
        for kind, one in runs.items():
            one["share"] = of_tokens[in_bfloat16(kind)] * events / one["seconds"]
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
    # Each beside foldin in the same number format.
    ratios = {
        f"{name} {kind}": one["seconds"] / runs["foldin_bfloat16" if in_bfloat16(kind) else "foldin"]["seconds"]
        for name, runs in figures.items()
        for kind, one in runs.items()
        if not kind.startswith("foldin")
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
