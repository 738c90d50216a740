"""Kinds of events on `retailrocket-behaviors`, and dislikes on `ml-1m`: each model with and without them, on the same users.

python reproductions/weights.py                       both logs
python reproductions/weights.py --log kinds           the next purchase of each user alone
python reproductions/weights.py --log dislikes        ratings below 3 as dislikes alone

kinds: views, carts and purchases of a user are read, and the next purchase is to be found. `weighted` counts a purchase ten times
and a cart three times as much as a view, `half-life` also halves an event's weight every 30 days, `alike` counts all alike, and
`purchases` reads purchases alone. What a user bought is not listed again; what was only viewed may be. Settings are chosen on
the last purchase in the log of each user with two, given the events before it. Test items that the log does not have are ranked,
and count as missed; the result says how many there are, and the figures also without them.

dislikes: ratings of 4 and more are events, those below 3 dislikes, and those between are left out; users are split (`strong`).
`dislikes` reads dislikes as such, `ignored` does not read them, and `likes` reads them as any other event. In all three no item
that a user rated is listed, and the targets are the same.

Differences are paired over users, with intervals, within each model.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import arguments, search, shrunk, write

from foldin.data import Catalog, EventLog, EventWeights, HeldOut, Histories, Split, catalog_of, read_log, strong
from foldin.evaluation import Evaluation, compare_models, evaluate
from foldin.experiment import build_model
from foldin.models import config_class
from foldin.training import fit

METRICS = ("ndcg@20", "recall@20", "ndcg@100")
DAY = 86_400
RULES = {
    "weighted": EventWeights(kinds={"view": 1.0, "cart": 3.0, "buy": 10.0}),
    "half-life": EventWeights(kinds={"view": 1.0, "cart": 3.0, "buy": 10.0}, half_life=30 * DAY),
    "alike": EventWeights(),
    "purchases": EventWeights(kinds={"view": 0.0, "cart": 0.0}),
}
GRIDS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "kinds": {
        "popularity": [{}],
        "itemknn": [{"shrinkage": shrinkage} for shrinkage in (0.0, 1.0, 10.0, 100.0)],
        "als": [
            {"embedding_dim": 64, "confidence": confidence, "regularization": regularization}
            for confidence in (1.0, 5.0)
            for regularization in (1.0, 10.0, 100.0)
        ],
        "multdae": [{"learning_rate": rate, "batch_size": 100, "epochs": 60} for rate in (3e-4, 1e-3)],
    },
    "dislikes": {
        "ease": [{"regularization": regularization} for regularization in (100.0, 300.0, 700.0, 1500.0)],
        "als": [
            {"embedding_dim": 128, "confidence": confidence, "regularization": regularization}
            for confidence in (2.0, 5.0)
            for regularization in (10.0, 30.0)
        ],
        "multvae": [{"beta": beta, "epochs": 120} for beta in (0.2, 0.5)],
    },
}


def plain(histories: Histories) -> Histories:
    """The histories without kinds and values."""
    return replace(histories, kinds=None, values=None)


def shop(data: Path) -> tuple[EventLog, Histories, dict[str, int]]:
    """(the log with the test items that it lacks, each user's test item, how the test items count)."""
    folder = data / "retailrocket-behaviors"
    log = read_log(folder / "events.csv", kind="type", repeats="first-of-kind")
    test = pl.read_csv(folder / "test.csv").with_columns(pl.col("user", "item").cast(pl.String))
    known = log.items["item"]
    wanted = pl.DataFrame({"user": log.users}).join(test, on="user", how="left", maintain_order="left")["item"]
    new = wanted.filter(~wanted.is_in(known.to_list()) & wanted.is_not_null()).unique().sort()
    items = pl.concat([known, new])
    places = Catalog.from_ids(items.to_list()).places(wanted.fill_null(""))
    targets = Histories.from_lists([[] if at is None else [at] for at in places], items.len())
    wider = replace(log.histories, n_items=items.len())
    purchases = of_kind(wider, log.kinds, "buy")
    before = targets.n_events - targets.without(purchases).n_events
    counts = {
        "test items": targets.n_events,
        "never bought in the log": int((purchases.counts()[targets.items] == 0).sum()),
        "never in the log": int((targets.items >= known.len()).sum()),
        "met by the user before": targets.n_events - targets.without(wider).n_events,
        "bought by the user before (no targets)": before,
    }
    return replace(log, histories=wider, items=pl.DataFrame({"item": items})), targets.without(purchases), counts


def of_kind(histories: Histories, kinds: Sequence[str], kind: str) -> Histories:
    assert histories.kinds is not None
    return histories.where(histories.kinds == kinds.index(kind))


def before_last_purchase(log: EventLog) -> tuple[Histories, Histories]:
    """(each user's events before the last item bought, that item); all events of users who bought fewer than two."""
    h, code = log.histories, log.kinds.index("buy")
    assert h.kinds is not None
    keep, targets = np.ones(h.n_events, dtype=bool), []
    for user in range(len(h)):
        own = slice(int(h.offsets[user]), int(h.offsets[user + 1]))
        items, bought = h.items[own], np.flatnonzero(h.kinds[own] == code)
        if len(np.unique(items[bought])) < 2:
            targets.append([])
            continue
        first = int(np.flatnonzero((items == items[bought[-1]]) & (h.kinds[own] == code))[0])
        keep[own.start + first : own.stop] = False
        targets.append([int(items[bought[-1]])])
    return h.where(keep), Histories.from_lists(targets, h.n_items)


def of_shop(log: EventLog, targets: Histories, rule: EventWeights) -> Split:
    """The split in which events weigh by a rule: validation before the last purchase in the log, the test after it."""
    earlier, last = before_last_purchase(log)
    rule = rule.since(log.histories)
    held = []
    for events, wanted in ((earlier, last), (log.histories, targets)):
        seen = plain(of_kind(events, log.kinds, "buy"))
        fold_in = plain(rule.applied(events, log.kinds))
        held.append(HeldOut(fold_in=fold_in, targets=wanted.without(seen), users=log.users, seen=seen))
    train = plain(rule.applied(earlier, log.kinds))
    return Split(
        train=train,
        train_users=log.users,
        validation=held[0],
        test=held[1],
        catalog=catalog_of(log.items, train),
        protocol="given",
        seed=None,
        report=log.report,
    )


def of_ratings(split: Split, arm: str) -> Split:
    """The split in which dislikes are read as such, are not read, or are read as any other event."""

    def read(histories: Histories) -> Histories:
        if arm == "dislikes" or histories.dislikes is None:
            return plain(histories)
        likes = plain(replace(histories, dislikes=None))
        return likes if arm == "ignored" else likes.followed_by(unweighted(histories.dislikes))

    def held(one: HeldOut) -> HeldOut:
        rated = plain(replace(one.fold_in, dislikes=None))
        if one.fold_in.dislikes is not None:
            rated = rated.followed_by(unweighted(one.fold_in.dislikes))
        return HeldOut(fold_in=read(one.fold_in), targets=one.targets, users=one.users, seen=rated)

    return replace(split, train=read(split.train), validation=held(split.validation), test=held(split.test))


def unweighted(histories: Histories) -> Histories:
    return replace(plain(histories), weights=None)


def measured(
    split: Split, name: str, grid: Sequence[Mapping[str, Any]], *, again: bool
) -> tuple[Evaluation, dict[str, Any]]:
    """(the evaluation of a model on the test users, its settings and trials), with settings chosen on the validation users.

    Args:
        again: whether the model is trained again on the events that the test users are folded in from.
    """
    best, trials = search(split, name, grid, "ndcg@20")
    epochs = next(trial["best_epoch"] for trial in trials if trial["settings"] == best)
    model = build_model(split.catalog, config_class(name)().with_settings(best))
    fit(model, split.test.fold_in if again else split.train, epochs=epochs)
    found = evaluate(model, split.test, metrics=METRICS)
    line = "  ".join(f"{metric} {found.values(metric).mean():.4f}" for metric in METRICS)
    print(f"{name} {best}: test {line}", file=sys.stderr, flush=True)
    return found, {"settings": best, "trials": trials}


def compared(options: Namespace, log: str, arms: Mapping[str, Split], models: Sequence[str]) -> dict[str, Any]:
    """Figures of every model in every arm, and their paired differences within each model."""
    grids = {name: grid for name, grid in shrunk(GRIDS[log], options).items() if name in models}
    figures: dict[str, Any] = {}
    tests, chosen, kept = [], {}, {}
    for name, grid in grids.items():
        found = {}
        for arm, split in arms.items():
            found[f"{name} {arm}"], chosen[f"{name} {arm}"] = measured(split, name, grid, again=log == "kinds")
        tests += compare_models(found, METRICS)
        figures |= {one: evaluation.summary() for one, evaluation in found.items()}
        kept |= found
    return {"figures": figures, "tests": tests, "chosen": chosen, "evaluations": kept}


def kinds(options: Namespace, models: Sequence[str]) -> dict[str, Any]:
    """The next purchase: every rule of weights, and the figures without the test items that the log does not have."""
    log, targets, counts = shop(options.data)
    for what, count in counts.items():
        print(f"{what}: {count:,}", file=sys.stderr, flush=True)
    found = compared(options, "kinds", {arm: of_shop(log, targets, rule) for arm, rule in RULES.items()}, models)
    there = log.histories.counts() > 0
    users = log.users.gather(np.flatnonzero([there[targets.of(u)].any() for u in range(len(targets))]))
    in_log = {
        name: {
            metric: float(one.per_user.filter(pl.col("user").is_in(users.to_list()))[metric].mean())
            for metric in METRICS
        }
        for name, one in found.pop("evaluations").items()
    }
    return {**found, "test items": counts, "without items that the log lacks": in_log}


def dislikes(options: Namespace, models: Sequence[str]) -> dict[str, Any]:
    """Ratings below 3 as dislikes, ignored, and as likes."""
    log = read_log(options.data / "ml-1m", min_rating=4, dislike_below=3)
    split = strong(log, held_out=0.1)
    found = compared(
        options, "dislikes", {arm: of_ratings(split, arm) for arm in ("dislikes", "ignored", "likes")}, models
    )
    found.pop("evaluations")
    against = split.test.fold_in.dislikes
    return {**found, "dislikes of test users": 0 if against is None else against.n_events}


def main() -> None:
    options = arguments(
        __doc__,
        name="weights",
        folder=Path(__file__).parent,
        log="kinds,dislikes",
        models=",".join(sorted({name for grid in GRIDS.values() for name in grid})),
    )
    models, wanted = options.models.split(","), options.log.split(",")
    found = {name: run(options, models) for name, run in (("kinds", kinds), ("dislikes", dislikes)) if name in wanted}
    write(
        options.json,
        "weights",
        settings={"rules": {name: rule.as_dict() for name, rule in RULES.items()}, "grids": GRIDS, "logs": wanted},
        figures={log: one["figures"] for log, one in found.items()},
        **{log: {name: one for name, one in about.items() if name != "figures"} for log, about in found.items()},
    )


if __name__ == "__main__":
    main()
