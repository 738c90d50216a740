"""What later models learn, and what reports say, at fixed seeds: golden files that are younger than those of `record.py`.

python -m tests.golden.later NAME…      write the files of these cases; only before a change that is to leave them as they are

`provenance.json` tells for each of them, under `later`, the commit and the machine that made it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from foldin.data import EventWeights, Histories, SimulatedRepeats, Split, cold_items, read_log
from foldin.evaluation import ValidationMetric, bound_report, calibration_curve, evaluate, expert_report
from foldin.inference import Annealing
from foldin.models import (
    MODELS,
    DiffRec,
    LatentPosterior,
    ProductOfExperts,
    Recommender,
    SemanticIds,
    SemanticIdsConfig,
)
from foldin.training import fit
from tests.conftest import make_log
from tests.golden.record import CASES as EARLIER
from tests.golden.record import FOLDER, SEQUENCE, SMALL, machine, measured, model_of, split_of, titled, trained

__all__ = ["CASES", "record"]

VAE: dict[str, Any] = {**SMALL, "hidden_dims": (16,), "latent_dim": 8, "epochs": 12}
RECVAE: dict[str, Any] = {**SMALL, "hidden_dim": 16, "latent_dim": 8, "epochs": 6}
NEGATIVES: dict[str, Any] = {"loss": "sampled", "loss.negatives.n": 8}
MODELS_OF_LATER: dict[str, tuple[str, dict[str, Any]]] = {
    "edlae": ("edlae", {"dropout": 0.2, "regularization": 1.0}),
    "slim": ("slim", {"regularization": 1.0, "sparsity": 0.1}),
    "elsa": ("elsa", {"embedding_dim": 4, "batch_size": 20, "epochs": 8}),
    "ials": ("ials", {"embedding_dim": 2, "epochs": 8}),
    "sansa": ("sansa", {"regularization": 1.0, "n_neighbors": 6}),
    "contentknn": ("contentknn", {}),
    "two-tower": ("two-tower", {**SMALL, "embedding_dim": 8, "epochs": 10}),
    **{f"sasrec-{name}": ("sasrec", {**SEQUENCE, "mixer": name}) for name in ("frequency", "recurrence", "gated")},
    "sasrec-features": ("sasrec", {**SEQUENCE, "features": "vectors"}),
    "ease-features": ("ease", {"regularization": 1.0, "features": "rows"}),
    "als-features": ("als", {"embedding_dim": 4, "regularization": 0.1, "features": "regression"}),
    "multvae-features": ("multvae", {**VAE, "features": "decoder"}),
    "multdae-sampled": ("multdae", {**SMALL, "latent_dim": 16, "epochs": 12, **NEGATIVES}),
    "multvae-sampled": ("multvae", {**VAE, **NEGATIVES}),
    "recvae-sampled": ("recvae", {**RECVAE, **NEGATIVES, "loss.precision": "bfloat16"}),
}
# The model of an earlier case, of which a report is made.
BOUNDS = {"bounds-multvae": "multvae", "bounds-recvae": "recvae"}
WEIGHTED = {f"weights-{name}": name for name in ("popularity", "itemknn", "ease", "als", "multdae", "multvae")}
COLD = {"cold-ease": "ease-features", "cold-als": "als-features", "cold-multvae": "multvae-features"}
# Models of a log that keeps repeats.
REPEATED: dict[str, tuple[str, dict[str, Any]]] = {
    "personal": ("personal", {}),
    "repeats": ("repeats", {"experts": ("multdae",), "experts.0.latent_dim": 8, "experts.0.epochs": 5}),
}
TOKENS: dict[str, dict[str, Any]] = {
    "tokens-k-means": {},
    "tokens-rq-vae": {"tokens.quantizer": "rq-vae", "tokens.quantizer.epochs": 5},
}
CASES = (*MODELS_OF_LATER, *REPEATED, *BOUNDS, *WEIGHTED, *COLD, *TOKENS, "bounds-diffrec", "product")


def _numbers(found: Any) -> list[float]:
    """The numbers of a report, in its order; NaN for what is null."""
    if isinstance(found, Mapping):
        return [number for value in found.values() for number in _numbers(value)]
    if isinstance(found, list | tuple):
        return [number for value in found for number in _numbers(value)]
    if found is None:
        return [float("nan")]
    return [] if isinstance(found, str) else [float(found)]


def _report(model: Recommender, split: Split) -> dict[str, np.ndarray]:
    """The bound report and the curve of calibration."""
    assert isinstance(model, LatentPosterior)
    bounds = bound_report(
        model, split.test, users=6, draws=4, refine_steps=5, annealed=2, annealing=Annealing(20), seed=1
    )
    curve = calibration_curve(model, split.test)
    return {"report/bounds": np.array(_numbers(bounds)), "report/calibration": np.array(_numbers(curve))}


def _bound(model: Recommender, split: Split) -> dict[str, np.ndarray]:
    """The bound of a diffusion model and its terms, for each user."""
    assert isinstance(model, DiffRec)
    found = model.bound(split.test.fold_in, torch.Generator().manual_seed(0))
    return {"report/bound": found.value.numpy()} | {
        f"report/{name}": term.numpy() for name, term in found.terms.items()
    }


def _use(settings: Mapping[str, Any], split: Split) -> dict[str, np.ndarray]:
    """Tokens of the items, and how the codes are used."""
    small = {"tokens": "log", "tokens.levels": 2, "tokens.codebook_size": 6, "tokens.embedding_dim": 8}
    config = SemanticIdsConfig().with_settings({**small, **settings})
    model = model_of(config, split)
    assert isinstance(model, SemanticIds)
    model.tokenizer.learn(split.train, split.catalog.titles, torch.Generator().manual_seed(0))
    use = model.token_use()
    return {
        "used": np.asarray(use.used),
        "perplexity": np.asarray(use.perplexity),
        "report/collisions": np.array([use.collisions, use.largest], dtype=np.float64),
    }


def weighted(histories: Histories) -> Histories:
    """The histories with every third event a purchase and every seventh a dislike."""
    at = np.arange(histories.n_events)
    kinds = np.where(at % 7 == 6, 2, at % 3 == 2).astype(np.uint8)
    rule = EventWeights(kinds={"buy": 3.0, "dislike": -1.0}, half_life=60 * 86_400)
    events = replace(histories, kinds=kinds)
    return rule.since(events).applied(events, ("view", "buy", "dislike"))


def _cold(kind: str, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Metrics of items hidden from training, among all items and among the hidden ones alone."""
    split = titled(cold_items(make_log(), hidden=6, held_out=20, min_events=2, seed=3))
    model = model_of(MODELS[kind]().with_settings(settings), split)
    fit(model, split.train, seed=5)
    found = {}
    for among, name in ((None, "all"), (split.catalog.cold, "alone")):
        result = evaluate(model, split.test, metrics=("recall@10", "ndcg@10"), among=among, likelihood=False)
        found |= {f"metric/{key}, {name}": result.values(key) for key in result.metrics}
    return found


def _repeated(kind: str, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A model of simulated users who take items again."""
    table = SimulatedRepeats.random(40, concentration=1.0, seed=1).table(60, 12, seed=2)
    split = split_of(read_log(table, repeats="keep"))
    model = model_of(MODELS[kind]().with_settings(settings), split)
    fit(model, split.train, seed=5)
    return measured(model, split)


def _product(split: Split) -> dict[str, np.ndarray]:
    """Weights of the experts learned on the validation users, and what each expert adds."""
    settings = {f"experts.0.{name}": value for name, value in RECVAE.items()}
    config = MODELS["product"]().with_settings(
        {"experts": ("recvae", "ease"), **settings, "experts.1.regularization": 1.0}
    )
    model = model_of(config, split)
    assert isinstance(model, ProductOfExperts)
    result = fit(model, split.train, validation=ValidationMetric(split.validation), seed=5)
    terms = [record.terms[term] for record in result.records for term in sorted(record.terms)]
    report = np.array(_numbers(expert_report(model, split.validation, split.test)))
    return {"epochs": np.array(terms), "report/experts": report, **measured(model, split)}


def record(name: str) -> dict[str, np.ndarray]:
    """The numbers of a case."""
    torch.set_num_threads(1)
    split = split_of(make_log())
    if name in MODELS_OF_LATER:
        model, found, split = trained(*MODELS_OF_LATER[name])
        return found | measured(model, split)
    if name in REPEATED:
        return _repeated(*REPEATED[name])
    if name in BOUNDS:
        return _report(trained(*EARLIER[BOUNDS[name]])[0], split)
    if name in COLD:
        return _cold(*MODELS_OF_LATER[COLD[name]])
    if name == "bounds-diffrec":
        return _bound(trained(*EARLIER["diffrec-multinomial"])[0], split)
    if name in TOKENS:
        return _use(TOKENS[name], split)
    if name in WEIGHTED:
        model = model_of(MODELS[WEIGHTED[name]]().with_settings(EARLIER[WEIGHTED[name]][1]), split)
        fit(model, weighted(split.train), seed=5)
        return measured(model, split)
    return _product(split)


def main() -> None:
    path = FOLDER / "provenance.json"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    about = json.loads(path.read_text(encoding="utf-8"))
    for name in sys.argv[1:]:
        np.savez_compressed(FOLDER / f"{name}.npz", **record(name))
        about.setdefault("later", {})[name] = {"commit": commit, "machine": machine()}
        path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()
