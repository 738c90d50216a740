"""A product of experts on `ml-1m-strong`: two RecVAEs × EDLAE × ALS, beside its experts alone, and EASE and ALS by hand.

python reproductions/product.py                  three seeds, about twenty minutes each on one core

Everything is chosen on the validation users: the settings of the experts, RecVAE's epoch, which experts are multiplied (LOG.md
has those that were tried) and what their weights maximize, NDCG@100 of these users. The test users are looked at once for each
seed.
`recvae`, `edlae` and `als` are experts of the product themselves, so that their difference from it is due to the product; `ease`
and `als by hand` are trained beside them. With `--variants` the weights of the same experts are also learned by likelihood, and
`recvae × ease` multiplies the first RecVAE and an EASE whose λ of 300 was given beforehand, by likelihood.
"""

import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from harness import arguments, write

import foldin
from foldin.data import Source, Split
from foldin.evaluation import Evaluation, ValidationMetric, compare_models, evaluate, expert_report
from foldin.experiment import build_model
from foldin.models import HeldOutLikelihood, HeldOutNDCG, MultDAEConfig, ProductOfExperts, Recommender
from foldin.training import Config, fit

METRICS = ("ndcg@100", "ndcg@10", "recall@20", "recall@50")
SHOWN = ("ndcg@100", "recall@20", "log_likelihood_per_item")
RECVAE = {"batch_size": 250, "epochs": 120, "kl_weight.gamma": 0.005, "latent_dim": 400}
LINEAR = {
    "edlae": foldin.EDLAE(dropout=0.3, regularization=300.0),
    "als": foldin.ALS(embedding_dim=188, confidence=3.87, regularization=43.9),
}
BESIDE = {
    "ease": foldin.EASE(regularization=700.0),
    "als by hand": foldin.ALS(embedding_dim=128, confidence=2.0, regularization=30.0),
}
PAIR = foldin.EASE(regularization=300.0)


def recvae(tiny: bool) -> Config:
    """The expert with a density; with `--tiny` a model that trains in a moment."""
    return MultDAEConfig(latent_dim=4, epochs=1) if tiny else foldin.RecVAE().with_settings(RECVAE)


def measured(model: Recommender, split: Split) -> tuple[float, Evaluation]:
    """(NDCG@100 on the validation users, the evaluation on the test users)."""
    return ValidationMetric(split.validation)(model), evaluate(model, split.test, metrics=METRICS)


def pair(split: Split, first: Recommender, seed: int) -> tuple[tuple[float, Evaluation], dict[str, float]]:
    """(the figures of a trained model × EASE, the weights)."""
    ease = build_model(split.catalog, PAIR, seed=seed)
    fit(ease, split.train, seed=seed)
    model = build_model(split.catalog, foldin.ProductOfExperts(experts=(first.config, PAIR)), seed=seed)
    assert isinstance(model, ProductOfExperts)
    model.experts = (first, ease)
    weights = model.learn_weights(split.validation)
    return measured(model, split), weights


def of_seed(split: Split, tiny: bool, seed: int, variants: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """(model → its figures on validation and on test, what each expert adds and the weights) of one seed of training."""
    config = foldin.ProductOfExperts(experts=(recvae(tiny), recvae(tiny), *LINEAR.values()), objective=HeldOutNDCG())
    model = build_model(split.catalog, config, seed=seed)
    assert isinstance(model, ProductOfExperts)
    result = fit(model, split.train, validation=ValidationMetric(split.validation), patience=15, seed=seed)
    found = {"product": measured(model, split)}
    terms = {name: value for name, value in result.records[0].terms.items() if not name.startswith("popularity/")}
    about = {"terms": terms, "seconds": result.seconds, **expert_report(model, split.validation, split.test)}
    for name, expert in zip(("recvae", "", *LINEAR), model.experts, strict=True):
        if name:
            found[name] = measured(expert, split)
    if variants:
        model.config = replace(config, objective=HeldOutLikelihood())
        about["product by likelihood"] = model.learn_weights(split.validation)
        found["product by likelihood"] = measured(model, split)
        found["recvae × ease"], about["recvae × ease"] = pair(split, model.experts[0], seed)
    for name, beside in BESIDE.items():
        other = build_model(split.catalog, beside, seed=seed)
        fit(other, split.train, seed=seed)
        found[name] = measured(other, split)
    for name, (validation, test) in found.items():
        line = "  ".join(f"{metric} {test.values(metric).mean():.4f}" for metric in SHOWN if metric in test.metrics)
        print(f"seed {seed} {name}: validation {validation:.4f}, test {line}", file=sys.stderr, flush=True)
    return found, about


def over_seeds(runs: list[Evaluation]) -> Evaluation:
    """Each user's figures averaged over the seeds of training, so that intervals and tests are over users."""
    first = runs[0]
    columns = {name: np.mean([one.values(name) for one in runs], axis=0) for name in first.metrics}
    overall = {name: statistics.fmean(one.overall[name] for one in runs) for name in first.overall}
    return Evaluation(
        first.per_user.with_columns(**{k: pl.Series(v) for k, v in columns.items()}), overall, first.without_targets
    )


def main() -> None:
    options = arguments(
        __doc__,
        name="product",
        folder=Path(__file__).parent,
        seeds=3,
        first_seed=0,
        variants=1,
        threads=1,
        tiny={"seeds": 1},
    )
    torch.set_num_threads(options.threads)
    split = Source(path=str(options.data / "ml-1m-strong")).split()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    runs = [of_seed(split, options.tiny, seed, bool(options.variants)) for seed in seeds]
    names = list(runs[0][0])
    averaged = {name: over_seeds([found[name][1] for found, _ in runs]) for name in names}
    write(
        options.json,
        "product",
        settings={
            "data": "ml-1m-strong",
            "seeds": list(seeds),
            "recvae": RECVAE,
            **{name: one.as_dict() for name, one in (LINEAR | BESIDE).items()},
            "ease of the pair": PAIR.as_dict(),
        },
        figures={name: one.summary() for name, one in averaged.items()},
        validation={name: [found[name][0] for found, _ in runs] for name in names},
        by_seed={name: [float(found[name][1].values("ndcg@100").mean()) for found, _ in runs] for name in names},
        tests=compare_models(averaged, [*METRICS, "log_likelihood_per_item"]),
        experts=[about for _, about in runs],
    )


if __name__ == "__main__":
    main()
