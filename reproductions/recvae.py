"""RecVAE beside Mult-VAE and EASE, every model tuned on validation; and the paper's recipe on ML-20M.

python reproductions/recvae.py                    ml-1m-strong and diffrec-ml-1m-clean
python reproductions/recvae.py --sets ml-20m      the recipe of Shenbin et al. unchanged, on the real ratings
"""

from pathlib import Path
from typing import Any

from harness import arguments, keep, shrunk, table

from foldin.data import Source

PAPER = {
    "ml-20m": {"recvae": {"recall@20": 0.414, "recall@50": 0.553, "ndcg@100": 0.442}},
    "diffrec-ml-1m-clean": {
        "multvae": {"recall_all@10": 0.1007, "recall_all@20": 0.1726, "ndcg@10": 0.0825, "ndcg@20": 0.1076}
    },
}
SHALLOW = {"hidden_dims": (), "epochs": 150, "batch_size": 250}
RECVAE = {"batch_size": 250, "epochs": 120}
EASE = [{"regularization": v} for v in (300.0, 500.0, 700.0, 1000.0)]
# What was tried beyond these is in LOG.md.
GRIDS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "ml-1m-strong": {
        "ease": EASE,
        "multvae": [{**SHALLOW, "beta": 0.05, "dropout": 0.3, "latent_dim": 400}],
        "recvae": [
            {**RECVAE, "kl_weight.gamma": 0.005, "latent_dim": 400},
            {**RECVAE, "kl_weight.gamma": 0.0075, "latent_dim": 400},
            {**RECVAE, "kl_weight.gamma": 0.005, "latent_dim": 400, "hidden_dim": 1000},
        ],
    },
    "diffrec-ml-1m-clean": {
        "ease": EASE,
        "multvae": [
            {**SHALLOW, "beta": b, "dropout": 0.2, "latent_dim": w} for b, w in ((0.05, 600), (0.05, 1000), (0.1, 1000))
        ],
        "recvae": [{**RECVAE, "kl_weight.gamma": g, "latent_dim": 400} for g in (0.005, 0.0075)],
    },
}
CLEAN = ("recall_all@10", "recall_all@20", "ndcg@10", "ndcg@20")


def main() -> None:
    options = arguments(
        __doc__,
        name="recvae",
        folder=Path(__file__).parent,
        sets="ml-1m-strong,diffrec-ml-1m-clean",
        seeds=3,
        tiny={"seeds": 1},
    )
    for name in options.sets.split(","):
        if name == "ml-20m":
            path = options.data / name if (options.data / name).exists() else name
            source = Source(
                path=str(path), protocol="strong", held_out=10_000, min_rating=4.0, min_events=5, seed=98765
            )
            found = table(source.split(), name, {"recvae": [{}]}, seeds=options.seeds)
        else:
            split = Source(path=str(options.data / name)).split()
            judged: dict[str, Any] = {"metric": "recall_all@10", "metrics": CLEAN} if name.startswith("diffrec") else {}
            found = table(split, name, shrunk(GRIDS[name], options), seeds=options.seeds, **judged)
        keep(options, "recvae", {name: found}, PAPER)


if __name__ == "__main__":
    main()
