"""Kinds of events on `retailrocket-behaviors`, and dislikes on `ml-1m`: each model with and without them, on the same users.

python reproductions/weights.py                       both logs
python reproductions/weights.py --log kinds           the next purchase of each user alone
python reproductions/weights.py --log dislikes        ratings below 3 as dislikes alone
python reproductions/weights.py --models als          one model; what is kept of the others stays in the result

kinds: views, carts and purchases of a user are read, and the next purchase is to be found. `weighted` counts a purchase ten times
and a cart three times as much as a view, `half-life` also halves an event's weight every 30 days, `alike` counts every event as
one, so that an item that was viewed, put into the cart and bought counts three times, `distinct` counts each item of a user once,
as a log does that is read without weights, and `purchases` reads purchases alone. What a user bought is not listed again; what
was only viewed may be. Settings are chosen on the last purchase in the log of each user with two, given the events before it.
Test items that the log does not have are ranked, and count as missed. `groups` has the figures of users by what their test item
is: in the log; in the log and new to the user, or met by the user before, viewed or put into the cart; never bought in the log.

dislikes: ratings of 4 and more are events, those below 3 dislikes, and those between are left out; users are split (`strong`).
`dislikes` reads dislikes as such, `ignored` does not read them, and `likes` reads them as any other event. In all three no item
that a user rated is listed, and the targets are the same.

The grid of a setting is the same in all arms. Since weights of 10 need another regularization than weights of 1, it is extended
beyond its edge as long as the best setting lies there, by up to four values; `at_edge` names the settings that still do, for
which a better value may be outside. A model is trained again with its best setting and number of epochs, its schedules as in the
choice; models that depend on a seed with three of them, and each user's figures are means over the seeds. Differences are paired
over users, with intervals, within each model.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from harness import arguments, keep_part, search, shrunk

from foldin.data import Catalog, EventLog, EventWeights, HeldOut, Histories, Split, catalog_of, read_log, strong
from foldin.evaluation import Evaluation, compare_models, evaluate
from foldin.experiment import build_model
from foldin.models import config_class
from foldin.training import fit

METRICS = ("ndcg@20", "recall@20", "ndcg@100")
CHOSEN_BY = "ndcg@20"
DAY = 86_400
WIDER = 4  # values beyond an edge of a grid, at most
RULES = {
    "weighted": EventWeights(kinds={"view": 1.0, "cart": 3.0, "buy": 10.0}),
    "half-life": EventWeights(kinds={"view": 1.0, "cart": 3.0, "buy": 10.0}, half_life=30 * DAY),
    "alike": EventWeights(),
    "distinct": EventWeights(),
    "purchases": EventWeights(kinds={"view": 0.0, "cart": 0.0}),
}


def grid_of(*, fixed: Mapping[str, Any] | None = None, **values: Sequence[float]) -> list[dict[str, Any]]:
    """Every combination of the values of some settings, with the same others."""
    return [{**(fixed or {}), **dict(zip(values, one, strict=True))} for one in product(*values.values())]


GRIDS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "kinds": {
        "popularity": [{}],
        "itemknn": grid_of(shrinkage=(0.0, 1.0, 10.0, 100.0)),
        "als": grid_of(fixed={"embedding_dim": 32}, confidence=(1.0, 5.0), regularization=(1.0, 10.0, 100.0)),
        "multdae": grid_of(fixed={"latent_dim": 64, "batch_size": 250, "epochs": 30}, learning_rate=(1e-3, 3e-3)),
    },
    "dislikes": {
        "ease": grid_of(regularization=(100.0, 300.0, 900.0)),
        "als": grid_of(fixed={"embedding_dim": 64}, confidence=(2.0, 5.0), regularization=(10.0, 30.0)),
        "multvae": grid_of(fixed={"hidden_dims": (), "batch_size": 250, "epochs": 80}, beta=(0.2, 0.5)),
    },
}


def plain(histories: Histories) -> Histories:
    """The histories without kinds and values."""
    return replace(histories, kinds=None, values=None)


def shop(data: Path) -> tuple[EventLog, Histories, dict[str, int], dict[str, pl.Series]]:
    """(the log with the test items that it lacks, each user's test item, how many there are, users by what theirs is)."""
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
    wanted_again, targets = targets, targets.without(purchases)
    here = targets.users()
    in_log, met = targets.items < known.len(), np.isin(targets.pair_keys(), wider.pair_keys())
    masks = {
        "in the log": in_log,
        "in the log, new to the user": in_log & ~met,
        "met by the user before": met,
        "never bought in the log": purchases.counts()[targets.items] == 0,
    }
    counts = {"test items": targets.n_events, **{name: int(mask.sum()) for name, mask in masks.items()}}
    counts["bought by the user before, and no target"] = wanted_again.n_events - targets.n_events
    groups = {name: log.users.gather(here[mask]) for name, mask in masks.items()}
    return replace(log, histories=wider, items=pl.DataFrame({"item": items})), targets, counts, groups


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


def of_shop(log: EventLog, targets: Histories, arm: str) -> Split:
    """The split in which events weigh by a rule: validation before the last purchase in the log, the test after it."""
    earlier, last = before_last_purchase(log)
    rule = RULES[arm].since(log.histories)

    def read(events: Histories) -> Histories:
        weighed = plain(rule.applied(events, log.kinds))
        return weighed.distinct() if arm == "distinct" else weighed

    held = []
    for events, wanted in ((earlier, last), (log.histories, targets)):
        seen = plain(of_kind(events, log.kinds, "buy"))
        held.append(HeldOut(fold_in=read(events), targets=wanted.without(seen), users=log.users, seen=seen))
    train = read(earlier)
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


def beyond(values: Sequence[float], at: float) -> float | None:
    """The next value beyond an edge of a grid, in its ratio; None for a value within, or beyond which there is none."""
    if len(values) < 2 or at not in (values[0], values[-1]) or at == 0.0:
        return None
    inner = values[1] if at == values[0] else values[-2]
    return float(f"{at * at / inner:.3g}") if inner else 10.0 * at


def chosen(
    split: Split, name: str, grid: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """(the settings best on validation, every trial, the settings whose value lies at the edge of its grid)."""
    best, trials = search(split, name, grid, CHOSEN_BY)
    varied = [field for field, value in grid[0].items() if any(one[field] != value for one in grid)]
    fields = {field: sorted({one[field] for one in grid}) for field in varied}
    for field, values in fields.items():
        for _ in range(WIDER):
            further = beyond(values, best[field])
            if further is None:
                break
            trials += search(split, name, [{**best, field: further}], CHOSEN_BY)[1]
            values[:] = sorted([*values, further])
            best = max(trials, key=lambda trial: trial["validation"])["settings"]
    return best, trials, [field for field, values in fields.items() if beyond(values, best[field]) is not None]


def measured(
    split: Split, name: str, grid: Sequence[Mapping[str, Any]], *, again: bool, seeds: int
) -> tuple[Evaluation, dict[str, Any]]:
    """(the evaluation of a model on the test users, its settings and trials), with settings chosen on the validation users.

    Args:
        again: whether the model is trained again on the events that the test users are folded in from.
        seeds: number of seeds of training, over which each user's figures are averaged; one if training has no randomness.
    """
    settings, trials, at_edge = chosen(split, name, grid)
    best = next(trial["best_epoch"] for trial in trials if trial["settings"] == settings)
    until = None if best is None else lambda record: record.epoch >= best
    found = []
    for seed in range(seeds if best is not None or name == "als" else 1):
        model = build_model(split.catalog, config_class(name)().with_settings(settings), seed=seed)
        fit(model, split.test.fold_in if again else split.train, seed=seed, until=until)
        found.append(evaluate(model, split.test, metrics=METRICS))
    by_seed = {metric: [float(one.values(metric).mean()) for one in found] for metric in METRICS}
    means = {metric: np.mean([one.values(metric) for one in found], axis=0) for metric in found[0].metrics}
    overall = {key: float(np.mean([one.overall[key] for one in found])) for key in found[0].overall}
    table = found[0].per_user.with_columns(**{metric: pl.Series(values) for metric, values in means.items()})
    line = "  ".join(f"{metric} {np.mean(values):.4f}" for metric, values in by_seed.items())
    at_edge += ["epochs"] if best is not None and best == settings.get("epochs") else []
    print(f"{name} {settings}: test {line}; at the edge: {at_edge or None}", file=sys.stderr, flush=True)
    about = {"settings": settings, "at_edge": at_edge, "epochs": best, "by_seed": by_seed, "trials": trials}
    return Evaluation(table, overall, found[0].without_targets), about


def of_users(users: pl.Series, found: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Figures and paired differences of some users alone."""
    some = {arm: one.per_user.filter(pl.col("user").is_in(users.to_list())) for arm, one in found.items()}
    size = len(next(iter(some.values())))
    if not size:
        return {"users": 0}
    several = {arm: Evaluation(table, {}, 0) for arm, table in some.items()}
    figures = {arm: one.summary() for arm, one in several.items()}
    return {"users": size, "figures": figures, "tests": compare_models(several, (CHOSEN_BY,))}


def arms_of(options: Namespace, log: str) -> tuple[dict[str, Split], dict[str, int], dict[str, pl.Series]]:
    """(the split of each arm, counts of test items or dislikes, groups of test users)."""
    if log == "kinds":
        events, targets, counts, groups = shop(options.data)
        return {arm: of_shop(events, targets, arm) for arm in RULES}, counts, groups
    split = strong(read_log(options.data / "ml-1m", min_rating=4, dislike_below=3), held_out=0.1)
    against = split.test.fold_in.dislikes
    arms = {arm: of_ratings(split, arm) for arm in ("dislikes", "ignored", "likes")}
    return arms, {"dislikes of test users": 0 if against is None else against.n_events}, {}


def main() -> None:
    options = arguments(
        __doc__,
        name="weights",
        folder=Path(__file__).parent,
        threads=1,
        log=",".join(GRIDS),
        models=",".join(sorted({name for grid in GRIDS.values() for name in grid})),
        seeds=3,
        tiny={"seeds": 2},
    )
    torch.set_num_threads(options.threads)
    for log in options.log.split(","):
        arms, counts, groups = arms_of(options, log)
        print(counts, file=sys.stderr, flush=True)
        for name, grid in shrunk(GRIDS[log], options).items():
            if name not in options.models.split(","):
                continue
            begun, found, about = time.perf_counter(), {}, {}
            for arm, split in arms.items():
                found[arm], about[arm] = measured(split, name, grid, again=log == "kinds", seeds=options.seeds)
            rules = {"rules": {arm: RULES[arm].as_dict() for arm in arms}} if log == "kinds" else {}
            keep_part(
                options.json,
                "weights",
                f"{log} {name}",
                settings={**rules, "grid": grid, "seeds": options.seeds},
                figures={arm: one.summary() for arm, one in found.items()},
                at_edge={arm: one["at_edge"] for arm, one in about.items()},
                tests=compare_models(found, METRICS),
                groups={group: of_users(users, found) for group, users in groups.items()},
                counts=counts,
                chosen=about,
                seconds=time.perf_counter() - begun,
            )


if __name__ == "__main__":
    main()
