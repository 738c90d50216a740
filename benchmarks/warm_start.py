"""Training that starts from an earlier model, compared with training from scratch: seconds, and quality on later events.

python benchmarks/warm_start.py                                     Mult-VAE, RecVAE and SASRec on three logs
python benchmarks/warm_start.py --logs ml-1m --models mixture,lda   others; what is kept of the rest stays in the result
python benchmarks/warm_start.py --ends 1,0.95,0.9,0.85              the log up to several shares of its events, each cut anew

A log is cut at 90 and 95 % of its events: by time, or where a set has no times by each user's own order. A first model is trained
on the first 90 % as `foldin fit --all` does: the number of epochs is chosen on held-out users, then everybody trains. On the
first 95 % the model is trained in the same way from scratch, and from the first model as `--from` does: a third of the epochs
that were chosen for that, at the end of its schedules. None of them looks at the last 5 %, on which both are measured.

Known users are folded in from all their earlier events, users whose first event is late from the first half of their late ones.
The targets are the items that follow, without those folded in and those that the models do not have; of more than 2,000 such
users, 2,000 are drawn. Quality is NDCG@100 of all items ranked, by which the number of epochs is chosen, and
`log_likelihood_per_item`, the mean over users of the mean log-likelihood of a target in nats. Differences are warm − scratch,
paired by user, with 95 % intervals for each seed. `pooled` are the differences over all seeds and ends, with
intervals over the users: the mean over the seeds for each user of each end, as if users of several ends were different ones.

`times_faster` is the ratio of the seconds in which everybody trains, `times_faster_with_choosing` counts the choice of the number
of epochs from scratch too.
"""

import math
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, keep_part

from foldin import evaluate, load, read_log
from foldin.data import Catalog, EventLog, HeldOut, catalog_of
from foldin.evaluation import LOG_LIKELIHOOD, bootstrap_interval
from foldin.experiment import Plan, Production, cut_log, latest_cut
from foldin.models import MODELS
from foldin.training import Config, Progress

METRIC = "ndcg@100"
QUALITY = (LOG_LIKELIHOOD, METRIC)
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


def difference(values: np.ndarray) -> dict[str, float | None]:
    """Mean of paired differences, and half the width of its 95 % interval; None if there are too few users."""
    low, high = bootstrap_interval(values)
    ends = (None, None, None) if math.isnan(low) else (low, high, (high - low) / 2)
    return {"difference": float(values.mean()), **dict(zip(("low", "high", "half_width"), ends, strict=True))}


def trained(plan: Plan, log: EventLog) -> tuple[Production, dict[str, Any]]:
    """(a model trained as a plan says, its epochs and seconds)."""
    begun = time.perf_counter()
    epochs = plan.choose_epochs(log)
    chosen = time.perf_counter()
    made = plan.fit(log, epochs)
    fitted = time.perf_counter()
    return made, {"epochs": epochs, "choosing_seconds": chosen - begun, "seconds": fitted - chosen}


def compared(log: EventLog, config: Config, seed: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The trainings on the first 95 % from scratch and from a model of the first 90 %, and their quality on the rest.

    Returns:
        What is kept, and each user's difference by metric.
    """
    early, late = latest_cut(log, "0.1"), latest_cut(log, "0.05")
    train = cut_log(log, late).before
    held, newcomers = held_out(log, late, catalog_of(train.items, train.histories))
    scratch = Plan(config=config, seed=seed, progress=Progress())
    first, about_first = trained(scratch, cut_log(log, early).before)
    found: dict[str, Any] = {"seed": seed, "users": len(held), "newcomers": newcomers, "targets": held.targets.n_events}
    found["first"] = about_first
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        first.save(Path(folder) / "run")
        for name, plan in (("scratch", scratch), ("warm", replace(scratch, start=load(Path(folder) / "run")))):
            made, found[name] = trained(plan, train)
            measured = evaluate(made.model, held, metrics=(METRIC,))
            values[name] = {one: measured.values(one) for one in QUALITY if one in measured.metrics}
    cold, warm = found["scratch"], found["warm"]
    found["times_faster"] = cold["seconds"] / warm["seconds"]
    found["times_faster_with_choosing"] = (cold["choosing_seconds"] + cold["seconds"]) / warm["seconds"]
    paired = {name: of_warm - values["scratch"][name] for name, of_warm in values["warm"].items()}
    for name, of_users in paired.items():
        means = {way: float(values[way][name].mean()) for way in ("warm", "scratch")}
        found[name] = {**means, **difference(of_users)}
    return found, paired


def medians(several: list[dict[str, Any]]) -> dict[str, float]:
    """Times faster, the median over seeds."""
    return {
        name: statistics.median(one[name] for one in several) for name in ("times_faster", "times_faster_with_choosing")
    }


def main() -> None:
    options = arguments(
        __doc__,
        name="warm_start",
        folder=Path(__file__).parent,
        threads=1,
        seeds=3,
        models=MODELS_BY_DEFAULT,
        logs=LOGS,
        ends="1",
        tiny={"seeds": 1, "models": "multvae,mixture"},
    )
    torch.set_num_threads(options.threads)
    for log_name in options.logs.split(","):
        log = log_of(options.data, log_name)
        for name in options.models.split(","):
            settings = SETTINGS[name] | ({"epochs": 2} if options.tiny else {})
            begun, config = time.perf_counter(), MODELS[name]().with_settings(settings)
            several, of_users = [], []
            for end in map(float, options.ends.split(",")):
                until = log if end == 1.0 else cut_log(log, latest_cut(log, f"{1.0 - end:.3f}")).before
                each = [compared(until, config, seed) for seed in range(options.seeds)]
                several += [{"end": end, **found} for found, _ in each]
                of_users.append({one: np.mean([paired[one] for _, paired in each], axis=0) for one in each[0][1]})
            pooled = {one: difference(np.concatenate([users[one] for users in of_users])) for one in of_users[0]}
            faster = medians(several)
            keep_part(
                options.json,
                "warm_start",
                f"{log_name} {name}",
                settings={"model": settings, "seeds": options.seeds, "ends": options.ends},
                figures=several,
                ratios=faster,
                pooled=pooled,
            )
            print(f"{log_name} {name}: {time.perf_counter() - begun:.0f} s, {faster}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
