"""Training that starts from an earlier model, compared with training from scratch: seconds until the same quality.

python benchmarks/warm_start.py                                     Mult-VAE, RecVAE and SASRec on three logs
python benchmarks/warm_start.py --logs ml-1m --models mixture,lda   others; what is kept of the rest stays in the result

A log is cut at 90 and 95 % of its events: by time, or where a set has no times by each user's own order. An earlier model is
trained on the first 90 %, up to its best epoch on the following 5 %. On the first 95 %, the model is then trained from scratch
and from the earlier model, and both are measured after each epoch on the last 5 %. Measuring is not counted in the seconds.

Known users are folded in from all their earlier events, users whose first event is late from the first half of their late ones.
The targets are the items that follow, without those folded in and those that the model does not have; of more than 2,000 such
users, 2,000 are drawn. Quality is `log_likelihood_per_item`, the mean over users of the mean log-likelihood of a target in nats,
and NDCG@100 of all items ranked, by which `foldin fit` chooses the number of epochs and which is the noisier of the two.

`criteria`: seconds until the goal, which is within .01 nats (1 % of perplexity) or .002 of NDCG of the best epoch from scratch.
Both trainings stop by the users on which they are measured, as none can in production, and have the same schedules from their
beginning, so that β of a warm Mult-VAE is near 0 at first. `half_width` is that of the 95 % interval of the paired difference
between the warm model at the goal and the best epoch from scratch: where it is larger than the distance of the goal, equal
quality is not shown, but only reached on these users.

`product`: what `foldin fit --all --from` does, beside what `foldin fit --all` does. From scratch, the number of epochs is chosen
on held-out users of the first 95 %, and everybody trains with it; warm, a third of the epochs at which the earlier model was
best. Neither looks at the users on which it is measured. `times_faster` is the ratio of the seconds in which everybody trains,
`times_faster_with_choosing` counts the choice of the number from scratch too.
"""

import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, keep_part

from foldin import build_model, evaluate, fit, load, read_log
from foldin.data import Catalog, EventLog, HeldOut, catalog_of
from foldin.evaluation import LOG_LIKELIHOOD, Evaluation, bootstrap_interval
from foldin.experiment import Plan, Production, cut_log, latest_cut, warm_start
from foldin.models import MODELS, Recommender
from foldin.training import Config, FitResult, Progress

METRIC = "ndcg@100"
CLOSE = {LOG_LIKELIHOOD: 0.01, METRIC: 0.002}
USERS = 2_000
MODELS_BY_DEFAULT = "multvae,recvae,sasrec"
SETTINGS: dict[str, dict[str, Any]] = {
    "multvae": {"hidden_dims": (), "latent_dim": 64, "batch_size": 100, "beta": 0.1, "epochs": 60},
    "recvae": {"hidden_dim": 128, "latent_dim": 64, "batch_size": 100, "epochs": 30},
    "sasrec": {"embedding_dim": 32, "max_length": 20, "epochs": 30},
    "multdae": {"latent_dim": 64, "batch_size": 100, "epochs": 60},
    "mixture": {"n_components": 50},
    "lda": {"n_components": 50},
    "poisson": {"n_components": 50},
}
LOGS = "ml-latest-small,retailrocket-behaviors,ml-1m"


def log_of(data: Path, name: str) -> EventLog:
    """A log with times; that of `ml-1m` has shares of each user's events, so that a cut in time cuts each user's own order."""
    if name == "ml-latest-small":
        return read_log(data / name / "ratings.csv", min_rating=4)
    if name == "retailrocket-behaviors":
        return read_log(data / name / "events.csv")
    log = read_log(data / name, min_rating=4)
    h = log.histories
    place = np.arange(h.n_events) - np.repeat(h.offsets[:-1], h.lengths)
    draws = np.random.default_rng(0).random(
        len(h)
    )  # of each user, so that short histories are cut by chance at their last event
    share = (place + np.repeat(draws, h.lengths)) / np.repeat(h.lengths, h.lengths)
    return replace(log, histories=replace(h, times=(1e9 * share).astype(np.int64)))


def before(log: EventLog, cut: int) -> EventLog:
    """The events before a time, over the same users and items."""
    assert log.histories.times is not None
    return replace(log, histories=log.histories.where(log.histories.times < cut))


def held_out(log: EventLog, cut: int, catalog: Catalog) -> tuple[HeldOut, int]:
    """(the users who have targets after a cut, over the items of a model; how many of them are new)."""
    h = replace(log.histories, kinds=None, values=None)
    assert h.times is not None
    early, late = h.where(h.times < cut), h.where(h.times >= cut)
    users, place = late.users(), np.arange(late.n_events) - np.repeat(late.offsets[:-1], late.lengths)
    first = (early.lengths[users] == 0) & (2 * (place + 1) <= late.lengths[users])
    seen = early.followed_by(late.where(first))
    targets = late.where(~first).distinct().without(seen)
    places = np.array([-1 if at is None else at for at in catalog.places(log.items["item"])], dtype=np.int64)
    seen, targets = (one.reindex(places, len(catalog)) for one in (seen, targets))
    able = np.flatnonzero((seen.lengths > 0) & (targets.lengths > 0))
    if len(able) > USERS:
        able = np.sort(np.random.default_rng(0).choice(able, USERS, replace=False))
    new = int((early.lengths[able] == 0).sum())
    return HeldOut(fold_in=seen.select(able), targets=targets.select(able), users=log.users.gather(able)), new


@dataclass(frozen=True)
class Epoch:
    """Seconds of training up to the end of an epoch, and each criterion of every user then."""

    seconds: float
    values: dict[str, np.ndarray]

    def mean(self, name: str) -> float:
        return float(self.values[name].mean())


def values_of(found: Evaluation) -> dict[str, np.ndarray]:
    return {name: found.values(name) for name in CLOSE if name in found.metrics}


class Curve:
    """Training on the events before a cut, measured after each epoch on what follows.

    Args:
        log: all events.
        cut: time of the cut.
        patience: number of epochs without a better value of any criterion after which training stops.
    """

    def __init__(self, log: EventLog, cut: int, config: Config, seed: int, patience: int) -> None:
        self.log, self.config, self.seed, self.patience = cut_log(log, cut).before, config, seed, patience
        self.catalog = catalog_of(self.log.items, self.log.histories)
        self.held, self.newcomers = held_out(log, cut, self.catalog)
        self.epochs: list[Epoch] = []
        self.model: Recommender[Any]
        self.result: FitResult

    def best(self, name: str) -> int:
        """Index of the best epoch so far."""
        return int(np.argmax([one.mean(name) for one in self.epochs]))

    def first(self, name: str, goal: float) -> int | None:
        """Index of the first epoch that reached a goal."""
        return next((at for at, one in enumerate(self.epochs) if one.mean(name) >= goal), None)

    def run(self, start: "Curve | None" = None, goals: dict[str, float] | None = None) -> "Curve":
        """Train up to the goals, or until patience ends. The seconds include building the model and starting from another."""
        begun, judged = time.perf_counter(), 0.0
        self.model = build_model(self.catalog, self.config, seed=self.seed)
        if start is not None:
            warm_start(self.model, self.catalog, start)

        def measured(model: Recommender[Any]) -> float:
            nonlocal judged
            at = time.perf_counter()
            values = values_of(evaluate(model, self.held, metrics=(METRIC,)))
            self.epochs.append(Epoch(at - begun - judged, values))
            judged += time.perf_counter() - at
            return self.epochs[-1].mean(METRIC)

        def over(_: object) -> bool:
            stale = len(self.epochs) - 1 - max(map(self.best, self.epochs[0].values)) >= self.patience
            return stale or (
                goals is not None and all(self.first(name, goal) is not None for name, goal in goals.items())
            )

        train, limits = self.log.histories, {"patience": None, "until": over}
        self.result = fit(self.model, train, validation=measured, seed=self.seed, **limits)
        return self


def difference(values: np.ndarray) -> dict[str, float | None]:
    """Mean of paired differences, and half the width of its 95 % interval; None if there are too few users."""
    low, high = bootstrap_interval(values)
    ends = (None, None, None) if math.isnan(low) else (low, high, (high - low) / 2)
    return {"difference": float(values.mean()), **dict(zip(("low", "high", "half_width"), ends, strict=True))}


def by_product(earlier: Curve, scratch: Curve) -> dict[str, Any]:
    """Both trainings of the product on the first 95 %, from scratch and from the earlier model as a run."""
    best = earlier.best(METRIC) + 1
    run = Production("earlier", earlier.model, earlier.result, earlier.log, earlier.seed, {"cold_epochs": best})
    found: dict[str, Any] = {"epochs_of_the_earlier_model": best}
    values = {}
    with tempfile.TemporaryDirectory() as scratch_folder:
        run.save(Path(scratch_folder) / "run")
        for name, start in (("scratch", None), ("warm", load(Path(scratch_folder) / "run"))):
            plan = Plan(config=scratch.config, start=start, seed=scratch.seed, progress=Progress())
            begun = time.perf_counter()
            epochs = plan.choose_epochs(scratch.log)
            chosen = time.perf_counter()
            made = plan.fit(scratch.log, epochs)
            fitted = time.perf_counter()
            found[name] = {"epochs": epochs, "choosing_seconds": chosen - begun, "seconds": fitted - chosen}
            values[name] = values_of(evaluate(made.model, scratch.held, metrics=(METRIC,)))
    cold, warm = found["scratch"], found["warm"]
    found["times_faster"] = cold["seconds"] / warm["seconds"]
    found["times_faster_with_choosing"] = (cold["choosing_seconds"] + cold["seconds"]) / warm["seconds"]
    for name, of_warm in values["warm"].items():
        of_cold = values["scratch"][name]
        found[name] = {"warm": float(of_warm.mean()), "scratch": float(of_cold.mean()), **difference(of_warm - of_cold)}
    return found


def compared(log: EventLog, config: Config, seed: int, patience: int) -> dict[str, Any]:
    """Seconds and epochs from scratch and from the earlier model, and their quality."""
    early, late = latest_cut(log, "0.1"), latest_cut(log, "0.05")
    earlier = Curve(before(log, late), early, config, seed, patience).run()
    scratch = Curve(log, late, config, seed, patience).run()
    best = {name: scratch.epochs[scratch.best(name)] for name in scratch.epochs[0].values}
    goals = {name: one.mean(name) - CLOSE[name] for name, one in best.items()}
    warm = Curve(log, late, config, seed, patience).run(earlier, goals)
    criteria: dict[str, Any] = {}
    for name, goal in goals.items():
        about: dict[str, Any] = {"goal": goal, "best_from_scratch": best[name].mean(name), "times_faster": None}
        at = {which: curve.first(name, goal) for which, curve in (("scratch", scratch), ("warm", warm))}
        for which, curve in (("scratch", scratch), ("warm", warm)):
            here = at[which]
            about[which] = None if here is None else {"epochs": here + 1, "seconds": curve.epochs[here].seconds}
        if at["warm"] is not None:
            reached = warm.epochs[at["warm"]]
            about |= {"warm_at_goal": reached.mean(name), **difference(reached.values[name] - best[name].values[name])}
            about["times_faster"] = about["scratch"]["seconds"] / about["warm"]["seconds"]
        criteria[name] = about
    users = {"users": len(scratch.held), "newcomers": scratch.newcomers, "targets": scratch.held.targets.n_events}
    ran = {"epochs_run": {"earlier": len(earlier.epochs), "scratch": len(scratch.epochs), "warm": len(warm.epochs)}}
    return {"seed": seed, **users, **ran, "criteria": criteria, "product": by_product(earlier, scratch)}


def medians(several: list[dict[str, Any]]) -> dict[str, Any]:
    """Times faster, the median over seeds; of a criterion, None where the warm model did not reach the goal in most of them."""
    found: dict[str, Any] = {}
    for name in several[0]["criteria"]:
        every = [one["criteria"][name]["times_faster"] or 0.0 for one in several]
        found[name] = float(np.median(every)) or None
        found[f"{name}: goal not reached"] = sum(not one for one in every)
    for name in ("times_faster", "times_faster_with_choosing"):
        found[f"product, {name.replace('_', ' ')}"] = float(np.median([one["product"][name] for one in several]))
    return found


def main() -> None:
    options = arguments(
        __doc__,
        name="warm_start",
        folder=Path(__file__).parent,
        threads=1,
        patience=5,
        seeds=3,
        models=MODELS_BY_DEFAULT,
        logs=LOGS,
        tiny={"seeds": 1, "models": "multvae,mixture"},
    )
    torch.set_num_threads(options.threads)
    for log_name in options.logs.split(","):
        log = log_of(options.data, log_name)
        for name in options.models.split(","):
            settings = SETTINGS[name] | ({"epochs": 2} if options.tiny else {})
            begun, config = time.perf_counter(), MODELS[name]().with_settings(settings)
            several = [compared(log, config, seed, options.patience) for seed in range(options.seeds)]
            faster = medians(several)
            keep_part(
                options.json,
                "warm_start",
                f"{log_name} {name}",
                settings={"close": CLOSE, "model": settings, "patience": options.patience, "seeds": options.seeds},
                figures=several,
                ratios=faster,
            )
            print(f"{log_name} {name}: {time.perf_counter() - begun:.0f} s, {faster}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
