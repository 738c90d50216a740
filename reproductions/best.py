"""All models on one log after the other: one table a log, in which every row had the same budget of tuning.

python reproductions/best.py                                         five logs, all models
python reproductions/best.py --logs lastfm-hetrec --minutes 5        one log
python reproductions/best.py --models popularity,ease,sasrec,product

Each model is tuned by `foldin.tune` for `--minutes` of training time on `--threads` threads, from its defaults, with the ranges
that it declares, by the log's metric on the validation users. Where a log has an order of events, `oldest`, the weight of the
oldest event of a history, is searched too, and where it has times the number of days that popularity counts. The model with the
best settings is trained with `--seeds` seeds, unless two seeds give the same figures; the test users are looked at with these
settings alone, and every row is tested against that of `BASELINES` which is best on the validation users, with Holm's correction.

`product` multiplies two of the other rows with their best settings: the pair whose product is best on the validation users
(`foldin.experiment.best_pairs`). Its time of tuning includes that of both parts.

`--work` (by default build/best) keeps what was measured, row by row and seed by seed: the same command goes on where it was cut
off, and further models and logs are added by further commands. The choice of a model for each log, with its reasons, is that of
`foldin compare`.
"""

import io
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from best_rows import Row, averaged
from harness import arguments, keep

import foldin
from foldin.data import Source, Split
from foldin.errors import CapacityError, DataError, FitError, MissingExtraError
from foldin.evaluation import LOG_LIKELIHOOD, compare_models, holm
from foldin.experiment import TuningTrial, best_pairs, choose_among, measure_log
from foldin.models import config_class
from foldin.training import Config, Range

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ("popularity", "itemknn", "ease", "edlae", "slim", "elsa", "als", "ials")
MODELS = (
    *BASELINES,
    *(
        "mixture",
        "plsa",
        "lda",
        "poisson",
        "multdae",
        "multvae",
        "recvae",
        "diffrec",
        "l-diffrec",
        "sasrec",
        "semantic",
    ),
    "product",
)
# Log → (how it is read, the metric that everything is chosen by, whether the order of events is in it).
LOGS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "ml-1m": ({"protocol": "last-out", "item_events": 5}, "ndcg@10", True),
    "amazon-beauty": ({"protocol": "last-out"}, "ndcg@10", True),
    "lastfm-hetrec": ({"protocol": "strong", "item_events": 5}, "ndcg@100", False),
    "diffrec-ml-1m-clean": ({}, "ndcg@10", True),
    "ml-latest-small": ({"protocol": "temporal"}, "ndcg@10", True),
    "ml-1m-strong": ({}, "ndcg@100", False),
}
DEFAULT_LOGS = "ml-1m,amazon-beauty,lastfm-hetrec,diffrec-ml-1m-clean,ml-latest-small"
METRICS = ("ndcg@10", "ndcg@100", "recall@20", "recall_all@10", "hit_rate@10")
PATIENCE = 15


def said(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def split_of(log: str, data: Path) -> Split:
    path = data / log / "sequences.txt" if log == "amazon-beauty" else data / log
    return Source(path=str(path), **LOGS[log][0]).split()


def budget_of(options: Namespace, log: str, split: Split) -> dict[str, Any]:
    """What all rows of a log have in common."""
    trials = {"trials": options.trials} if options.trials else {}
    return {
        **{"minutes": options.minutes, "threads": options.threads, **trials},
        **{"metric": LOGS[log][1], "data": split.fingerprint()},
    }


def check_budget(row: Row, budget: dict[str, Any]) -> None:
    """Refuse to mix rows of different budgets."""
    kept = row.tuning()
    if kept is not None and kept["budget"] != budget:
        raise SystemExit(f"{row.folder}: its budget is {kept['budget']}, not {budget}; give another folder as --work")


def also_searched(config: Config, split: Split, ordered: bool) -> dict[str, Range]:
    """Settings that let a model use the order and the times of events, as sequence models do."""
    found = {"oldest": Range(0.1, 1.0)} if ordered and hasattr(config, "oldest") else {}
    if split.train.times is not None and hasattr(config, "window_days"):
        found["window_days"] = Range(1.0, 1_000.0, log=True)
    return found


def tuned(row: Row, split: Split, budget: dict[str, Any], ordered: bool, tiny: bool) -> Config:
    """The best settings of a model; if the search ends now, the first seed is kept too."""
    kind = config_class(row.name)
    found = row.tuning()
    if found is not None:
        return kind.from_dict(found["config"])
    config = kind()
    if tiny and hasattr(config, "epochs"):
        config = config.with_settings({"epochs": 1})

    def ended(trial: TuningTrial) -> None:
        value = trial.reason if trial.value is None else f"{trial.value:.4f}"
        said(f"  {row.name} {trial.number} {trial.state} {value} {dict(trial.settings)}")

    result = foldin.tune(
        split,
        config,
        minutes=budget["minutes"],
        trials=budget.get("trials"),
        metric=budget["metric"],
        metrics=METRICS,
        patience=PATIENCE,
        space=also_searched(config, split, ordered),
        folder=row.study,
        ended=ended,
    )
    assert result.trained is not None  # no other process works on the study
    row.keep(0, result.trained, budget["metric"], METRICS)
    content = {
        "budget": budget,
        "config": result.config.as_dict(),
        "settings": {name: entry["best"] for name, entry in result.as_dict()["settings"].items()},
        "trials": len(result.trials),
        "seconds": sum(one.seconds for one in result.trials),
        "validation": result.best.value,
    }
    row.write("tuning.json", content)
    return result.config


def of_pair(row: Row, rows: Sequence[Row], split: Split, budget: dict[str, Any]) -> Config:
    """The product of the two rows whose product is best on the validation users, chosen anew if there are other rows."""
    by_name = {one.name: found for one in rows if (found := one.tuning()) is not None}
    kept = row.tuning()
    if kept is None or kept["among"] != sorted(by_name):
        row.forget()
        best = sorted(by_name, key=lambda name: -by_name[name]["validation"])[:4]
        began = time.perf_counter()
        models = {one.name: foldin.load(one.study / "best").model for one in rows if one.name in best}
        pair = best_pairs(split, models, metric=budget["metric"])[0]
        own = time.perf_counter() - began
        kept = {
            "budget": budget,
            "among": sorted(by_name),
            "settings": {"experts": ",".join(pair.names)},
            "trials": sum(by_name[name]["trials"] for name in pair.names),
            "seconds": own + sum(by_name[name]["seconds"] for name in pair.names),
            "validation": pair.value,
        }
        row.write("tuning.json", kept)
        said(f"  product of {' and '.join(pair.names)}: {pair.value:.4f} on validation")
    names = kept["settings"]["experts"].split(",")
    return foldin.ProductOfExperts(
        experts=tuple(config_class(name).from_dict(by_name[name]["config"]) for name in names)
    )


def measure(row: Row, rows: Sequence[Row], split: Split, log: str, options: Namespace) -> None:
    """Tune a row and train it with each seed, as far as that is not done."""
    budget, ordered = budget_of(options, log, split), LOGS[log][2]
    check_budget(row, budget)
    try:
        if row.name == "product":
            config = of_pair(row, rows, split, budget)
        else:
            config = tuned(row, split, budget, ordered, options.tiny)
        for seed in range(options.seeds):
            if not row.needs(seed):
                continue
            trained = foldin.train(
                split, config, seed=seed, metric=budget["metric"], metrics=METRICS, patience=PATIENCE
            )
            row.keep(seed, trained, budget["metric"], METRICS)
    except (CapacityError, DataError, FitError, MissingExtraError) as error:
        row.leave_out(str(error))
        said(f"{log}: {row.name} is left out: {error}")
        return
    row.leave_out(None)
    values = averaged(row.evaluations("test")).values(budget["metric"])
    said(f"{log}: {row.name} {budget['metric']} {values.mean():.4f} on test, {len(row.seeds())} seeds")


def against_best(rows: Sequence[Row], metric: str) -> tuple[str | None, list[dict[str, Any]]]:
    """(the baseline that is best on the validation users, the paired test of every other row against it on the test users)."""
    validation = {row.name: averaged(row.evaluations("validation")).values(metric).mean() for row in rows}
    known = [name for name in validation if name in BASELINES]
    if not known:
        return None, []
    best = max(known, key=lambda name: validation[name])
    test = {row.name: averaged(row.evaluations("test")) for row in rows}
    found = [compare_models({name: one, best: test[best]}, [metric])[0] for name, one in test.items() if name != best]
    sure = [one for one in found if one["p"] is not None]
    for one, adjusted in zip(sure, holm([one["p"] for one in sure]), strict=True):
        one["p_adjusted"] = adjusted
    return best, found


def collected(
    log: str, split: Split, every: Sequence[Row], options: Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(model → metrics, the report) of all rows that are measured, those of earlier commands included."""
    metric = LOGS[log][1]
    rows = [row for row in every if row.seeds() and row.tuning() is not None]
    figures, about = {}, {}
    for row in rows:
        runs, tuning = row.evaluations("test"), row.tuning()
        summary = averaged(runs).summary()
        kept = (*METRICS, LOG_LIKELIHOOD, "perplexity", "coverage@10")
        figures[row.name] = {name: summary[name] for name in kept if name in summary}
        by_seed = [float(one.values(metric).mean()) for one in runs]
        about[row.name] = {"tuning": tuning, "costs": row.costs(), "by_seed": by_seed}
    baseline, tests = against_best(rows, metric)
    choice = choose_among(measure_log(split, data=log), [row.candidate() for row in rows], metric=metric)
    report = {
        "protocol": split.protocol,
        "metric": metric,
        "budget": budget_of(options, log, split),
        "users": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "rows": about,
        "baseline": baseline,
        "tests": tests,
        "choice": choice.as_dict(),
        "left_out": {row.name: reason for row in every if (reason := row.left_out()) is not None},
    }
    return figures, report


def main() -> None:
    options = arguments(
        __doc__,
        name="best",
        folder=Path(__file__).parent,
        logs=DEFAULT_LOGS,
        models=",".join(MODELS),
        minutes=20.0,
        trials=0,
        seeds=3,
        work="",
        threads=1,
        tiny={"trials": 2, "seeds": 2, "models": "popularity,ease,multdae,product"},
    )
    torch.set_num_threads(options.threads)
    wanted, logs = ([name for name in text.split(",") if name] for text in (options.models, options.logs))
    for name, known in (*((one, MODELS) for one in wanted), *((one, tuple(LOGS)) for one in logs)):
        if name not in known:
            raise SystemExit(f"{name}: one of {', '.join(known)} was expected")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or (scratch if options.tiny else ROOT / "build" / "best"))
        for log in logs:
            split = split_of(log, options.data)
            names = sorted({*wanted, *(path.name for path in (work / log).glob("*"))}, key=MODELS.index)  # product last
            rows = [Row(work / log / name) for name in names]
            for row in rows:
                if row.name in wanted:
                    measure(row, [one for one in rows if one.name != "product"], split, log, options)
                    if any(one.seeds() for one in rows):
                        with redirect_stdout(io.StringIO()):  # kept after each row, and printed at the end
                            keep(options, "best", {log: collected(log, split, rows, options)}, {})
            keep(options, "best", {log: collected(log, split, rows, options)}, {})


if __name__ == "__main__":
    main()
