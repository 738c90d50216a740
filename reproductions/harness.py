"""What the reproductions share: settings chosen on validation, several seeds, one report."""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from common import arguments, commit, keep_part, write
from picture_data import pictures_of

from foldin.data import Split
from foldin.evaluation import DEFAULT_METRICS, Evaluation, ValidationMetric, evaluate
from foldin.experiment import Trained, build_model, report, train
from foldin.models import config_class
from foldin.training import fit

__all__ = ["arguments", "keep", "keep_part", "pictures_of", "search", "shrunk", "table", "tables", "write"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


Grid = Sequence[Mapping[str, Any]]


def shrunk(grids: Mapping[str, Grid], options: Namespace) -> dict[str, Grid]:
    """The grids; with `--tiny` the first setting of each alone, for one epoch."""
    if not options.tiny:
        return dict(grids)
    small: dict[str, Grid] = {}
    for name, grid in grids.items():
        fields = config_class(name.split()[0]).__dataclass_fields__
        few = {field: 1 for field in ("epochs", "iterations") if field in fields}
        if grid[0].get("tokens.quantizer") == "rq-vae":
            few["tokens.quantizer.epochs"] = 1
        small[name] = [{**grid[0], **few}]
    return small


def search(
    split: Split, name: str, grid: Grid, metric: str = "ndcg@100"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the settings best on validation, every trial). The test users are not looked at."""
    judge, kind = ValidationMetric(split.validation, metric), config_class(name.split(maxsplit=1)[0])
    trials = []
    for settings in grid:
        start = time.perf_counter()
        model = build_model(split.catalog, kind().with_settings(settings))
        result = fit(model, split.train, validation=judge, patience=15)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        figure = judge(model) if result.best_metric is None else result.best_metric
        trials.append(
            {
                "settings": dict(settings),
                "validation": figure,
                "best_epoch": result.best_epoch,
                "seconds": time.perf_counter() - start,
            }
        )
        _say(f"  {name} {settings}: {metric} {figure:.4f} on validation, {trials[-1]['seconds']:.0f} s")
    best = max(trials, key=lambda trial: trial["validation"])
    return best["settings"], trials


def _over_seeds(runs: Sequence[Trained]) -> Evaluation:
    """Each user's figures, averaged over the seeds of training: intervals and tests are over users."""
    first = runs[0].evaluation
    columns = {name: np.mean([run.evaluation.values(name) for run in runs], axis=0) for name in first.metrics}
    overall = {name: float(np.mean([run.evaluation.overall[name] for run in runs])) for name in first.overall}
    return Evaluation(
        first.per_user.with_columns(**{k: pl.Series(v) for k, v in columns.items()}), overall, first.without_targets
    )


Reported = tuple[dict[str, Any], dict[str, Any]]


def table(
    split: Split,
    data: str,
    grids: Mapping[str, Grid],
    *,
    seeds: int,
    metric: str = "ndcg@100",
    metrics: Sequence[str] = DEFAULT_METRICS,
    every_seed: Sequence[str] = (),
) -> Reported:
    """(model → metric → mean and interval, the whole report): every model at its best setting on validation.

    A name may have a second word, which tells two settings of one model apart; it has one seed unless in `every_seed`.

    Figures are averages over the seeds of training, each user's first; closed forms have one seed.
    """
    return tables({data: split}, grids, seeds=seeds, metric=metric, metrics=metrics, every_seed=every_seed)[data]


def tables(
    splits: Mapping[str, Split],
    grids: Mapping[str, Grid],
    *,
    seeds: int,
    metric: str = "ndcg@100",
    metrics: Sequence[str] = DEFAULT_METRICS,
    every_seed: Sequence[str] = (),
) -> dict[str, Reported]:
    """As `table`, of one training evaluated on the test users of several splits that share training and validation."""
    data, split = next(iter(splits.items()))
    averaged: dict[str, dict[str, Trained]] = {one: {} for one in splits}
    extra: dict[str, dict[str, dict[str, Any]]] = {one: {} for one in splits}
    for name, grid in grids.items():
        settings, trials = search(split, name, grid, metric) if len(grid) > 1 else (dict(grid[0]), [])
        config = config_class(name.split()[0])().with_settings(settings)
        runs: dict[str, list[Trained]] = {one: [] for one in splits}
        for seed in range(seeds if " " not in name or name in every_seed else 1):
            trained = train(split, config, seed=seed, metric=metric, metrics=metrics, patience=15)
            for one, other in splits.items():
                runs[one].append(trained if one == data else _evaluated(trained, other, metrics))
            if trained.result.best_epoch is None and not name.startswith("als"):
                break
        for one, found in runs.items():
            averaged[one][name] = replace(found[0], evaluation=_over_seeds(found))
            by_seed = {
                m: [float(run.evaluation.values(m).mean()) for run in found] for m in found[0].evaluation.metrics
            }
            extra[one][name] = {"trials": trials, "by_seed": by_seed, "seeds": len(found)}
            _say(
                f"{one}: {name} {settings} "
                + "  ".join(f"{m} {np.mean(by_seed[m]):.4f} ± {np.std(by_seed[m]):.4f}" for m in metrics[:4])
            )
    results: dict[str, Reported] = {}
    for one, of_split in splits.items():
        content = report(of_split, averaged[one], data=one, seed=0)
        for name, more in extra[one].items():
            content["models"][name] |= more
        content["earlier"] = {"models": []}
        results[one] = {name: about["metrics"] for name, about in content["models"].items()}, content
    return results


def _evaluated(trained: Trained, split: Split, metrics: Sequence[str]) -> Trained:
    """The same model on the test users of another split."""
    return replace(
        trained,
        evaluation=evaluate(
            trained.model,
            split.test,
            metrics=metrics,
            train_counts=split.train.counts(),
            train_users=len(split.train),
        ),
    )


def keep(
    options: Namespace, name: str, found: Mapping[str, tuple[dict[str, Any], dict[str, Any]]], paper: dict[str, Any]
) -> None:
    """Write the result; data sets of an earlier run that were not run again stay in it."""
    now, nothing = datetime.now(UTC).isoformat(timespec="seconds"), {"date": None, "figures": {}, "reports": {}}
    before = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else nothing
    figures = before["figures"] | {data: figures for data, (figures, _) in found.items()}
    about = {"commit": commit(), "date": now, "threads": torch.get_num_threads()}
    about |= {"seeds": options.seeds} if hasattr(options, "seeds") else {}
    reports = {data: {"date": before["date"]} | report for data, report in before["reports"].items()}
    reports |= {data: report | about for data, (_, report) in found.items()}
    write(options.json, name, settings={"data sets": sorted(figures)}, figures=figures, paper=paper, reports=reports)
