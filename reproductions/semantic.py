"""Semantic ids on Amazon Beauty (last-out): names by residual k-means, by RQ-VAE and at random, beside SASRec and popularity.

python reproductions/semantic.py                          everything
python reproductions/semantic.py --parts names,new        only how codes are used, and items that come after training

Full ranking, seen items excluded, one target a user, early stopping by 5,000 validation users. The text of an item is a few
keywords, where TIGER had title, brand, category and price: names are learned from the log, from the keywords by a sentence
encoder, and from both.

Five parts: `table`, the models side by side; `text`, what names from the keywords alone cost; `names`, how codes are used; `new`,
5 % of the items hidden from training and added afterwards by their titles alone, and recall on the users whose next item is one
of them; `beam`, the time to search lists for everybody and what a narrow beam misses.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import arguments, keep, shrunk, table

from foldin.data import Catalog, HeldOut, Histories, Source, Split
from foldin.evaluation import evaluate
from foldin.experiment import build_model
from foldin.models import SemanticIds, SemanticIdsConfig
from foldin.models.item_vectors import sentence_vectors
from foldin.ranking import Beam, rank
from foldin.training import fit

PAPER = {
    "amazon-beauty": {
        "tiger": {"recall@5": 0.0454, "ndcg@5": 0.0321, "recall@10": 0.0648, "ndcg@10": 0.0384},
        "tiger, random names": {"recall@10": 0.0394},
    }
}
METRICS = ("recall@5", "ndcg@5", "recall@10", "ndcg@10")
BASE: dict[str, Any] = {"embedding_dim": 128, "dropout": 0.3, "batch_tokens": 1024, "epochs": 36, "lr_decay": 0.5}
BOTH: dict[str, Any] = {**BASE, "tokens": "log+sentences"}
GRIDS: dict[str, list[dict[str, Any]]] = {
    "semantic rq-vae": [{**BOTH, "tokens.quantizer": "rq-vae"}],
    "semantic k-means": [BOTH],
    "semantic rq-vae own": [{**BOTH, "tokens.quantizer": "rq-vae", "item_vectors": True, "dropout": 0.5}],
    "semantic k-means own": [{**BOTH, "item_vectors": True, "dropout": 0.5}],
    "semantic log": [BASE],
    "semantic random": [{**BASE, "tokens": "random"}],
    "sasrec full": [{"dropout": 0.5, "batch_tokens": 1024, "epochs": 50, "lr_decay": 0.5}],
    "sasrec codes": [{"dropout": 0.2, "batch_tokens": 1024, "epochs": 50, "lr_decay": 0.5, "codebook_size": 256}],
    "popularity": [{}],
}
TEXT: dict[str, list[dict[str, Any]]] = {
    "semantic titles": [{**BASE, "tokens": "titles"}],
    "semantic sentences": [{**BASE, "tokens": "sentences"}],
}
NAMES = tuple(
    (kind, source) for source in ("log", "titles", "sentences", "log+sentences") for kind in ("k-means", "rq-vae")
)
HIDDEN = 0.05
JUDGED = 5000  # validation users, for early stopping


def names(split: Split, options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Use and collisions of codes, by kind of names and by what they are learned from."""
    found = {}
    for kind, source in NAMES:
        if options.tiny and "sentences" in source:
            continue
        how = {"tokens": source, "tokens.quantizer": kind}
        if options.tiny:
            how |= {"tokens.codebook_size": 8, "tokens.embedding_dim": 8}
            how |= {"tokens.quantizer.epochs": 1} if kind == "rq-vae" else {}
        model = build_model(split.catalog, SemanticIdsConfig().with_settings(how))
        assert isinstance(model, SemanticIds)
        start = time.perf_counter()
        model.tokenizer.learn(split.train, split.catalog.titles, torch.Generator().manual_seed(0))
        use = model.token_use()
        found[f"{kind} {source}"] = {
            "used": {"mean": float(use.used.min())},
            "collisions": {"mean": use.collisions},
            "largest": {"mean": use.largest},
            "perplexity": [round(float(one), 1) for one in use.perplexity],
            "seconds": round(time.perf_counter() - start, 1),
            "alarms": list(use.alarms),
        }
        print(kind, source, found[f"{kind} {source}"], flush=True)
    return found, {}


def _over(histories: Histories, place: np.ndarray, items: int) -> Histories:
    """The histories with items at new places; those at no place below `items` left out."""
    return histories.reindex(np.where(place < items, place, -1), items)


def _by_titles(vectors: np.ndarray, held: HeldOut, ks: tuple[int, ...]) -> dict[str, Any]:
    """Recall of the items whose titles are nearest to the mean of a user's five newest: no learning at all."""
    hits: dict[int, list[float]] = {k: [] for k in ks}
    for user in range(len(held)):
        own = held.fold_in.items[held.fold_in.offsets[user] : held.fold_in.offsets[user + 1]]
        scores = vectors @ vectors[own[-5:]].sum(axis=0)
        scores[own] = -np.inf
        order = np.argsort(-scores, kind="stable")
        target = held.targets.items[held.targets.offsets[user]]
        for k in ks:
            hits[k].append(float(target in order[:k]))
    return {f"recall@{k}": {"mean": float(np.mean(values))} for k, values in hits.items()}


def _users(held: HeldOut, which: np.ndarray) -> HeldOut:
    parts = (part.select(which) for part in (held.fold_in, held.targets, held.seen))
    fold_in, targets, seen = parts
    return HeldOut(fold_in=fold_in, targets=targets, users=held.users.gather(which), seen=seen)


def new_items(split: Split, options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Items hidden from training and added by their titles: recall on users whose next item is one of them."""
    count = len(split.catalog)
    order = np.random.default_rng(0).permutation(count)
    known = count - round(HIDDEN * count)
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    table_ = split.catalog.table[order.tolist()]
    train = _over(split.train, place, known)
    test = split.test
    is_new = np.flatnonzero(place[test.targets.items] >= known)  # one target a user
    fold_in, targets, seen = (
        _over(part.select(is_new), place, count) for part in (test.fold_in, test.targets, test.seen)
    )
    held = HeldOut(fold_in=fold_in, targets=targets, users=test.users.gather(is_new), seen=seen)
    titles = Catalog(table_).titles
    metrics = ("recall@10", "recall@50", "ndcg@10")
    found: dict[str, Any] = {}
    for source in ("sentences", "log+sentences"):
        model = SemanticIds(
            known, SemanticIdsConfig().with_settings({**BASE, "tokens": source, "epochs": 1 if options.tiny else 25})
        )
        model.describe(Catalog(table_[:known]))
        fit(model, train)
        grown = model.with_items(titles[known:])
        found[f"semantic {source}"] = evaluate(grown, held, metrics=metrics).summary()
        print(source, {name: found[f"semantic {source}"][name]["mean"] for name in metrics}, flush=True)
    found["nearest titles"] = _by_titles(sentence_vectors(titles), held, (10, 50))
    found["chance"] = {"recall@10": {"mean": 10 / count}, "recall@50": {"mean": 50 / count}}
    return found, {"hidden": count - known, "users": len(held), "items": count}


def beam(split: Split, options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Seconds for everybody's ten items, and what a beam misses of the exact lists."""
    config = SemanticIdsConfig().with_settings({**BASE, "epochs": 1 if options.tiny else 10})
    model = SemanticIds(len(split.catalog), config)
    fit(model, split.train)
    users = split.test.fold_in
    start = time.perf_counter()
    exact = rank(model, users, 10)
    found: dict[str, Any] = {"every item": {"seconds": {"mean": time.perf_counter() - start}, "shared": {"mean": 1.0}}}
    for width in (10, 20, 50):
        start = time.perf_counter()
        lists = rank(model, users, 10, ranker=Beam(width)).items
        seconds = time.perf_counter() - start
        shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.items.tolist(), lists.tolist(), strict=True)])
        found[f"beam {width}"] = {"seconds": {"mean": seconds}, "shared": {"mean": float(shared)}}
        print(width, found[f"beam {width}"], flush=True)
    return found, {"users": len(users)}


def main() -> None:
    options = arguments(
        __doc__,
        name="semantic",
        folder=Path(__file__).parent,
        parts="table,text,names,new,beam",
        seeds=1,
        models=",".join(GRIDS),
        # The sentence encoder takes longer than all else of a tiny run.
        tiny={"models": "semantic log,semantic random,sasrec codes,popularity", "parts": "table,names,beam"},
    )
    folder = options.data / "amazon-beauty"
    split = Source(path=str(folder / "sequences.txt"), protocol="last-out", items=str(folder / "items.csv")).split()
    parts = options.parts.split(",")
    for part, make in (("names", names), ("new", new_items), ("beam", beam)):
        if part in parts:
            keep(options, "semantic", {f"amazon-beauty, {part}": make(split, options)}, PAPER)
    some = np.sort(
        np.random.default_rng(0).choice(len(split.validation), min(JUDGED, len(split.validation)), replace=False)
    )
    split = dataclasses.replace(split, validation=_users(split.validation, some))
    for part, grids in (
        ("table", shrunk({name: GRIDS[name] for name in options.models.split(",")}, options)),
        ("text", shrunk(TEXT, options)),
    ):
        if part in parts:
            found = table(split, "amazon-beauty", grids, seeds=options.seeds, metric="ndcg@10", metrics=METRICS)
            keep(options, "semantic", {"amazon-beauty" if part == "table" else "amazon-beauty, text": found}, PAPER)


if __name__ == "__main__":
    main()
