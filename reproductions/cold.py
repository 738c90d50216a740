"""Items hidden from training on `ml-1m` and `amazon-beauty`: content neighbors, and six models with features.

python reproductions/cold.py                              both sets
python reproductions/cold.py --sets ml-1m --models contentknn,"ease features"

The protocol is `cold-items`: a tenth of the items is hidden for validation and a tenth for the test, and a tenth of the users is
held out for each. Three tables of each set: the hidden items among all items, the same among the hidden items alone, and the
price: items of training that the same users took, ranked by the same models. Settings are chosen by validation recall@10 of the
hidden items alone, those of models without features by that of items of training. `x4` is the same model with `cold_factor=4`,
the factor of the scores of items without training events: it trades the items of training for the hidden ones.

The product multiplies content neighbors, which score hidden items, by EASE without features, which gives them its mean.

Features of `ml-1m` (ratings ≥ 4) are genres, the words of the titles and the year; those of `amazon-beauty` a few keywords.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import Grid, arguments, keep, shrunk

from foldin.data import EventLog, Source, Split, cold_items
from foldin.evaluation import ValidationMetric, evaluate
from foldin.experiment import Trained, build_model, report, train
from foldin.models import config_class
from foldin.training import fit

METRICS = ("recall@10", "ndcg@10", "recall@50")
_ODDS = (4, 16, 64)  # factors of odds, in models with a density
FACTORS = {
    **{"ease features": (2, 4, 8), "als features": (2, 4, 8)},
    **{"multvae features": _ODDS, "sasrec features": _ODDS, "two-tower features": _ODDS},
}


def grids(data: str) -> dict[str, Grid]:
    """The settings among which validation chooses, by the name of the model and a word for what is set."""
    ridge = (200.0, 500.0) if data == "ml-1m" else (100.0, 500.0)
    sequences = {"epochs": 60, "max_length": 200 if data == "ml-1m" else 50}
    als = [{"embedding_dim": 128, "regularization": r, "confidence": c} for r, c in ((1.0, 4.0), (10.0, 10.0))]
    return {
        "popularity": [{}],
        "contentknn titles": [{"columns": ("title",), "max_length": n} for n in (None, 5)],
        "contentknn": [{"max_length": n} for n in (None, 5, 20)],
        "ease": [{"regularization": r} for r in ridge],
        "ease features": [
            {"regularization": r, "features": "rows", "features.weight": w, "features.regularization": m}
            for r in ridge
            for w, m in ((1.0, 10.0), (1.0, 50.0), (10.0, 10.0))
        ],
        "als": als,
        "als features": [
            {**one, "features": "regression", "features.regularization": m} for one in als for m in (10.0, 50.0)
        ],
        "multvae": [{"epochs": 100}],
        "multvae features": [{"epochs": 100, "features": "decoder", "features.dropout": p} for p in (0.5, 0.8)],
        "sasrec": [{**sequences}],
        "sasrec features": [{**sequences, "features": "vectors", "features.dropout": p} for p in (0.5, 0.8)],
        "two-tower features": [
            {"epochs": 60, "features": "vectors", "features.dropout": p, "temperature": t}
            for p in (0.5, 0.8)
            for t in (0.1, 0.2)
        ],
        "product features": [{"experts": ("contentknn", "ease"), "experts.1.regularization": r} for r in ridge],
    }


def log_of(name: str, data: Path) -> EventLog:
    """The log with the features of its items."""
    if name == "amazon-beauty":
        folder = data / name
        return Source(path=str(folder / "sequences.txt"), items=str(folder / "items.csv")).log()
    log = Source(path=str(data / name), min_rating=4.0, item_events=5).log()
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64, strict=False)
    return dataclasses.replace(log, items=log.items.with_columns(year=year))


def chosen(cold: Split, warm: Split, name: str, grid: Grid) -> dict[str, Any]:
    """The settings with the best recall@10 on validation: of the hidden items alone, or of items of training without features."""
    if len(grid) == 1:
        return dict(grid[0])
    learns = "features" in name or name.startswith("contentknn")
    split, among = (cold, cold.catalog.cold) if learns else (warm, None)
    found = []
    for settings in grid:
        model = build_model(split.catalog, config_class(name.split(maxsplit=1)[0])().with_settings(settings))
        fit(model, split.train, validation=ValidationMetric(split.validation, "ndcg@100"), patience=15)
        result = evaluate(model, split.validation, metrics=("recall@10",), among=among, likelihood=False)
        found.append(float(result.values("recall@10").mean()))
        print(f"  {name} {settings}: recall@10 {found[-1]:.4f} on validation", file=sys.stderr, flush=True)
    return dict(grid[int(np.argmax(found))])


def with_factor(trained: Trained, factor: float) -> Trained:
    """The same model, which scores items without training events by a factor."""
    config = trained.model.config.with_settings({"features.cold_factor": float(factor)})
    model = build_model(trained.split.catalog, config)
    model.load_state(trained.model.state())
    return dataclasses.replace(trained, model=model)


def views(models: dict[str, Trained], name: str, cold: Split, warm: Split) -> dict[str, tuple[dict[str, Any], Any]]:
    """The three tables of a set, from models of one training."""
    found = {}
    for view, split, among in (
        (f"{name}, hidden items", cold, None),
        (f"{name}, hidden items alone", cold, cold.catalog.cold),
        (f"{name}, items of training", warm, None),
    ):
        evaluated = {
            model: dataclasses.replace(
                one,
                split=split,
                evaluation=evaluate(one.model, split.test, metrics=METRICS, among=among, likelihood=False),
            )
            for model, one in models.items()
            if among is None or " x" not in model  # a factor of all scores changes no list
        }
        content = report(split, evaluated, data=view, seed=0)
        figures = {model: about["metrics"] for model, about in content["models"].items()}
        for model, metrics in figures.items():
            means = "  ".join(f"{metric} {metrics[metric]['mean']:.4f}" for metric in METRICS)
            print(f"{view}: {model} {means}", file=sys.stderr, flush=True)
        found[view] = figures, content
    return found


def main() -> None:
    options = arguments(
        __doc__,
        name="cold",
        folder=Path(__file__).parent,
        sets="ml-1m,amazon-beauty",
        models=",".join(grids("")),
        seeds=1,
        hidden=0.1,
        tiny={
            "models": "popularity,contentknn,ease features,als features,multvae features,sasrec features,two-tower features,"
            "product features",
            "sets": "ml-1m,amazon-beauty",
        },
    )
    for name in options.sets.split(","):
        log = log_of(name, options.data)
        cold, warm = (cold_items(log, hidden=options.hidden, targets=targets) for targets in ("cold", "warm"))
        wanted = options.models.split(",")
        models = {}
        for model, grid in shrunk({one: grid for one, grid in grids(name).items() if one in wanted}, options).items():
            settings = chosen(cold, warm, model, grid)
            print(f"{name}: {model} {settings}", file=sys.stderr, flush=True)
            config = config_class(model.split(maxsplit=1)[0])().with_settings(settings)
            models[model] = train(cold, config, metric="ndcg@100", metrics=METRICS, patience=15)
            for factor in FACTORS.get(model, ()):
                models[f"{model} x{factor}"] = with_factor(models[model], factor)
        keep(options, "cold", views(models, name, cold, warm), {})


if __name__ == "__main__":
    main()
