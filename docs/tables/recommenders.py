"""The tables of recommenders on one log each."""

from typing import Any

from tables.base import SHOWN, cell, load, rows_of
from tables.best import best_in_short, best_of_each_log, best_result

__all__ = [
    "choosing",
    "clean",
    "diffrec",
    "factors",
    "on_each_log",
    "other_protocols",
    "product",
    "quality",
    "quality_in_short",
    "temporal",
]


def _strong() -> dict[str, Any]:
    """Figures of the models on `ml-1m-strong`."""
    figures = dict(load("reproductions/results/multvae.json")["figures"]["ml-1m-strong"])
    figures["recvae"] = load("reproductions/results/recvae.json")["figures"]["ml-1m-strong"]["recvae"]
    figures["product"] = load("reproductions/results/product.json")["figures"]["product"]
    return figures


def quality() -> str:
    """All models on `ml-1m-strong`."""
    figures = _strong()
    order = sorted(figures, key=lambda name: figures[name]["ndcg@100"]["mean"])
    rows = [[name, *(cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in SHOWN)] for name in order]
    return rows_of(["model", *SHOWN.values()], rows)


def quality_in_short() -> str:
    """The best models on `ml-1m-strong`, best first, in three columns."""
    figures = _strong()
    order = sorted(figures, key=lambda name: -figures[name]["ndcg@100"]["mean"])
    shown = {"ndcg@100": "NDCG@100", "recall@20": "recall@20", "perplexity": "perplexity"}
    rows = [
        [f"`{name}`", *(cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in shown)] for name in order
    ]
    return rows_of(["model", *shown.values()], rows)


def choosing() -> str:
    """All models on several logs from one comparison; before it was measured, NDCG@10 from several reproductions."""
    result = best_result()
    return _of_reproductions() if result is None else best_in_short(result)


def on_each_log() -> str:
    """The choice on each log with its reasons, and the table of all models; nothing before they were measured."""
    result = best_result()
    return "" if result is None else best_of_each_log(result)


def _of_reproductions() -> str:
    """NDCG@10 of models on logs of three kinds, the best of each in bold."""
    kept = {
        name: load(f"reproductions/results/{name}.json")["figures"]
        for name in ("multvae", "recvae", "factors", "sasrec")
    }
    beauty = load("reproductions/results/semantic.json")["figures"]["amazon-beauty"]
    strong = "ml-1m-strong"
    logs = {
        "tastes: MovieLens-1M, `strong`": {
            **kept["multvae"][strong],
            "recvae": kept["recvae"][strong]["recvae"],
            "lda": kept["factors"][strong]["lda"],
        },
        "sequences: MovieLens-1M, `last-out`": kept["sasrec"]["ml-1m"],
        "short sequences: Amazon Beauty, `last-out`": {
            **kept["sasrec"]["amazon-beauty"],
            "semantic": beauty["semantic rq-vae own"],
        },
        "few users, by time: MovieLens small, `temporal`": kept["sasrec"]["ml-latest-small"],
    }
    models = ("popularity", "itemknn", "ease", "als", "lda", "multvae", "recvae", "sasrec", "semantic")
    best = {
        log: max(figures[name]["ndcg@10"]["mean"] for name in models if name in figures)
        for log, figures in logs.items()
    }

    def mean_of(log: str, name: str) -> str:
        if name not in logs[log]:
            return "–"
        value = logs[log][name]["ndcg@10"]["mean"]
        return f"**{value:.3f}**" if value == best[log] else f"{value:.3f}"

    table = rows_of(["model", *logs], [[f"`{name}`", *(mean_of(log, name) for log in logs)] for name in models])
    return (
        "NDCG@10 on four logs, each with one protocol and one set of users, the best model of each in bold:\n\n"
        f"{table}\n\nThe columns come from different reproductions, each with its own search; "
        "[the page of results](../results.md) has the intervals, the other metrics and the published figures."
    )


def other_protocols() -> str:
    """All models on `ml-1m`, ratings of 4 and 5, by two protocols."""
    found = load("reproductions/results/multvae.json")["figures"]
    parts = []
    for data, shown in (
        ("ml-1m strong", SHOWN),
        ("ml-1m last-out", {"hit_rate@10": "HR@10", "ndcg@10": "N@10", "mrr@10": "MRR@10", "perplexity": "perplexity"}),
    ):
        figures = found[data]
        key = "ndcg@100" if "ndcg@100" in shown else "ndcg@10"
        order = sorted(figures, key=lambda name: figures[name][key]["mean"])
        rows = [[name, *(cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in shown)] for name in order]
        parts.append(
            f"`{data.split()[0]}`, protocol `{data.split()[1]}`:\n\n" + rows_of(["model", *shown.values()], rows)
        )
    return "\n\n".join(parts)


def clean() -> str:
    """RecVAE beside Mult-VAE and EASE on the split published with DiffRec."""
    result = load("reproductions/results/recvae.json")
    names = ("recall_all@10", "recall_all@20", "ndcg@10", "ndcg@20")
    paper = result["paper"]["diffrec-ml-1m-clean"]["multvae"]
    rows = [
        [model, *(cell(about[m], 4) for m in names)]
        for model, about in result["figures"]["diffrec-ml-1m-clean"].items()
    ]
    rows.append(["multvae, as published", *(f"{paper[m]:.4f}" for m in names)])
    return rows_of(["model", "R@10", "R@20", "N@10", "N@20"], rows)


def factors() -> str:
    """The models of EM and variational inference on `ml-1m-strong`."""
    figures = load("reproductions/results/factors.json")["figures"]["ml-1m-strong"]
    order = sorted(figures, key=lambda name: figures[name]["ndcg@100"]["mean"])
    rows = [[name, *(cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in SHOWN)] for name in order]
    return rows_of(["model", *SHOWN.values()], rows)


def temporal() -> str:
    """All models on a split by time."""
    figures = load("reproductions/results/sasrec.json")["figures"]["ml-latest-small"]
    shown = {"ndcg@10": "N@10", "recall@10": "R@10", "recall@20": "R@20", "perplexity": "perplexity"}
    order = sorted(figures, key=lambda name: figures[name]["ndcg@10"]["mean"])
    rows = [[name, *(cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in shown)] for name in order]
    return rows_of(["model", *shown.values()], rows)


def product() -> str:
    """What the product of experts is ahead of, what its weights maximize, and what each of its experts adds."""
    result = load("reproductions/results/product.json")
    ahead = ", ".join(
        _versus(result["tests"], "ndcg@100", "product", one) for one in ("recvae", "edlae", "als", "ease")
    )
    seeds, validation = (
        ", ".join(f"{value:.4f}" for value in result[part]["product"]) for part in ("by_seed", "validation")
    )
    ranked, likely, pair = (
        f"{one['ndcg@100']['mean']:.4f} and {one['perplexity']['mean']:.0f}"
        for one in (result["figures"][name] for name in ("product", "product by likelihood", "recvae × ease"))
    )
    adds = "; ".join(
        f"{one['name']} {one['adds']['mean']:+.3f} nats a held-out item and {one['adds_ndcg']['mean']:+.4f} of NDCG@100"
        for one in result["experts"][0]["experts"]
    )
    return (
        "`product` multiplies two RecVAEs, trained from different initial weights, EDLAE and ALS, with weights that maximize "
        "NDCG@100 of the validation users, who also chose the experts and their settings. By "
        f"NDCG@100 on the test users it is {ahead}; by seed of training it has {seeds}, on the validation users {validation}. "
        f"Its NDCG@100 and perplexity on the test users are {ranked}; with weights that maximize the likelihood of the "
        f"validation users {likely}, and the product of one RecVAE and EASE (λ 300), weighted so, has {pair}. What each expert "
        f"adds to the others (first seed): {adds}. Weights for the list give up likelihood: an expert can lower it and "
        "raise NDCG."
    )


def diffrec() -> str:
    """DiffRec on its own split, test users folded in from training alone and from all their earlier events."""
    result = load("reproductions/results/diffrec.json")
    name = "diffrec-ml-1m-clean"
    figures, paper, later = result["figures"][name], result["paper"][name], result["figures"][f"{name}, fold-in all"]
    shown = {"recall_all@10": "R@10", "recall_all@20": "R@20", "ndcg@10": "N@10", "ndcg@20": "N@20"}
    order = sorted(figures, key=lambda one: figures[one]["recall_all@10"]["mean"])
    rows = [[one, *(cell(figures[one][m], 4) for m in shown), cell(figures[one].get("perplexity"), 0)] for one in order]
    rows += [[f"{one}, as published", *(f"{of[m]:.4f}" for m in shown), "–"] for one, of in paper.items()]
    served = [
        [one, *(cell(later[one][m], 4) for m in shown)]
        for one in sorted(later, key=lambda one: later[one]["recall_all@10"]["mean"])
    ]
    report = result["reports"][name]
    seeds = {one: of["seeds"] for one, of in report["models"].items()}
    earlier = report["earlier"]["models"]
    alone = [one for one in earlier if one not in later]
    kept = f" {', '.join(alone)} are from an earlier run, by the published protocol alone." if alone else ""
    several = [f"{one} ({seeds[one]})" for one in order if seeds[one] > 1]
    versus = lambda a, b: _versus(report["tests"], "recall_all@10", a, b)
    quiet, loud = (
        result["figures"][f"{name}, bound"][noise] for noise in ("noise of the paper", "noise that leaves little")
    )
    return (
        "Test users folded in from their training events alone, as published:\n\n"
        + rows_of(["model", *shown.values(), "perplexity"], rows)
        + "\n\nThe same trained models, test users folded in from all their events before the test, which is what one would "
        "serve (`--fold-in all`):\n\n"
        + rows_of(["model", *shown.values()], served)
        + f"\n\nMeans over seeds of training: {', '.join(several)}; the others are one.{kept} `timed` weighs the newer events of "
        "a history more, of every model alike (`oldest`, tuned on validation); of DiffRec that is `t-diffrec`. By R@10 and the "
        f"published protocol, `ease timed` is {versus('ease timed', 't-diffrec')}, and `als timed` "
        f"{versus('als timed', 't-diffrec')}: what "
        "lifts T-DiffRec over plain models is the order of events, not the diffusion. Plain DiffRec is "
        f"{versus('diffrec', 'ease')}, which takes seconds; it reproduces its authors' code, which run with its own settings and "
        "early stopping gives R@10/R@20/N@10/N@20 .1023/.1741/.0862/.1109, and not the paper. A softmax in place of the squared "
        "error gives a density; its bound as a diffusion over rows of zeros and ones is "
        f"{quiet['bound']['mean']:,.0f} nats a user at the paper's noise, where a step's error counts up to 10⁵ times, and "
        f"{loud['bound']['mean']:,.0f} at noise that leaves little of a history, where log p(x | x₁) is "
        f"{loud['reconstruction']['mean']:,.0f}: true bounds, and loose."
    )


def _versus(tests: list[dict[str, Any]], metric: str, a: str, b: str) -> str:
    """How a stands to b: "ahead of b (p = …)", after Holm."""
    found = next(one for one in tests if one["metric"] == metric and {one["a"], one["b"]} == {a, b})
    ahead = (found["difference"] > 0) == (found["a"] == a)
    if found["p_adjusted"] > 0.05:
        return f"not told apart from {b} (p = {found['p_adjusted']:.2g} after Holm)"
    return f"{'ahead of' if ahead else 'behind'} {b} (p = {found['p_adjusted']:.1g} after Holm)"
