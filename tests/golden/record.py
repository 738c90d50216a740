"""What every model learns, lists and measures at fixed seeds, as numbers that may be kept and compared.

python -m tests.golden.record           write the files; only before a change that is to leave every number as it is
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldin.data import EventLog, Histories, Split, strong
from foldin.evaluation import evaluate
from foldin.models import MODELS, ItemFeatures, PosteriorSampler, Recommender
from foldin.ranking import Eligibility, PosteriorSample, rank
from foldin.training import Config, Progress, fit
from tests.conftest import make_log

__all__ = ["CASES", "FOLDER", "machine", "measured", "model_of", "record", "split_of", "titled", "trained"]

FOLDER = Path(__file__).parent
STEPS, LARGE = 50, 4096
SMALL: dict[str, Any] = {"batch_size": 20, "learning_rate": 0.01}
SEQUENCE: dict[str, Any] = {
    "embedding_dim": 16,
    "max_length": 12,
    "batch_tokens": 200,
    "learning_rate": 0.01,
    "epochs": 15,
}
NAMES: dict[str, Any] = {**SEQUENCE, "tokens": "log", "tokens.levels": 2, "tokens.codebook_size": 6}
EIGHT: dict[str, Any] = {"tokens.embedding_dim": 8}
DIFFUSION: dict[str, Any] = {**SMALL, "hidden_dims": (16, 8), "n_steps": 5, "epochs": 12}
LATENT: dict[str, Any] = {**SMALL, "latent_dim": 12, "hidden_dims": (16,), "n_steps": 4, "epochs": 12}
SLIM: dict[str, Any] = {"slim": "implicit-slim", "slim.every": 2, "alternation": None}
POPULAR: dict[str, Any] = {"loss": "sampled", "loss.negatives": "popularity", "loss.negatives.n": 30}
RQVAE: dict[str, Any] = {"tokens.quantizer": "rq-vae", "tokens.quantizer.epochs": 5}
# Words in names of tensors that are spelled otherwise in the files.
KEPT_AS = (("neighbors", "neighbours"), ("quantizer", "quantiser"), ("tokenizer", "naming"), ("tokens", "names"))
# Name of a model, and what is set: each option whose arithmetic is its own.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "popularity": ("popularity", {}),
    "itemknn": ("itemknn", {"shrinkage": 1.0}),
    "itemknn-oldest": ("itemknn", {"shrinkage": 1.0, "oldest": 0.3}),
    "ease": ("ease", {"regularization": 1.0}),
    "ease-oldest": ("ease", {"regularization": 1.0, "oldest": 0.3}),
    "als": ("als", {"embedding_dim": 4, "regularization": 0.1}),
    "mixture": ("mixture", {"n_components": 4, "epochs": 20}),
    "plsa": ("plsa", {"n_components": 4, "epochs": 20}),
    "lda": ("lda", {"n_components": 4, "epochs": 15}),
    "lda-batches": ("lda", {"n_components": 4, "epochs": 10, "online": "online", "online.batch_size": 30}),
    "poisson": ("poisson", {"n_components": 4, "epochs": 15}),
    "poisson-batches": ("poisson", {"n_components": 4, "epochs": 10, "ascent": "stochastic", "ascent.batch_size": 30}),
    "multdae": ("multdae", {**SMALL, "latent_dim": 16, "epochs": 12}),
    "multvae": ("multvae", {**SMALL, "hidden_dims": (16,), "latent_dim": 8, "epochs": 12}),
    "multvae-shallow": (
        "multvae",
        {**SMALL, "hidden_dims": (), "latent_dim": 8, "epochs": 12, "beta": 0.1, "oldest": 0.5},
    ),
    "recvae": ("recvae", {**SMALL, "hidden_dim": 16, "latent_dim": 8, "epochs": 6}),
    "recvae-slim": ("recvae", {**SMALL, **SLIM, "hidden_dim": 16, "latent_dim": 8, "epochs": 6}),
    "diffrec": ("diffrec", DIFFUSION),
    "diffrec-oldest": ("t-diffrec", {**DIFFUSION, "oldest": 0.3, "empty_share": 0.1, "head.guidance": 0.2}),
    "diffrec-multinomial": ("diffrec", {**DIFFUSION, "head": "multinomial"}),
    "l-diffrec": ("l-diffrec", LATENT),
    "l-diffrec-plain": ("l-diffrec", {**LATENT, "residual": False, "oldest": 0.5}),
    "sasrec": ("sasrec", SEQUENCE),
    "sasrec-sampled": ("sasrec", {**SEQUENCE, **POPULAR}),
    "sasrec-in-batch": ("sasrec", {**SEQUENCE, "loss": "sampled", "loss.negatives": "batch"}),
    "sasrec-bce": ("sasrec", {**SEQUENCE, "loss": "bce", "block": "authors", "positions.origin": "oldest"}),
    "sasrec-plain-bce": ("sasrec", {**SEQUENCE, "loss": "bce"}),
    "sasrec-gbce": (
        "sasrec",
        {**SEQUENCE, "loss": "gbce", "loss.n_negatives": 8, "positions": "rotary", "block": "gated"},
    ),
    "sasrec-timed": ("sasrec", {**SEQUENCE, "timed": True, "positions": "relative", "n_heads": 2}),
    "sasrec-codes": ("sasrec", {**SEQUENCE, "codebook_size": 8, "crop": True, "temperature": 0.1, "lr_decay": 0.5}),
    "semantic": ("semantic", {**NAMES, **EIGHT}),
    "semantic-rq-vae": ("semantic", {**NAMES, **EIGHT, **RQVAE, "tokens": "log+titles", "item_vectors": True}),
    "semantic-random": ("semantic", {**NAMES, "tokens": "random", "constrained": False}),
}


class Steps(Progress):
    """The terms of the first steps of the model itself."""

    def __init__(self) -> None:
        self.terms: list[float] = []
        self.before = ""

    def pretraining(self, name: str) -> None:
        self.before = name

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, torch.Tensor]) -> None:
        if len(self.terms) < 8 * STEPS and not self.before:
            self.terms += [float(terms[name].detach()) for name in sorted(terms)]


def asked(held: Histories) -> Histories:
    """Histories of held-out users, and some that are unusual: none, one event, a repeated item."""
    times = held.times is not None
    lists = [held.of(user) for user in range(6)] + [np.array([], np.int32), np.array([7]), np.array([3, 5, 3, 5, 3])]
    if not times:
        return Histories.from_lists(lists, held.n_items)
    stamps = [held.times[held.offsets[u] : held.offsets[u + 1]] for u in range(6)]
    stamps += [np.array([], np.int64), np.array([10**9]), 10**9 + 3600 * np.arange(5)]
    return Histories(
        items=np.concatenate(lists).astype(np.int32),
        offsets=np.concatenate(([0], np.cumsum([len(one) for one in lists]))).astype(np.int64),
        n_items=held.n_items,
        times=np.concatenate(stamps).astype(np.int64),
    )


def titled(split: Split) -> Split:
    """The same split, whose items have titles."""
    words = ("rose", "cream", "brush", "soap", "gold", "night", "lip", "hair")
    table = split.catalog.table
    titles = [f"{words[at % 8]} {words[at // 8]} {at}" for at in range(table.height)]
    return replace(split, catalog=replace(split.catalog, table=table.with_columns(title=np.array(titles))))


def split_of(log: EventLog) -> Split:
    """The split of every case."""
    return titled(strong(log, held_out=20, seed=3))


def model_of(config: Config, split: Split) -> Recommender:
    """The model of a configuration, which knows the items if it reads features."""
    model: Recommender = config.model_class(split.train.n_items, config, seed=5)
    if isinstance(model, ItemFeatures):
        model.describe(split.catalog)
    return model


def trained(kind: str, settings: Mapping[str, Any]) -> tuple[Recommender, dict[str, np.ndarray], Split]:
    """(the model, its losses, the split) of these settings."""
    split = split_of(make_log())
    model = model_of(MODELS[kind]().with_settings(settings), split)
    steps = Steps()
    result = fit(model, split.train, seed=5, progress=steps)
    epochs = [[record.terms[term] for term in sorted(record.terms)] for record in result.records]
    return model, {"steps": np.array(steps.terms[: 8 * STEPS]), "epochs": np.concatenate(epochs)}, split


def shortened(values: np.ndarray) -> np.ndarray:
    """Every seventeenth number of a large tensor."""
    return values if values.size <= LARGE else values.reshape(-1)[::17]


def _kept_as(name: str) -> str:
    for now, before in KEPT_AS:
        name = name.replace(now, before)
    return name


def record(name: str) -> dict[str, np.ndarray]:
    """Losses of the first steps and of all epochs, the state, lists, scores and metrics."""
    torch.set_num_threads(1)
    model, found, split = trained(*CASES[name])
    return found | measured(model, split)


def measured(model: Recommender, split: Split) -> dict[str, np.ndarray]:
    """The state, lists, scores and metrics of a trained model."""
    state = {f"state/{_kept_as(key)}": shortened(_array(value)) for key, value in model.state().items()}
    users = asked(split.test.fold_in)
    lists = rank(model, users, 10)
    eligible = Eligibility.of(users, exclude_seen=False, deny=[0, 1], allow=list(range(20)))
    kept = rank(model, users, 10, eligible=eligible)
    found = {**state, "items": lists.items, "scores": lists.scores, "kept items": kept.items}
    if isinstance(model, PosteriorSampler):
        # As a generator of seed 3 once gave it.
        seed = int(torch.randint(1 << 62, (), generator=torch.Generator().manual_seed(3)))
        drawn = rank(model, users, 10, ranker=PosteriorSample(seed, 20))
        assert drawn.spread is not None
        found |= {"drawn items": drawn.items, "drawn share": drawn.spread.in_top_k, "drawn sd": drawn.spread.sd}
    metrics = evaluate(model, split.test, metrics=("ndcg@10", "recall@5", "map@10"))
    return found | {f"metric/{key}": metrics.values(key) for key in metrics.metrics}


def _array(values: torch.Tensor) -> np.ndarray:
    """As NumPy's; it has no bfloat16."""
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def machine() -> str:
    """What rounding depends on: processor, PyTorch, NumPy."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in flags.splitlines() if line.startswith("model name")), "")
    features = next((line for line in flags.splitlines() if line.startswith("flags")), "")
    digest = hashlib.sha256(features.encode()).hexdigest()[:8]
    return f"{model} {digest}, torch {torch.__version__}, numpy {np.__version__}"


def main() -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    for name in CASES:
        np.savez_compressed(FOLDER / f"{name}.npz", **record(name))
        print(name, flush=True)
    path = FOLDER / "provenance.json"
    later = json.loads(path.read_text(encoding="utf-8")).get("later", {})
    about = {"commit": commit, "machine": machine(), "later": later}
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
