"""LDA, 50 topics, on `ml-1m-strong`: foldin and scikit-learn after the same number of passes, in batch and online.

Seconds a pass, and the held-out perplexity of the test users, both computed by foldin's fold-in from either's topics. Online,
both take batches of 128 users with τ₀ = 10 and κ = .7; foldin's users then go to a tolerance of .01, which is quicker and, so
early, better. Each runs in turn, scikit-learn in a process of its own.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, peer_python, save_log, write

from foldin.data import Source, Split
from foldin.evaluation import evaluate
from foldin.models import LDA, LDAConfig, Online
from foldin.training import fit

TOPICS = 50


def judged(model: LDA, split: Split) -> dict[str, float]:
    table = evaluate(model, split.test).summary()
    return {name: table[name]["mean"] for name in ("perplexity", "ndcg@100", "recall@20")}


def main() -> None:
    options = arguments(__doc__, name="lda", folder=Path(__file__).parent, threads=2, passes=10, tiny={"passes": 2})
    torch.set_num_threads(options.threads)
    split = Source(path=str(options.data / "ml-1m-strong")).split()
    figures: dict[str, dict[str, Any]] = {}
    ratios: dict[str, float] = {}
    python = peer_python(options, "sklearn")
    with tempfile.TemporaryDirectory() as folder:
        path, out = save_log(Path(folder) / "log.npz", split.train), Path(folder) / "topics.npy"
        for method, chosen in (("batch", {}), ("online", {"online": Online(batch_size=128), "local_tolerance": 0.01})):
            model = LDA(len(split.catalog), LDAConfig(n_components=TOPICS, **chosen))
            result = fit(model, split.train, epochs=options.passes)
            mine = float(np.median([record.seconds for record in result.records]))
            figures[method] = {"seconds": {"ours": mine}, "test": {"ours": judged(model, split)}}
            if python is None:
                continue
            script = Path(__file__).parent / "sklearn_lda.py"
            theirs = child(python, script, path, TOPICS, options.passes, method, out)["seconds"]
            other = LDA(len(split.catalog), LDAConfig(n_components=TOPICS))
            other.topics.copy_(torch.from_numpy(np.load(out).T))
            figures[method]["seconds"]["scikit-learn"] = theirs
            figures[method]["test"]["scikit-learn"] = judged(other, split)
            ratios[f"scikit-learn_{method}"] = theirs / mine
    write(
        options.json,
        "lda",
        settings={"data": "ml-1m-strong", "topics": TOPICS, "passes": options.passes},
        figures=figures,
        ratios={**ratios, **({"scikit-learn": min(ratios.values())} if ratios else {})},
    )


if __name__ == "__main__":
    main()
