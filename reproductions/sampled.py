"""Mult-VAE, Mult-DAE and RecVAE trained on a sample of the catalog, beside the full softmax, on `ml-1m-strong`.

python reproductions/sampled.py                  three seeds
python reproductions/sampled.py --models multvae

The settings of each model are those that `multvae.py` and `recvae.py` chose on validation for the full softmax; nothing is tuned
for the sampled one. `scored_share` is the mean share of the catalog that a step scores: the items of its batch and the negatives.
`difference` is NDCG@100 of a sampled loss less that of the full one, of means over the seeds.
"""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import arguments, keep, shrunk, table

from foldin.data import Source, Split
from foldin.models import config_class
from foldin.training import shuffled

BEST: dict[str, dict[str, Any]] = {
    "multvae": {"hidden_dims": (), "epochs": 150, "batch_size": 250, "beta": 0.05, "dropout": 0.3, "latent_dim": 400},
    "multdae": {"latent_dim": 200, "dropout": 0.5, "epochs": 150, "batch_size": 100, "regularization": 2e-5},
    "recvae": {"batch_size": 250, "epochs": 120, "kl_weight.gamma": 0.005, "latent_dim": 400},
}


def sampled(settings: dict[str, Any], negatives: int, precision: str) -> dict[str, Any]:
    """The same settings with the sampled loss."""
    return {**settings, "loss": "sampled", "loss.negatives.n": negatives, "loss.precision": precision}


def scored_share(split: Split, name: str, settings: dict[str, Any]) -> float:
    """Mean share of the catalog that a step of the first pass scores."""
    config, train = config_class(name)().with_settings(settings), split.train
    sampler = config.loss.sampler(train, torch.device("cpu"))
    rng, shares = np.random.default_rng(0), []
    generator = torch.Generator().manual_seed(0)
    for users in shuffled(config.batch_size)(train, rng):
        scored = sampler(train.select(users).tensors()[0], generator)
        shares.append(1.0 if scored is None else len(scored.rows) / train.n_items)
    return statistics.fmean(shares)


def main() -> None:
    options = arguments(
        __doc__,
        name="sampled",
        folder=Path(__file__).parent,
        models="multvae,multdae,recvae",
        negatives=256,
        seeds=3,
        tiny={"seeds": 1, "negatives": 8, "models": "multvae"},
    )
    split = Source(path=str(options.data / "ml-1m-strong")).split()
    grids: dict[str, list[dict[str, Any]]] = {}
    for name in options.models.split(","):
        grids[name] = [BEST[name]]
        grids[f"{name} sampled"] = [sampled(BEST[name], options.negatives, "float32")]
        grids[f"{name} bfloat16"] = [sampled(BEST[name], options.negatives, "bfloat16")]
    grids = {name: list(grid) for name, grid in shrunk(grids, options).items()}
    figures, report = table(split, "ml-1m-strong", grids, seeds=options.seeds, every_seed=tuple(grids))
    for name, grid in grids.items():
        model = name.split()[0]
        about = report["models"][name]
        about["scored_share"] = scored_share(split, model, grid[0])
        about["difference"] = figures[name]["ndcg@100"]["mean"] - figures[model]["ndcg@100"]["mean"]
    keep(options, "sampled", {"ml-1m-strong": (figures, report)}, {})


if __name__ == "__main__":
    main()
