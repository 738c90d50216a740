"""DiffRec, T-DiffRec and L-DiffRec on the split published with them, beside tuned linear models, Mult-VAE and RecVAE.

python reproductions/diffrec.py                                  everything
python reproductions/diffrec.py --parts bound                    only the bounds in nats
python reproductions/diffrec.py --models diffrec,ease            only these, with their paired tests

`diffrec-ml-1m-clean` (`given`): recall over all relevant; settings and epochs are chosen by validation recall@10, the test
users are looked at once. Rows whose name has a second word are one seed, but for the timed ones.

Every model is evaluated twice, as it was trained once: test users folded in from their training events alone, validation's being
only masked, which is the published protocol; and from all their events before the test (`fold-in all`), which is what anybody
would serve.

`timed` weighs the events of a history from `oldest` up to 1 for the newest: of DiffRec that is T-DiffRec, and every other model
is given the same weights, tuned on validation. The options beyond the paper are rows of their own: `ddim` takes one step of DDIM
with the network of `diffrec`; `guided` moves away from what is said of nobody; `multinomial` has a softmax for the squared error,
hence a density; `l-diffrec plain` has the paper's denoiser. The second part gives the multinomial bound in nats a user, at the
paper's noise and at noise that leaves little of the history.
"""

from pathlib import Path
from typing import Any

import torch
from harness import arguments, keep, shrunk, tables

from foldin.data import Source, Split
from foldin.experiment import train
from foldin.models import DiffRec, DiffRecConfig

PAPER = {
    "diffrec-ml-1m-clean": {
        "diffrec": {"recall_all@10": 0.1058, "recall_all@20": 0.1787, "ndcg@10": 0.0901, "ndcg@20": 0.1148},
        "l-diffrec": {"recall_all@10": 0.1060, "recall_all@20": 0.1809, "ndcg@10": 0.0868, "ndcg@20": 0.1122},
        "multvae": {"recall_all@10": 0.1007, "recall_all@20": 0.1726, "ndcg@10": 0.0825, "ndcg@20": 0.1076},
    }
}
METRICS = ("recall_all@10", "recall_all@20", "ndcg@10", "ndcg@20")
# Five steps instead of forty: with noise this small the number hardly matters, but lists take an eighth of the time.
DIFFREC: dict[str, Any] = {"learning_rate": 3e-4, "epochs": 100, "n_steps": 5}
LATENT: dict[str, Any] = {"epochs": 100, "n_steps": 5, "dropout": 0.3, "beta": 0.05}
MULTVAE: dict[str, Any] = {"hidden_dims": (), "epochs": 120, "batch_size": 250, "beta": 0.1}
RECVAE: dict[str, Any] = {"batch_size": 250, "epochs": 60, "latent_dim": 200}
OLDEST = (0.5, 0.3)
EVERY_SEED = ("t-diffrec", "l-diffrec timed", "multvae timed", "recvae timed", "als timed")
# What was tried beyond these is in LOG.md.
GRIDS: dict[str, list[dict[str, Any]]] = {
    "diffrec": [DIFFREC],
    "t-diffrec": [{**DIFFREC, "oldest": v} for v in OLDEST],
    "diffrec ddim": [{**DIFFREC, "head.reverse_steps": 1}],
    "diffrec guided": [{**DIFFREC, "empty_share": 0.1, "head.guidance": 0.2}],
    "diffrec multinomial": [{**DIFFREC, "head": "multinomial"}],
    "l-diffrec": [LATENT, {**LATENT, "dropout": 0.5}],
    "l-diffrec timed": [{**LATENT, "oldest": v} for v in OLDEST],
    "l-diffrec plain": [{**LATENT, "residual": False, "diffusion_weight": 0.3}],
    "ease": [{"regularization": v} for v in (300.0, 500.0, 1000.0, 2000.0, 4000.0)],
    "ease timed": [
        {"regularization": v, "oldest": o} for v in (500.0, 1000.0, 2000.0) for o in (0.7, *OLDEST, 0.2, 0.1)
    ],
    "itemknn": [{"shrinkage": v} for v in (1.0, 10.0, 100.0, 1000.0)],
    "itemknn timed": [{"shrinkage": v, "oldest": o} for v in (1.0, 10.0, 100.0) for o in (0.7, *OLDEST, 0.2, 0.1)],
    "als": [{"embedding_dim": 128, "regularization": 30.0, "confidence": a} for a in (1.5, 2.0, 5.0)],
    "als timed": [
        {"embedding_dim": 128, "regularization": 30.0, "confidence": a, "oldest": o} for a in (2.0, 5.0) for o in OLDEST
    ],
    "multvae": [{**MULTVAE, "dropout": 0.2, "latent_dim": 1000}, {**MULTVAE, "dropout": 0.5, "latent_dim": 300}],
    "multvae timed": [{**MULTVAE, "dropout": 0.2, "latent_dim": 1000, "oldest": v} for v in OLDEST],
    "recvae": [{**RECVAE, "kl_weight.gamma": v} for v in (0.0035, 0.005)],
    "recvae timed": [{**RECVAE, "kl_weight.gamma": 0.005, "oldest": v} for v in OLDEST],
}
NOISE: dict[str, dict[str, Any]] = {
    "noise of the paper": {},
    "noise that leaves little": {
        "noise.first": 0.0,
        "noise.scale": 1.0,
        "noise.low": 0.01,
        "noise.high": 0.99,
        "n_steps": 40,
    },
}


def bounds(split: Split, epochs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the multinomial head, on the training events of test users, in nats a user."""
    found: dict[str, Any] = {}
    some = split.test.fold_in.rows(0, 500)
    for name, noise in NOISE.items():
        config = DiffRecConfig().with_settings({**DIFFREC, **noise, "head": "multinomial", "epochs": epochs})
        trained = train(split, config, metric="recall_all@10", metrics=METRICS, patience=10)
        assert isinstance(trained.model, DiffRec)
        bound = trained.model.bound(some, torch.Generator().manual_seed(0))
        reconstruction = bound.terms["E log p(x|x_1)"]
        found[name] = {
            "bound": {"mean": float(bound.value.double().mean())},
            "reconstruction": {"mean": float(reconstruction.double().mean())},
            "kl": {"mean": float((reconstruction - bound.value).double().mean())},
            **{name: trained.evaluation.summary()[name] for name in (*METRICS, "log_likelihood_per_item")},
        }
        print(name, found[name], flush=True)
    return found, {"users": len(some), "events": some.n_events / len(some)}


def main() -> None:
    options = arguments(
        __doc__,
        name="diffrec",
        folder=Path(__file__).parent,
        seeds=3,
        parts="bound,table",
        models=",".join(GRIDS),
        tiny={"seeds": 1},
    )
    name = "diffrec-ml-1m-clean"
    split = Source(path=str(options.data / name)).split()
    parts = options.parts.split(",")
    if "bound" in parts:
        keep(options, "diffrec", {f"{name}, bound": bounds(split, 1 if options.tiny else DIFFREC["epochs"])}, PAPER)
    if "table" in parts:
        grids = shrunk({one: GRIDS[one] for one in options.models.split(",")}, options)
        everything = Source(path=str(options.data / name), fold_in="all").split()
        found = tables(
            {name: split, f"{name}, fold-in all": everything},
            grids,
            seeds=options.seeds,
            metric="recall_all@10",
            metrics=METRICS,
            every_seed=EVERY_SEED,
        )
        keep(options, "diffrec", found, PAPER)


if __name__ == "__main__":
    main()
