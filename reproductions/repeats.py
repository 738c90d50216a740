"""Models on a simulated log in which users take items again, against the best list and the true probabilities.

python reproductions/repeats.py                    one seed, minutes on one core
python reproductions/repeats.py --users 500 --epochs 5

The log is drawn from `foldin.data.SimulatedRepeats`: users of several hidden types draw items by the tastes of their type, or
again one of their earlier events, by its age. Its next-item distribution is known exactly, so that a list is measured by the
probability that it holds the next item, over that of the best list of ten, and a density by its divergence from the truth in
nats: both without the noise of drawn targets. Two further columns are the probability of the listed items over that of all
repeats, and of all new items.

The protocol is `last-out` with `repeats="keep"`: test users are folded in from all events but their last. `repeats of MODEL` is
the mixture of the same trained model with the user's earlier events, its weights learned on the validation targets. Ages have
bins in the mixture, whose kernel is therefore not exactly that of the simulation.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import arguments, write

import foldin
from foldin.data import Histories, SimulatedRepeats, Split, last_out, read_log
from foldin.evaluation import ValidationMetric, evaluate_repeats
from foldin.experiment import build_model
from foldin.models import Recommender, RepeatMixture
from foldin.ranking import Eligibility, rank
from foldin.training import Config, fit

K = 10


def configs(epochs: int, tiny: bool) -> dict[str, Config]:
    """The models that are trained alone, by name."""
    small: dict[str, Any] = {"epochs": epochs}
    sasrec = {"embedding_dim": 8} if tiny else {"embedding_dim": 64, "max_length": 60}
    multvae = {"hidden_dims": (), "latent_dim": 4} if tiny else {"hidden_dims": (200,), "latent_dim": 64}
    return {
        "popularity": foldin.Popularity(),
        "personal frequency": foldin.PersonalPopularity(recency=False),
        "personal": foldin.PersonalPopularity(),
        "ease": foldin.ProductOfExperts(experts=(foldin.EASE(regularization=50.0),)),
        "multvae": foldin.MultVAE().with_settings({**multvae, **small}),
        "sasrec": foldin.SASRec().with_settings({**sasrec, **small}),
    }


def truth_of(simulated: SimulatedRepeats, split: Split, histories: Histories) -> np.ndarray:
    """The true p(i | history) over the catalog of a split, which lacks the items that nobody took."""
    items = np.array([int(one[1:]) for one in split.catalog.ids])
    found = simulated.probabilities(histories.reindex(items, simulated.n_items))[:, items]
    return found / found.sum(axis=1, keepdims=True)


def best_of(truth: np.ndarray) -> np.ndarray:
    """The probability that the best list has the next item."""
    return np.sort(truth, axis=1)[:, -K:].sum(axis=1)


def measured(model: Recommender, split: Split, truth: np.ndarray) -> dict[str, float]:
    """The figures of a model on the test users."""
    users = split.test.fold_in
    lists = rank(model, users, K, eligible=Eligibility.of(users, exclude_seen=False)).items
    own = np.zeros_like(truth, dtype=bool)
    own[users.users(), users.items] = True
    listed = np.take_along_axis(truth, lists, axis=1)
    again = np.take_along_axis(own, lists, axis=1)
    share = listed.sum(axis=1) / best_of(truth)
    parts = evaluate_repeats(model, split.test, metrics=(f"recall@{K}",), k=K)
    found = {
        "share_of_best": float(share.mean()),
        "share_of_best_se": float(share.std(ddof=1) / np.sqrt(len(share))),
        "of_repeats": float((listed * again).sum() / (truth * own).sum()),
        "of_new": float((listed * ~again).sum() / (truth * ~own).sum()),
        "listed_repeats": parts.listed_share,
    }
    for name, part in (("repeat_recall", parts.repeated), ("explore_recall", parts.new)):
        if part is not None:
            found[name] = float(part.values(f"recall@{K}").mean())
    if model.has_likelihood:
        nats = np.concatenate(
            [_divergence(model, users, truth, start) for start in range(0, len(users), model.block())]
        )
        found["divergence"] = float(nats.mean())
        found["divergence_se"] = float(nats.std(ddof=1) / np.sqrt(len(nats)))
    return found


def _divergence(model: Recommender, users: Histories, truth: np.ndarray, start: int) -> np.ndarray:
    """KL(truth ‖ model) of a block of users, in nats."""
    part = users.rows(start, start + model.block())
    own = truth[start : start + len(part)]
    log_q = torch.log_softmax(model.logits(part).double(), dim=1).cpu().numpy()
    return (own * (np.log(own) - log_q)).sum(axis=1)


def mixture(expert: Recommender, split: Split) -> tuple[RepeatMixture, dict[str, float]]:
    """The mixture of a trained model with the user's earlier events."""
    model = build_model(split.catalog, foldin.RepeatMixture(experts=(expert.config,)))
    assert isinstance(model, RepeatMixture)
    model.experts = (expert,)
    return model, model.learn_weights(split.validation)


def main() -> None:
    options = arguments(
        __doc__,
        name="repeats",
        folder=Path(__file__).parent,
        users=2000,
        events=50,
        items=500,
        epochs=25,
        seed=0,
        threads=1,
        tiny={"users": 60, "events": 12, "items": 40, "epochs": 1},
    )
    torch.set_num_threads(options.threads)
    simulated = SimulatedRepeats.random(options.items, n_components=4, concentration=0.2, seed=options.seed)
    table = simulated.table(options.users, options.events, seed=options.seed + 1)
    split = last_out(read_log(table, repeats="keep"))
    truth = truth_of(simulated, split, split.test.fold_in)
    figures: dict[str, dict[str, float]] = {}
    learned, seconds = {}, {}
    for name, config in configs(options.epochs, options.tiny).items():
        begin = time.perf_counter()
        model = build_model(split.catalog, config, seed=options.seed)
        validation = ValidationMetric(split.validation, f"ndcg@{K}")
        fit(model, split.train, validation=validation, patience=5, seed=options.seed)
        seconds[name] = time.perf_counter() - begin
        figures[name] = measured(model, split, truth)
        if name not in ("personal frequency", "personal"):
            mixed, learned[f"repeats of {name}"] = mixture(model, split)
            figures[f"repeats of {name}"] = measured(mixed, split, truth)
        for one in (name, f"repeats of {name}"):
            if one in figures:
                line = "  ".join(f"{key} {value:.4f}" for key, value in figures[one].items())
                print(f"{one}: {line}", file=sys.stderr, flush=True)
    own = split.test.of_targets(repeated=True).targets.n_events / split.test.targets.n_events
    entropy = float(-(truth * np.log(truth)).sum(axis=1).mean())
    write(
        options.json,
        "repeats",
        settings={
            **{name: getattr(options, name) for name in ("users", "events", "items", "epochs", "seed")},
            "catalog": len(split.catalog),
            "k": K,
            "ease": "a product of EASE alone, for a density",
        },
        figures=figures,
        truth={"recall_of_best": float(best_of(truth).mean()), "entropy": entropy, "repeated_targets": own},
        learned=learned,
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
