"""Training that starts from an earlier model, compared with training from scratch: seconds until the same quality.

A log is cut at 90 and 95 % of its events: by time, or where a set has no times by each user's own order. A model is trained on
the first 90 %, up to its best epoch on the following 5 %. On the first 95 %, the model is then trained from scratch and from the
earlier model; both are measured after each epoch on the items that known users take in the last 5 % (NDCG@10, all items ranked).
The goal is within .002 of the best epoch from scratch. Measuring is not counted.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, write

from foldin import build_model, fit, read_log
from foldin.data import Catalog, EventLog, catalog_of
from foldin.experiment import Origin, cut_log, latest_cut, score, warm_start
from foldin.models import MODELS, Recommender
from foldin.training import Config, FitResult

CLOSE = 0.002
METRIC = "ndcg@10"
SETTINGS: dict[str, dict[str, Any]] = {
    "multdae": {"latent_dim": 100, "batch_size": 100},
    "multvae": {"hidden_dims": (), "latent_dim": 100, "batch_size": 100, "beta": 0.1},
    "recvae": {"hidden_dim": 200, "latent_dim": 100, "batch_size": 100},
    "sasrec": {"embedding_dim": 64, "max_length": 50},
    "mixture": {"n_components": 50},
    "lda": {"n_components": 50},
    "poisson": {"n_components": 50},
}


def in_own_order(log: EventLog) -> EventLog:
    """The log with times that are the same share of every user's events, so that a cut in time cuts each user's own order."""
    h = log.histories
    place = np.arange(h.n_events) - np.repeat(h.offsets[:-1], h.lengths)
    share = (place + 0.5) / np.repeat(h.lengths, h.lengths)
    return replace(log, histories=replace(h, times=(1e9 * share).astype(np.int64)))


def sets(data: Path) -> dict[str, EventLog]:
    """The logs, by name."""
    return {
        "ml-latest-small": read_log(data / "ml-latest-small" / "ratings.csv", min_rating=4),
        "retailrocket-behaviors": read_log(data / "retailrocket-behaviors" / "events.csv"),
        "ml-1m": in_own_order(read_log(data / "ml-1m", min_rating=4)),
    }


def before(log: EventLog, cut: int) -> EventLog:
    """The events before a time, over the same users and items."""
    assert log.histories.times is not None
    return replace(log, histories=log.histories.where(log.histories.times < cut))


class Curve:
    """Training on the events before an origin: seconds of training, and the metric on its targets, after each epoch."""

    def __init__(self, config: Config, origin: Origin, seed: int, *, epochs: int, patience: int | None) -> None:
        self.config, self.origin, self.seed, self.epochs, self.patience = config, origin, seed, epochs, patience
        self.model: Recommender[Any]

    @property
    def catalog(self) -> Catalog:
        """The items of the model."""
        return catalog_of(self.origin.before.items, self.origin.before.histories)

    def run(self, start: "Curve | None" = None, goal: float | None = None) -> list[tuple[float, float]]:
        """(seconds so far, metric) after each epoch; stops at the goal. What comes before the first epoch is counted."""
        catalog, begun = self.catalog, time.perf_counter()
        self.model = build_model(catalog, self.config, seed=self.seed)
        if start is not None:
            warm_start(self.model, catalog, start)
        built = time.perf_counter() - begun
        judged: list[float] = []

        def metric(model: Recommender[Any]) -> float:
            began = time.perf_counter()
            found = float(score(model, catalog, self.origin, METRIC).values.mean())
            judged.append(time.perf_counter() - began)
            return found

        reached: Callable[[Any], bool] = lambda record: goal is not None and record.metric >= goal
        result: FitResult = fit(
            self.model,
            self.origin.before.histories,
            validation=metric,
            seed=self.seed,
            epochs=self.epochs,
            patience=self.patience,
            until=reached,
        )
        first = result.seconds - sum(judged) - sum(record.seconds for record in result.records)
        seconds = built + np.cumsum([record.seconds for record in result.records]) + max(0.0, first)
        return [(float(at), float(record.metric or 0.0)) for at, record in zip(seconds, result.records, strict=True)]


def compared(log: EventLog, config: Config, seed: int, epochs: int, patience: int) -> dict[str, Any]:
    """Seconds and epochs from scratch and from the earlier model, and the figures that they reach."""
    early, late = latest_cut(log, "0.1"), latest_cut(log, "0.05")
    settings = {"epochs": epochs, "patience": patience}
    earlier = Curve(config, cut_log(before(log, late), early), seed, **settings)
    earlier.run()
    origin = cut_log(log, late)
    scratch = Curve(config, origin, seed, **settings).run()
    goal = max(figure for _, figure in scratch) - CLOSE
    warm = Curve(config, origin, seed, **settings).run(earlier, goal)
    found: dict[str, Any] = {"users": len(origin), "goal": goal}
    for name, curve in (("scratch", scratch), ("warm", warm)):
        at = next((at for at, (_, figure) in enumerate(curve) if figure >= goal), None)
        found[name] = {
            "seconds": None if at is None else curve[at][0],
            "epochs": None if at is None else at + 1,
            "best": max(figure for _, figure in curve),
        }
    return found


def main() -> None:
    options = arguments(
        __doc__,
        name="warm_start",
        folder=Path(__file__).parent,
        threads=1,
        epochs=100,
        patience=10,
        seeds=3,
        models=",".join(SETTINGS),
        logs="",
        tiny={"epochs": 2, "seeds": 1, "models": "multvae,mixture"},
    )
    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for set_name, log in sets(options.data).items():
        if options.logs and set_name not in options.logs.split(","):
            continue
        for name in options.models.split(","):
            config = MODELS[name]().with_settings(SETTINGS[name])
            several = [compared(log, config, seed, options.epochs, options.patience) for seed in range(options.seeds)]
            figures[f"{set_name} {name}"] = several
            times = [(one["scratch"]["seconds"], one["warm"]["seconds"] or float("inf")) for one in several]
            ratio = float(np.median([cold / warm for cold, warm in times]))
            ratios[f"{set_name} {name}"] = ratio
            print(f"{set_name:24} {name:8} {several[0]['users']:6,} users  {ratio:6.1f}×", flush=True)
    write(
        options.json,
        "warm_start",
        settings={"metric": METRIC, "close": CLOSE, "models": SETTINGS, "patience": options.patience},
        figures=figures,
        ratios=ratios,
    )


if __name__ == "__main__":
    main()
