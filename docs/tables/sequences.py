"""The tables of SASRec and of semantic ids."""

from tables.base import cell, load, rows_of

__all__ = ["semantic", "sequences"]


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
                *(cell(figures[name].get(m), 4) for m in ("recall@10", "ndcg@10")),
                cell(figures[name].get("perplexity") if dense[name] else None, 0),
            ]
            for name in order
        ]
        rows += [
            [f"{name}, as published", f"{one['recall@10']:.4f}", f"{one['ndcg@10']:.4f}", "–"]
            for name, one in paper.items()
        ]
        parts.append(f"`{data}`:\n\n" + rows_of(["model", "HR@10", "N@10", "perplexity"], rows))
    return "\n\n".join(parts)


def semantic() -> str:
    """Semantic ids on Amazon Beauty: the table, the names, the items that come later, and the beam."""
    result = load("reproductions/results/semantic.json")
    figures, paper = result["figures"], result["paper"]["amazon-beauty"]
    shown = {"recall@5": "R@5", "ndcg@5": "N@5", "recall@10": "R@10", "ndcg@10": "N@10"}
    found = figures["amazon-beauty"]
    order = sorted(found, key=lambda name: found[name]["ndcg@10"]["mean"])
    rows = [[name, *(cell(found[name][m], 4) for m in shown), cell(found[name].get("perplexity"), 0)] for name in order]
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
        rows_of(["model", *shown.values(), "perplexity"], rows)
        + f"\n\nThe same model by what residual k-means makes its names of, R@10 and N@10: {alone}."
        + "\n\nHow names use their codes (three levels of 256; shared: items whose three codes another has too):\n\n"
        + rows_of(["names", "least used level", "perplexity of the codes", "shared"], use)
        + f"\n\n{about['hidden']} of {about['items']:,} items hidden from training and added by their titles, for the "
        f"{about['users']} users whose next item is one of them, ranked among all items:\n\n"
        + rows_of(["", "R@10", "R@50"], later)
        + f"\n\nTop-10 for {listed['users']:,} users, threads: {listed.get('threads', 1)}. {searched}."
    )
