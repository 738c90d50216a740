"""Fill the figures of the pages in `PAGES` from `results/*.json`, between `<!-- NAME -->` and `<!-- end -->`."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from write_best import best_in_short, best_of_each_log, best_result

ROOT = Path(__file__).resolve().parents[1]
SHOWN = {"recall@20": "R@20", "recall@50": "R@50", "ndcg@100": "N@100", "perplexity": "perplexity"}


def load(path: str) -> dict[str, Any]:
    """A kept result."""
    content: dict[str, Any] = json.loads((ROOT / path).read_text(encoding="utf-8"))
    return content


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _cell(entry: Mapping[str, float | None] | None, places: int = 3) -> str:
    if entry is None or entry["mean"] is None:
        return "–"
    if entry["low"] is None:  # too few users for an interval
        return f"{entry['mean']:.{places}f}"
    return f"{entry['mean']:.{places}f} ({entry['low']:.{places}f}–{entry['high']:.{places}f})"


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
    rows = [[name, *(_cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in SHOWN)] for name in order]
    return _rows(["model", *SHOWN.values()], rows)


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
        rows = [[name, *(_cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in shown)] for name in order]
        parts.append(
            f"`{data.split()[0]}`, protocol `{data.split()[1]}`:\n\n" + _rows(["model", *shown.values()], rows)
        )
    return "\n\n".join(parts)


def clean() -> str:
    """RecVAE beside Mult-VAE and EASE on the split published with DiffRec."""
    result = load("reproductions/results/recvae.json")
    names = ("recall_all@10", "recall_all@20", "ndcg@10", "ndcg@20")
    paper = result["paper"]["diffrec-ml-1m-clean"]["multvae"]
    rows = [
        [model, *(_cell(about[m], 4) for m in names)]
        for model, about in result["figures"]["diffrec-ml-1m-clean"].items()
    ]
    rows.append(["multvae, as published", *(f"{paper[m]:.4f}" for m in names)])
    return _rows(["model", "R@10", "R@20", "N@10", "N@20"], rows)


def factors() -> str:
    """The models of EM and variational inference on `ml-1m-strong`."""
    figures = load("reproductions/results/factors.json")["figures"]["ml-1m-strong"]
    order = sorted(figures, key=lambda name: figures[name]["ndcg@100"]["mean"])
    rows = [[name, *(_cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in SHOWN)] for name in order]
    return _rows(["model", *SHOWN.values()], rows)


def sequences() -> str:
    """SASRec with each loss on the last-out tables, and what was published."""
    result = load("reproductions/results/sasrec.json")
    parts = []
    for data in result["paper"]:
        if data not in result["figures"]:
            continue
        figures, paper = result["figures"][data], result["paper"][data]
        configs = {name: one["config"] for name, one in result["reports"][data]["models"].items()}
        # Binary losses give no density; figures that were kept before foldin knew it are not shown.
        dense = {name: configs[name].get("loss") not in ("bce", "gbce") for name in figures}
        order = sorted(figures, key=lambda name: figures[name]["ndcg@10"]["mean"])
        rows = [
            [
                name,
                *(_cell(figures[name].get(m), 4) for m in ("recall@10", "ndcg@10")),
                _cell(figures[name].get("perplexity") if dense[name] else None, 0),
            ]
            for name in order
        ]
        rows += [
            [f"{name}, as published", f"{one['recall@10']:.4f}", f"{one['ndcg@10']:.4f}", "–"]
            for name, one in paper.items()
        ]
        parts.append(f"`{data}`:\n\n" + _rows(["model", "HR@10", "N@10", "perplexity"], rows))
    return "\n\n".join(parts)


def semantic() -> str:
    """Semantic ids on Amazon Beauty: the table, the names, the items that come later, and the beam."""
    result = load("reproductions/results/semantic.json")
    figures, paper = result["figures"], result["paper"]["amazon-beauty"]
    shown = {"recall@5": "R@5", "ndcg@5": "N@5", "recall@10": "R@10", "ndcg@10": "N@10"}
    found = figures["amazon-beauty"]
    order = sorted(found, key=lambda name: found[name]["ndcg@10"]["mean"])
    rows = [
        [name, *(_cell(found[name][m], 4) for m in shown), _cell(found[name].get("perplexity"), 0)] for name in order
    ]
    rows += [
        [f"{name}, as published", *(f"{one[m]:.4f}" if m in one else "–" for m in shown), "–"]
        for name, one in paper.items()
    ]
    alone = "; ".join(
        f"{title} {one['recall@10']['mean']:.4f} and {one['ndcg@10']['mean']:.4f}"
        for title, one in (
            (title, (found | figures["amazon-beauty, text"])[f"semantic {name}"])
            for name, title in (
                ("log", "the log"),
                ("titles", "TF-IDF of the keywords"),
                ("sentences", "a sentence encoder"),
            )
        )
    )
    named = figures["amazon-beauty, names"]
    use = [
        [
            name,
            f"{one['used']['mean']:.1%}",
            ", ".join(f"{value:.0f}" for value in one["perplexity"]),
            f"{one['collisions']['mean']:.1%}",
            f"{one['seconds']:.0f} s",
        ]
        for name, one in named.items()
    ]
    new, about = figures["amazon-beauty, new"], result["reports"]["amazon-beauty, new"]
    later = [
        [name, *(f"{one[m]['mean']:.4f}" if m in one else "–" for m in ("recall@10", "recall@50"))]
        for name, one in new.items()
    ]
    beam, listed = figures["amazon-beauty, beam"], result["reports"]["amazon-beauty, beam"]
    searched = "; ".join(
        f"{name}: {one['seconds']['mean']:.1f} s, {one['shared']['mean']:.1%} of the exact lists"
        for name, one in beam.items()
    )
    return (
        _rows(["model", *shown.values(), "perplexity"], rows)
        + f"\n\nThe same model by what residual k-means makes its names of, R@10 and N@10: {alone}."
        + "\n\nHow names use their codes (three levels of 256; shared: items whose three codes another has too):\n\n"
        + _rows(["names", "least used level", "perplexity of the codes", "shared", "made in"], use)
        + f"\n\n{about['hidden']} of {about['items']:,} items hidden from training and added by their titles, for the "
        f"{about['users']} users whose next item is one of them, ranked among all items:\n\n"
        + _rows(["", "R@10", "R@50"], later)
        + f"\n\nTop-10 for {listed['users']:,} users, threads: {listed.get('threads', 1)}. {searched}."
    )


def pictures() -> str:
    """The VAE and VQ-VAE on Fashion-MNIST."""
    bound, bits = load("reproductions/results/aevb.json"), load("reproductions/results/vqvae.json")["figures"]
    rows = [
        [latent, *(f"{one[key]:.1f}" for key in ("train", "test", "best_test", "train_minus_test"))]
        for latent, one in bound["figures"].items()
    ]
    report = bound["bound_report"]
    gap, nats = report["gap"], lambda entry: f"{entry['per_picture']:.1f}"
    vq = bits["vqvae"]["test"]
    other = [
        ["VQ-VAE, convolutions, and its prior", vq["bits_per_dimension"], vq["reconstruction"], vq["codes"]],
        *(
            [
                f"VAE, perceptrons, {name.split()[1]} dimensions",
                *(one[k] for k in ("bits_per_dimension", "reconstruction", "kl")),
            ]
            for name, one in bits.items()
            if name.startswith("vae")
        ),
    ]
    return (
        f"The bound of a VAE after {bound['settings']['samples']:,} training samples, binarized pictures, nats a picture:\n\n"
        + _rows(["N_z", "training", "test", "best test", "difference"], rows)
        + f"\n\nOf N_z = 20 on {report['pictures']} test pictures: ELBO {nats(report['bound']['elbo'])}, IWAE with k = 500 "
        f"{nats(report['iwae']['500'])}, "
        + _gap_in_words(gap, nats)
        + _annealed_in_words(report, nats)
        + "\n\nBits per dimension of test pictures with 256 gray levels (discretized logistic; the codes of VQ-VAE at the "
        "price of its prior):\n\n"
        + _rows(
            ["", "in all", "reconstruction", "codes or KL"], [[one[0], *(f"{v:.3f}" for v in one[1:])] for one in other]
        )
        + f"\n\nOf the 512 codes {bits['vqvae']['used'][0]:.0%} are used, with perplexity {bits['vqvae']['perplexity'][0]:.0f}."
        + _dynamic()
    )


def _dynamic() -> str:
    """The likelihood of VAEs whose pictures are binarized anew in every step, beside the published figures."""
    kept = load("reproductions/results/vae_likelihood.json")
    settings, paper = kept["settings"], kept["paper"]
    rows = [
        [
            name,
            f"{one['nll']:.2f} ± {one['nll_se']:.2f}",
            f"{one['negative_elbo']:.2f}",
            f"{paper[name]:.2f}",
            str(one["epochs"]),
        ]
        for name, one in kept["figures"].items()
    ]
    return (
        "\n\nVAEs with 40 latent dimensions and dynamic binarization: an upper bound on −log p(x), nats per test picture, by "
        f"{settings['draws']:,} importance-weighted draws (± its standard error over pictures), beside the published figures "
        "(norouzi2020, table 2), for which the networks were trained until the bound stopped rising:\n\n"
        + _rows(["prior", "IWAE bound", "negative ELBO", "published", "epochs"], rows)
    )


def _gap_in_words(gap: dict[str, Any], nats: Callable[[Mapping[str, float]], str]) -> str:
    """The best bound and the parts of the gap."""
    return (
        f"the best bound on log p(x) {nats(gap['best_bound'])}; of the gap at least {nats(gap['amortization_at_least'])} nats "
        f"are the encoder's, and about {nats(gap['approximation_estimate'])} the Gaussian's."
    )


def _annealed_in_words(report: dict[str, Any], nats: Callable[[Mapping[str, float]], str]) -> str:
    """What annealed importance sampling says, where it was run."""
    if "annealed" not in report:
        return ""
    annealed = report["annealed"]
    made = annealed["simulated"]
    bracket = (
        f"; of as many simulated ones log p(x) is between {nats(made['lower'])} and {nats(made['upper'])}"
        if made
        else ""
    )
    return (
        f" Annealed importance sampling on {annealed['rows']} of them, {annealed['temperatures']} temperatures: at least "
        f"{nats(annealed['lower'])} (the best bound of these {nats(annealed['best_bound'])}){bracket}."
    )


def ddpm() -> str:
    """Diffusion on Fashion-MNIST: bits per dimension, and quality by the number of steps."""
    result = load("reproductions/results/ddpm.json")
    figures = result["figures"]
    own, distances = figures["ddpm"], figures["frechet"]
    steps = result["settings"]["steps"].split(",")
    rows = [
        [name, *(f"{one[n]:.1f}" if n in one else "–" for n in steps)]
        for name, one in distances.items()
        if isinstance(one, dict)
    ]
    return (
        f"Fréchet distance of {result['settings']['drawn']} draws to the test pictures, by steps (as many training pictures: "
        f"{distances['training pictures']:.1f}):\n\n"
        + _rows(["sampler", *(f"{int(n):,}" for n in steps)], rows)
        + f"\n\nBits per dimension of {result['settings']['bounded']} test pictures, by the bound: "
        f"{own['bits_per_dimension']:.2f} (steps {own['steps']:.2f}, last step {own['reconstruction']:.2f}, prior "
        f"{own['prior']:.4f}). In the same run, trained for a shorter time than above, the VAE "
        f"{figures['vae']['bits_per_dimension']:.2f} and VQ-VAE {figures['vqvae']['bits_per_dimension']:.2f}: as "
        "in the paper, L_simple is for pictures that look right, not for bits."
    )


def diffrec() -> str:
    """DiffRec on its own split, test users folded in from training alone and from all their earlier events."""
    result = load("reproductions/results/diffrec.json")
    name = "diffrec-ml-1m-clean"
    figures, paper, later = result["figures"][name], result["paper"][name], result["figures"][f"{name}, fold-in all"]
    shown = {"recall_all@10": "R@10", "recall_all@20": "R@20", "ndcg@10": "N@10", "ndcg@20": "N@20"}
    order = sorted(figures, key=lambda one: figures[one]["recall_all@10"]["mean"])
    rows = [
        [one, *(_cell(figures[one][m], 4) for m in shown), _cell(figures[one].get("perplexity"), 0)] for one in order
    ]
    rows += [[f"{one}, as published", *(f"{of[m]:.4f}" for m in shown), "–"] for one, of in paper.items()]
    served = [
        [one, *(_cell(later[one][m], 4) for m in shown)]
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
        + _rows(["model", *shown.values(), "perplexity"], rows)
        + "\n\nThe same trained models, test users folded in from all their events before the test, which is what one would "
        "serve (`--fold-in all`):\n\n"
        + _rows(["model", *shown.values()], served)
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


def served() -> str:
    """The service under load and under faults."""
    result, faults = load("benchmarks/results/serve_load.json"), load("benchmarks/results/serve_faults.json")["figures"]
    ours, soak = result["figures"]["ours"], result["figures"]["soak"]
    kills = ", ".join(
        f"{faults[name]['acknowledged_events']:,} acknowledged events on {title}"
        for name, title in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL"))
        if name in faults
    )
    return (
        f"A RecVAE of MovieLens-1M, 64 clients on the same two cores, histories of 50: {ours['per_second']:,.0f} lists a second, "
        f"p50 {ours['p50_ms']:.0f} ms, p99 {ours['p99_ms']:.0f} ms; {result['ratios']['bare']:.2f} of a bare FastAPI application "
        f"that parses and returns as much. In {soak['seconds'] / 60:.0f} minutes of it, {soak['requests']:,} lists beside other "
        f"work on these cores, its memory went from {soak['resident_mb'][0]:.0f} to {soak['resident_mb'][-1]:.0f} MB. "
        f"SIGKILL under write load, {faults['sqlite']['kills']} times on each database: "
        f"{kills}, none lost, none doubled. {faults['hypothesis']['requests']:,} requests of a fuzzer without a 500."
    )


def temporal() -> str:
    """All models on a split by time."""
    figures = load("reproductions/results/sasrec.json")["figures"]["ml-latest-small"]
    shown = {"ndcg@10": "N@10", "recall@10": "R@10", "recall@20": "R@20", "perplexity": "perplexity"}
    order = sorted(figures, key=lambda name: figures[name]["ndcg@10"]["mean"])
    rows = [[name, *(_cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in shown)] for name in order]
    return _rows(["model", *shown.values()], rows)


def _over_rounds(aevb: dict[str, Any], name: str) -> str:
    """The median of the ratios to pythae round by round, and their quartiles."""
    low, high = aevb["figures"]["ratio_quartiles"][f"{name}, pythae"]
    return f"{aevb['ratios'][f'{name}, pythae']:.1f}× ({low:.1f}–{high:.1f})"


def speed() -> str:
    """foldin against its peers, each pair in one run."""
    epoch, rec = load("benchmarks/results/multvae_epoch.json"), load("benchmarks/results/recvae_epoch.json")
    quick, lists = load("benchmarks/results/multvae_quality_time.json"), load("benchmarks/results/recommend_all.json")
    read, sas = load("benchmarks/results/read_log.json"), load("benchmarks/results/sasrec_epoch.json")

    def s(value: float) -> str:
        return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"

    gauss, bayes, lda, hpf = (
        load(f"benchmarks/results/{name}.json")
        for name in ("gaussian_mixture", "variational_mixture", "lda", "poisson")
    )
    e, r, q, m, d, t = (one["figures"] for one in (epoch, rec, quick, lists, read, sas))
    vq, aevb = load("benchmarks/results/quantize.json"), load("benchmarks/results/aevb.json")
    # Without instructions for it, bfloat16 is far slower than float32.
    emulated = (
        "" if aevb["ratios"]["bfloat16, pythae"] > aevb["ratios"]["ours, pythae"] else ", emulated on this processor"
    )
    diffused, sampler = load("benchmarks/results/diffrec_epoch.json"), load("benchmarks/results/ddim.json")
    dif = diffused["figures"]
    g, b, a, h = (one["figures"] for one in (gauss, bayes, lda, hpf))
    rows = [
        [
            "an epoch of Mult-VAE, ML-20M-shaped log",
            s(e["seconds_per_epoch"]["ours"]),
            f"dense PyTorch {s(e['seconds_per_epoch']['dense'])}",
            f"{epoch['ratios']['dense']:.1f}×",
        ],
        ["", "", f"Cornac VAECF {s(e['seconds_per_epoch']['cornac'])}", f"{epoch['ratios']['cornac']:.1f}×"],
        [
            "an outer epoch of RecVAE, the same log",
            s(r["seconds_per_epoch"]["ours"]),
            f"dense PyTorch {s(r['seconds_per_epoch']['dense'])}",
            f"{rec['ratios']['dense']:.1f}×",
        ],
        [
            "Mult-VAE to the dense one's best N@100, `ml-1m-strong`",
            s(q["seconds"]["quick"]),
            f"dense PyTorch {s(q['seconds']['dense'])}",
            f"{quick['ratios']['dense']:.1f}×",
        ],
        [
            "top-100 for 116,677 users × 20,108 items (Mult-VAE)",
            s(m["seconds"]["ours"]),
            f"implicit, 128 factors {s(m['seconds']['implicit'])}",
            f"{lists['ratios']['implicit']:.1f}×",
        ],
        *(
            [
                f"an epoch of SASRec, full softmax, {name}",
                s(t[key]["seconds"]["ours"]),
                f"{peer} {s(t[key]['seconds'][kind])}",
                f"{sas['ratios'][f'{kind}_{key}']:.1f}×",
            ]
            for key, name in (("beauty", "Amazon Beauty, length 50"), ("ml1m", "MovieLens-1M, length 200"))
            for kind, peer in (("rectools", "RecTools' trainer"), ("rectools_fast", "RecTools' fast path"))
        ),
        [
            "SASRec's top-10 for all users of MovieLens-1M",
            s(t["recommend_ml1m"]["ours"]),
            f"RecTools {s(t['recommend_ml1m']['rectools'])}",
            f"{sas['ratios']['rectools_recommend']:.1f}×",
        ],
        [
            "an iteration of EM, Gaussian mixture 200,000 × 16, 10 full",
            f"{g['full']['seconds']['ours'] * 1000:.0f} ms",
            f"scikit-learn {g['full']['seconds']['scikit-learn'] * 1000:.0f} ms, the same likelihood",
            f"{gauss['ratios']['scikit-learn_full']:.1f}×",
        ],
        [
            "a sweep of variational Bayes for that mixture",
            f"{b['full']['seconds']['ours'] * 1000:.0f} ms",
            f"scikit-learn {b['full']['seconds']['scikit-learn'] * 1000:.0f} ms, the same posterior",
            f"{bayes['ratios']['scikit-learn_full']:.1f}×",
        ],
        *(
            [
                f"a pass of LDA {how}, 50 topics, `ml-1m-strong`",
                f"{a[key]['seconds']['ours'] * 1000:.0f} ms, perplexity after 10: {a[key]['test']['ours']['perplexity']:.0f}",
                f"scikit-learn {s(a[key]['seconds']['scikit-learn'])}, {a[key]['test']['scikit-learn']['perplexity']:.0f}",
                f"{lda['ratios'][f'scikit-learn_{key}']:.1f}×",
            ]
            for key, how in (("batch", "in batch"), ("online", "online"))
        ),
        [
            "a pass of Poisson factorization by coordinate ascent, 50 factors",
            f"{h['seconds']['coordinate'] * 1000:.0f} ms",
            f"hpfrec {h['seconds']['hpfrec'] * 1000:.0f} ms",
            f"{hpf['ratios']['hpfrec_coordinate']:.1f}×",
        ],
        *(
            [
                f"a step of a vector quantizer, {label} codes",
                f"{vq['figures'][shape]['seconds']['ours'] * 1000:.0f} ms",
                f"vector-quantize-pytorch {vq['figures'][shape]['seconds']['vector-quantize-pytorch'] * 1000:.0f} ms",
                f"{vq['ratios'][f'vector-quantize-pytorch {shape}']:.1f}×",
            ]
            for label, shape in (
                ("16,384 × 64 → 1,024", "16384x64->1024"),
                ("32,768 × 128 → 512", "32768x128->512"),
            )
        ),
        *(
            [
                label,
                f"{aevb['figures']['samples_per_second'][name]:,.0f} pictures/s",
                f"pythae {aevb['figures']['samples_per_second']['pythae']:,.0f} pictures/s" if name == "ours" else "",
                _over_rounds(aevb, name),
            ]
            for name, label in (
                (
                    "ours",
                    "training the VAE of AEVB, 784–500–20–500–784, batches of 100; by turns, median round (quartiles)",
                ),
                ("bfloat16", f"the same, products in bfloat16{emulated}"),
                ("compiled", f"compiled (a wait of {aevb['figures']['compiler_seconds']['compiled']:.0f} s before)"),
                ("compiled, bfloat16", f"compiled, products in bfloat16{emulated}"),
            )
        ),
        [
            "",
            "",
            f"the products and Adam alone, float32: {aevb['figures']['samples_per_second']['limit']:,.0f} pictures/s",
            f"{aevb['ratios']['ours, limit']:.2f}×",
        ],
        [
            "an epoch of DiffRec, the split published with it",
            f"{dif['diffrec-ml-1m-clean']['seconds']['epoch']['ours'] * 1000:.0f} ms",
            f"dense PyTorch {s(dif['diffrec-ml-1m-clean']['seconds']['epoch']['dense'])}",
            f"{diffused['ratios']['dense epoch diffrec-ml-1m-clean']:.1f}×",
        ],
        [
            "DiffRec's lists for them, 40 reverse steps",
            s(dif["diffrec-ml-1m-clean"]["seconds"]["lists"]["ours"]),
            f"dense PyTorch {s(dif['diffrec-ml-1m-clean']['seconds']['lists']['dense'])}",
            f"{diffused['ratios']['dense lists diffrec-ml-1m-clean']:.1f}×",
        ],
        [
            "DiffRec's lists, 20,108 items",
            f"{dif['ml-20m-shaped']['seconds']['lists']['ours'] * 1000:.0f} ms for {dif['ml-20m-shaped']['listed']}",
            f"dense PyTorch {s(dif['ml-20m-shaped']['seconds']['lists']['dense'])}",
            f"{diffused['ratios']['dense lists ml-20m-shaped']:.1f}×",
        ],
        [
            "DDIM's own time, 50 steps around one product",
            f"{sampler['figures']['one product']['steps_per_second']['ours']:,.0f} steps/s",
            f"diffusers {sampler['figures']['one product']['steps_per_second']['diffusers']:,.0f} steps/s",
            f"{sampler['ratios']['diffusers one product']:.1f}×",
        ],
        [
            "20 million rows of Parquet with text ids → `Histories`",
            s(d["seconds"]["ours"]),
            f"Polars reads and counts them {s(d['seconds']['polars'])}",
            f"{read['ratios']['polars']:.2f}×",
        ],
    ]
    table = _rows(["", "foldin", "peer, same run", "faster"], rows)
    kept = (epoch, rec, lists)
    best, own = (", ".join(f"{one[key]:.2f}" for one in kept) for key in ("limit", "limit_torch"))
    return (
        f"{table}\n\nShare of the machine's limit (the unavoidable products at the rate of its fastest BLAS) of Mult-VAE, RecVAE "
        f"and recommending: {best}; at the rate of PyTorch's own BLAS, which foldin leaves aside on this processor: {own}. "
        f"SASRec, at the faster BLAS: {sas['limits']['beauty']:.2f} (Beauty) and {sas['limits']['ml1m']:.2f} (MovieLens-1M); "
        f"{max(t['beauty']['padding'], t['ml1m']['padding']):.1%} of its tokens are filling, and full softmax over 100,000 "
        f"items takes {t['hundred_thousand_items']['peak_gb']:.2f} GB in all. "
        f"Peak memory of the Mult-VAE epoch {e['peak_gb']['ours']:.2f} GB, of reading {d['peak_gb']['ours']:.2f} GB. "
        f"Two threads; ratios depend on the processor, and [which row is of which](measured.md) differs."
    )


def explained() -> str:
    """The bound reports."""
    figures = load("reproductions/results/explain.json")["figures"]

    def nats(entry: Mapping[str, float]) -> str:
        return f"{entry['per_user']:.1f} ± {entry['per_user_se']:.1f}"

    bounds_only = all("best_bound" in one["bounds"]["gap"] for one in figures.values())

    def of_annealed(pick: Callable[[dict[str, Any]], Mapping[str, float]]) -> Callable[[dict[str, Any]], str]:
        return lambda b: nats(pick(b["annealed"])) if "annealed" in b else "–"

    def parts(b: dict[str, Any]) -> dict[str, Any]:
        found = b["decomposition"]
        one: dict[str, Any] = found[found.get("method", "all")]
        return one

    def weights(b: dict[str, Any], of: str) -> str:
        one = b["reliability"][of]
        median = "∞" if one["k_hat_median"] is None else f"{one['k_hat_median']:.2f}"
        return f"{median}, {one['ess_median']:.0f} of {one['draws']}"

    tightness: list[tuple[str, Callable[[dict[str, Any]], str]]] = (
        [
            ("ELBO with q refined for each user", lambda b: nats(b["gap"]["elbo_refined"])),
            ("best bound on log p(x)", lambda b: nats(b["gap"]["best_bound"])),
            ("gap: amortization, at least", lambda b: nats(b["gap"]["amortization_at_least"])),
            ("gap: approximation, estimate", lambda b: nats(b["gap"]["approximation_estimate"])),
            ("median k̂ and ESS, encoder's q", lambda b: weights(b, "encoder")),
            ("median k̂ and ESS, both q's", lambda b: weights(b, "both")),
            ("annealed: lower bound on some", of_annealed(lambda a: a["lower"])),
            ("annealed: best bound of the same", of_annealed(lambda a: a["best_bound"])),
            ("annealed: lower bound on simulated users", of_annealed(lambda a: a["simulated"]["lower"])),
            ("annealed: upper bound on simulated users", of_annealed(lambda a: a["simulated"]["upper"])),
            ("bound on log p(target half, given the rest)", lambda b: nats(b["fold_in"]["best_bound"])),
            (
                "objective with a prior that sees x: no bound on log p(x)",
                lambda b: nats(b["objective"]["objective"]) if "objective" in b else "–",
            ),
        ]
        if bounds_only
        else [
            ("log p(x), from q refined for each user", lambda b: nats(b["gap"]["log_evidence"])),
            ("gap: amortization", lambda b: nats(b["gap"]["amortization"])),
            ("gap: approximation", lambda b: nats(b["gap"]["approximation"])),
        ]
    )
    lines: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("ELBO, z from N(0, I)" if bounds_only else "ELBO", lambda b: nats(b["bound"]["elbo"])),
        ("reconstruction", lambda b: nats(b["bound"]["reconstruction"])),
        ("KL to N(0, I)" if bounds_only else "KL to the model's own prior", lambda b: nats(b["bound"]["kl"])),
        ("IWAE, k = 5", lambda b: nats(b["iwae"]["5"])),
        ("IWAE, k = 50", lambda b: nats(b["iwae"]["50"])),
        ("IWAE, k = 500", lambda b: nats(b["iwae"]["500"])),
        *tightness,
        ("KL to N(0, I): I(x; z)", lambda b: f"{parts(b)['mutual_information']:.1f}"),
        ("KL to N(0, I): total correlation", lambda b: f"{parts(b)['total_correlation']:.1f}"),
        ("KL to N(0, I): dimension-wise", lambda b: f"{parts(b)['dimension_wise_kl']:.1f}"),
        ("active units", lambda b: f"{b['health']['active_units']} of {b['health']['latent']}"),
        ("effective rank", lambda b: f"{b['health']['effective_rank']:.0f}"),
    ]
    rows = [[name, *(pick(one["bounds"]) for one in figures.values())] for name, pick in lines]
    rows.append(["held-out perplexity", *(f"{one['perplexity']['mean']:.0f}" for one in figures.values())])
    rows.append(["the report took", *(f"{one['seconds']:.0f} s" for one in figures.values())])
    return _rows(["nats per user", *figures], rows)


def quality_in_short() -> str:
    """The best models on `ml-1m-strong`, best first, in three columns."""
    figures = _strong()
    order = sorted(figures, key=lambda name: -figures[name]["ndcg@100"]["mean"])
    shown = {"ndcg@100": "NDCG@100", "recall@20": "recall@20", "perplexity": "perplexity"}
    rows = [
        [f"`{name}`", *(_cell(figures[name].get(m), 0 if m == "perplexity" else 3) for m in shown)] for name in order
    ]
    return _rows(["model", *shown.values()], rows)


def speed_in_short() -> str:
    """One line a subject, from the kept results of the benchmarks."""
    lines = (
        ("an epoch of Mult-VAE, ML-20M-shaped log", "multvae_epoch", "dense", "dense PyTorch"),
        ("an epoch of RecVAE, the same log", "recvae_epoch", "dense", "dense PyTorch"),
        (
            "an epoch of SASRec, full softmax, MovieLens-1M",
            "sasrec_epoch",
            "rectools_fast_ml1m",
            "RecTools, its fast path",
        ),
        ("an epoch of DiffRec", "diffrec_epoch", "dense", "dense PyTorch"),
        ("a pass of LDA in batch", "lda", "scikit-learn_batch", "scikit-learn"),
        ("an iteration of a Gaussian mixture", "gaussian_mixture", "scikit-learn_full", "scikit-learn"),
        ("a pass of Poisson factorization", "poisson", "hpfrec_coordinate", "hpfrec"),
        (
            "a step of a vector quantizer, 32,768 × 128 → 512 codes",
            "quantize",
            "vector-quantize-pytorch 32768x128->512",
            "vector-quantize-pytorch",
        ),
        ("top-100 lists for all users", "recommend_all", "implicit", "implicit, 128 factors"),
    )
    rows = [
        [what, peer, f"{load(f'benchmarks/results/{name}.json')['ratios'][key]:.1f}×"]
        for what, name, key, peer in lines
    ]
    return _rows(["", "peer", "times as fast"], rows)


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

    def cell(log: str, name: str) -> str:
        if name not in logs[log]:
            return "–"
        value = logs[log][name]["ndcg@10"]["mean"]
        return f"**{value:.3f}**" if value == best[log] else f"{value:.3f}"

    table = _rows(["model", *logs], [[f"`{name}`", *(cell(log, name) for log in logs)] for name in models])
    return (
        "NDCG@10 on four logs, each with one protocol and one set of users, the best model of each in bold:\n\n"
        f"{table}\n\nThe columns come from different reproductions, each with its own search; "
        "[the page of results](../results.md) has the intervals, the other metrics and the published figures."
    )


def product() -> str:
    """What the product of RecVAE and EASE is ahead of, and what each of its experts adds."""
    result = load("reproductions/results/product.json")
    ahead = ", ".join(_versus(result["tests"], "ndcg@100", "product", one) for one in ("recvae", "ease", "als"))
    seeds, validation = (
        ", ".join(f"{value:.4f}" for value in result[part]["product"]) for part in ("by_seed", "validation")
    )
    ranking, groups = (
        f"{one['ndcg@100']['mean']:.4f} and {one['perplexity']['mean']:.0f}"
        for one in (result["figures"][name] for name in ("product ndcg", "product groups"))
    )
    adds = "; ".join(
        f"{one['name']} {one['adds']['mean']:.3f} nats a held-out item and {one['adds_ndcg']['mean']:.4f} of NDCG@100"
        for one in result["experts"][0]["experts"]
    )
    return (
        "`product` multiplies RecVAE and EASE with weights that maximize the likelihood of the validation users; EASE's λ of 300 "
        "was given beforehand and not chosen on them. By "
        f"NDCG@100 it is {ahead}; by seed of training it has {seeds}, on the validation users {validation}. With weights by "
        f"NDCG@100 of the same users, NDCG@100 and perplexity are {ranking} on the test users, with weights for three groups "
        f"of history lengths {groups}. What each expert adds to the other (first seed): {adds}."
    )


def against_commit() -> str:
    """The code before its reorganization and after it, by turns."""
    result = load("benchmarks/results/against_commit.json")
    named = {
        "multvae": "an epoch of Mult-VAE",
        "recvae": "an epoch of RecVAE",
        "sasrec": "an epoch of SASRec",
        "service": "a request of the service",
    }
    told = (
        f"{named[name]} {one['ratio']:.3f} ({one['interval'][0]:.3f} to {one['interval'][1]:.3f})"
        for name, one in result["figures"].items()
    )
    return (
        f"Times of the code at `{result['commit']}` over those of `{result['settings']['earlier']}`, before models, trainers and "
        f"rankers were separated, {result['settings']['pairs']} pairs by turns, with 95 % intervals: {'; '.join(told)}."
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "choosing": choosing,
    "on each log": on_each_log,
    "quality in short": quality_in_short,
    "speed in short": speed_in_short,
    "quality": quality,
    "other protocols": other_protocols,
    "clean": clean,
    "factors": factors,
    "sequences": sequences,
    "semantic": semantic,
    "pictures": pictures,
    "ddpm": ddpm,
    "diffrec": diffrec,
    "served": served,
    "temporal": temporal,
    "speed": speed,
    "explained": explained,
    "product": product,
    "against commit": against_commit,
}


PAGES = tuple(
    ROOT / name
    for name in (
        "README.md",
        "README.ko.md",
        "docs/results.md",
        "docs/guide/choosing.md",
    )
)


def filled(text: str) -> str:
    """The text with every section that it has made anew."""
    for name in sections_of(text):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        made = SECTIONS[name]()
        text = re.sub(
            pattern, lambda match, made=made: match.group(1) + made + "\n" + match.group(2), text, flags=re.DOTALL
        )
    return text


def sections_of(text: str) -> list[str]:
    """Names of the sections that a page has."""
    return [name for name in re.findall(r"<!-- (.*?) -->\n", text) if name != "end"]


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
