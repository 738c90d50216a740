"""Mult-VAE and Mult-DAE beside the baselines, every model tuned on validation; and the paper's recipe on ML-20M.

python reproductions/multvae.py                     ml-1m-strong (given), ml-1m (ratings ≥ 4) strong and last-out
python reproductions/multvae.py --sets ml-20m       the recipe of Liang et al. unchanged, on the real ratings
"""

from pathlib import Path
from typing import Any

from harness import arguments, keep, shrunk, table

from foldin.data import Source, Split

PAPER = {
    "ml-20m": {
        "multvae": {"recall@20": 0.395, "recall@50": 0.537, "ndcg@100": 0.426},
        "multdae": {"recall@20": 0.387, "recall@50": 0.524, "ndcg@100": 0.419},
    }
}
SHALLOW = {"hidden_dims": (), "epochs": 150, "batch_size": 250}
GRIDS: dict[str, list[dict[str, Any]]] = {
    "popularity": [{}],
    "itemknn": [{"n_neighbors": k, "shrinkage": h} for k in (50, 100, 200, 400) for h in (20.0, 100.0)],
    "ease": [{"regularization": v} for v in (200.0, 300.0, 500.0, 700.0, 1000.0, 1500.0)],
    "als": [
        {"embedding_dim": f, "confidence": a, "regularization": r}
        for f in (64, 128)
        for a in (2.0, 5.0)
        for r in (1.0, 10.0, 30.0)
    ],
    "multdae": [
        {"latent_dim": w, "dropout": d, "epochs": 150, "batch_size": 100, "regularization": r}
        for w, d, r in ((200, 0.5, 2e-5), (400, 0.5, 5e-5))
    ],
    "multvae": [
        *({**SHALLOW, "beta": b, "dropout": d, "latent_dim": 400} for b, d in ((0.05, 0.3), (0.1, 0.3), (0.05, 0.4))),
        {"hidden_dims": (600,), "epochs": 80, "batch_size": 250, "beta": 0.2, "dropout": 0.5},
    ],
}
# The sequence protocol has one target a user: HR@10 is recall@10, and validation chooses by NDCG@10.
LAST_OUT = ("ndcg@10", "hit_rate@10", "recall@20", "ndcg@100", "mrr@10")


def paper_recipe(data: Path, seeds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe of Liang et al. on the real ratings: 10,000 + 10,000 held-out users, the paper's own settings."""
    path = data / "ml-20m" if (data / "ml-20m").exists() else "ml-20m"
    split = Source(path=str(path), protocol="strong", held_out=10_000, min_rating=4.0, min_events=5, seed=98765).split()
    grids = {"multvae": [{"beta_schedule": "updates"}], "multdae": [{}]}
    return table(split, "ml-20m", grids, seeds=seeds)


def split_of(name: str, data: Path, held_out: int) -> tuple[Split, dict[str, Any]]:
    """(split, how it is judged) of a data set of the table."""
    if name == "ml-1m-strong":
        return Source(path=str(data / "ml-1m-strong")).split(), {}
    ratings = Source(
        path=str(data / "ml-1m"), min_rating=4.0, item_events=5, protocol=name.removeprefix("ml-1m "), held_out=held_out
    )
    return ratings.split(), {"metric": "ndcg@10", "metrics": LAST_OUT} if name.endswith("last-out") else {}


def main() -> None:
    options = arguments(
        __doc__,
        name="multvae",
        folder=Path(__file__).parent,
        sets="ml-1m-strong,ml-1m strong,ml-1m last-out",
        seeds=3,
        held_out=500,
        tiny={"seeds": 1, "held_out": 8},
    )
    for name in options.sets.split(","):
        if name == "ml-20m":
            found = paper_recipe(options.data, options.seeds)
        else:
            split, judged = split_of(name, options.data, options.held_out)
            # Judging everybody after every epoch is what takes the time of last-out: fewer candidates there.
            grids = {
                m: (grid[::3] if name.endswith("last-out") else grid) for m, grid in shrunk(GRIDS, options).items()
            }
            found = table(split, name, grids, seeds=options.seeds, **judged)
        keep(options, "multvae", {name: found}, PAPER)


if __name__ == "__main__":
    main()
