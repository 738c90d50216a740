"""SASRec with each mixer of its blocks: Amazon Beauty and MovieLens-1M (last-out).

python reproductions/sequences.py                                                    both logs, three seeds
python reproductions/sequences.py --sets ml-1m --mixers gated --test 0    a part of it, on validation; another command adds to it

Full ranking, seen items excluded. One target a user, so that HR@10 is recall@10. All settings but those of the mixer are those of
`reproductions/sasrec.py`. Validation chooses by NDCG@10: the settings of each mixer with one seed, then the mixer by its
mean over the seeds. The test users are looked at once, at the end: by attention, and by the chosen mixer. What was validated by
earlier commands with as many seeds and the same settings is taken from the result that is there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import arguments, keep, search, shrunk, table
from sasrec import GRIDS as SASREC
from sasrec import METRICS, split_of

from foldin.data import Split
from foldin.evaluation import ValidationMetric
from foldin.experiment import build_model
from foldin.models import SASRecConfig
from foldin.training import fit

# BSARec's by its authors' log, LRURec's by an independent table, the others as measured by eSASRec's authors; on MovieLens-1M in
# another preprocessing.
PAPER = {
    "amazon-beauty": {
        "frequency (BSARec)": {"recall@10": 0.1008, "ndcg@10": 0.0611},
        "recurrence (LRURec)": {"recall@10": 0.0956, "ndcg@10": 0.0572},
        "gated (HSTU)": {"recall@10": 0.0788, "ndcg@10": 0.0439},
        "gated residuals (eSASRec)": {"recall@10": 0.0928, "ndcg@10": 0.0523},
    },
    "ml-1m": {
        "gated (HSTU-large)": {"recall@10": 0.3294, "ndcg@10": 0.1893},
        "gated residuals (eSASRec)": {"recall@10": 0.3133, "ndcg@10": 0.1772},
    },
}
RECIPE: dict[str, dict[str, Any]] = {
    "amazon-beauty": SASREC["amazon-beauty"]["sasrec"][0],
    "ml-1m": SASREC["ml-1m"]["sasrec cropped"][0],
}
# What each changes in the recipe; the first is what the others are compared with.
MIXERS: dict[str, list[dict[str, Any]]] = {
    "attention": [{}],
    "gated-residuals": [{"block": "gated", "expansion": e} for e in (1, 4)],
    "frequency": [
        {"mixer": "frequency", "mixer.alpha": alpha, "mixer.cutoff": cutoff}
        for alpha, cutoff in ((0.7, 3), (0.3, 3), (0.7, 5), (0.3, 5))
    ],
    "recurrence": [{"mixer": "recurrence", "positions": None, "expansion": e} for e in (1, 4)],
    "gated": [{"mixer": "gated", "mixer.feed_forward": forward} for forward in (False, True)],
}
TIMED = {"ml-1m": [{"mixer": "gated", "mixer.feed_forward": forward, "timed": True} for forward in (False, True)]}


def changed(recipe: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with a mixer; without the settings of an option that it replaces."""
    return {**{name: value for name, value in recipe.items() if name.split(".")[0] not in change}, **change}


def grids(name: str, mixers: Sequence[str], epochs: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Settings to try on a log, by `sasrec` and the name of the mixer; for `epochs` instead of those of the recipe, unless 0."""
    recipe = RECIPE[name] | ({"epochs": epochs} if epochs else {})
    changes = {mixer: MIXERS[mixer] + (TIMED.get(name, []) if mixer == "gated" else []) for mixer in mixers}
    return {f"sasrec {mixer}": [changed(recipe, one) for one in grid] for mixer, grid in changes.items()}


def validated(split: Split, settings: Mapping[str, Any], seed: int) -> float:
    """NDCG@10 on the validation users, at the best epoch."""
    model = build_model(split.catalog, SASRecConfig().with_settings(settings), seed=seed)
    found = fit(model, split.train, validation=ValidationMetric(split.validation, "ndcg@10"), patience=15, seed=seed)
    if found.stopped == "interrupted" or found.best_metric is None:
        raise KeyboardInterrupt
    return found.best_metric


def validation_of(split: Split, tried: Mapping[str, Sequence[Mapping[str, Any]]], seeds: int) -> dict[str, Any]:
    """Mixer → its best settings, the trials that chose them, and NDCG@10 on validation for each seed."""
    found: dict[str, Any] = {}
    for name, grid in tried.items():
        settings, trials = search(split, name, grid, "ndcg@10")
        best = max(trial["validation"] for trial in trials)
        by_seed = [best, *(validated(split, settings, seed) for seed in range(1, seeds))]
        found[name] = {"settings": settings, "trials": trials, "by_seed": by_seed, "ndcg@10": float(np.mean(by_seed))}
        print(f"{name}: ndcg@10 {np.mean(by_seed):.4f} ± {np.std(by_seed):.4f} on validation", file=sys.stderr)
    return found


def before(path: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(figures, report) of a log that were kept."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"figures": {}, "reports": {}}
    return content["figures"].get(name, {}), content["reports"].get(name, {})


def validated_before(path: Path, name: str, grids: Mapping[str, Sequence[Any]], seeds: int) -> dict[str, Any]:
    """What an earlier command found on a log: the mixers whose trials were those of today's grids, with as many seeds."""
    found = before(path, name)[1].get("validation", {})
    same = lambda mixer, one: [trial["settings"] for trial in one["trials"]] == list(grids.get(mixer, ()))
    return {mixer: one for mixer, one in found.items() if len(one["by_seed"]) == seeds and same(mixer, one)}


def main() -> None:
    options = arguments(
        __doc__,
        name="sequences",
        folder=Path(__file__).parent,
        sets="amazon-beauty,ml-1m",
        mixers=",".join(MIXERS),
        seeds=3,
        epochs=0,
        test=1,
        tiny={"seeds": 1},
    )
    for name in options.sets.split(","):
        split = split_of(name, options.data)
        every = shrunk(grids(name, list(MIXERS), options.epochs), options)
        validation = validated_before(options.json, name, every, options.seeds)
        asked = [f"sasrec {mixer}" for mixer in options.mixers.split(",")]
        tried = {mixer: every[mixer] for mixer in asked if mixer not in validation}
        for mixer, grid in tried.items():
            validation |= validation_of(split, {mixer: grid}, options.seeds)
            figures, report = before(options.json, name)
            report["validation"] = {**report.get("validation", {}), **validation}
            keep(options, "sequences", {name: (figures, report)}, PAPER)
        if not options.test:
            continue
        every_mixer = {**before(options.json, name)[1].get("validation", {}), **validation}
        best = max(validation, key=lambda mixer: validation[mixer]["ndcg@10"])
        compared = [mixer for mixer in ("sasrec attention", best) if mixer in validation]
        figures, report = table(
            split,
            name,
            {mixer: [validation[mixer]["settings"]] for mixer in compared},
            seeds=options.seeds,
            metric="ndcg@10",
            metrics=METRICS,
            every_seed=compared,
        )
        keep(options, "sequences", {name: (figures, report | {"validation": every_mixer, "chosen": best})}, PAPER)


if __name__ == "__main__":
    main()
