"""Poisson factorization, 50 factors, on `ml-1m-strong`: foldin and hpfrec after the same number of sweeps.

Seconds a sweep of coordinate ascent (`coordinate`: one update of everything, as hpfrec's; `ours`: foldin's default,
everybody to convergence first), and the ranking of the test users by foldin's fold-in from either's items, with a paired
test. hpfrec runs in a process of its own.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from common import arguments, child, peer_python, save_log, write

from foldin.data import Source
from foldin.evaluation import Evaluation, compare_models, evaluate
from foldin.models import CoordinateAscent, PoissonFactorization, PoissonFactorizationConfig
from foldin.training import fit

FACTORS = 50
METRICS = ("recall@20", "ndcg@100")


def main() -> None:
    options = arguments(__doc__, name="poisson", folder=Path(__file__).parent, threads=2, sweeps=40, tiny={"sweeps": 2})
    torch.set_num_threads(options.threads)
    split = Source(path=str(options.data / "ml-1m-strong")).split()
    evaluations: dict[str, Evaluation] = {}
    seconds: dict[str, float] = {}
    for name, anew in (("ours", True), ("coordinate", False)):
        model = PoissonFactorization(
            len(split.catalog), PoissonFactorizationConfig(n_components=FACTORS, ascent=CoordinateAscent(restart=anew))
        )
        result = fit(model, split.train, epochs=options.sweeps)
        seconds[name] = float(np.median([record.seconds for record in result.records]))
        bounds = [record.terms["ascend/elbo"] for record in result.records]
        assert anew or np.diff(bounds).min() > -1e-9 * abs(bounds[-1]), "the bound fell"
        evaluations[name] = evaluate(model, split.test, metrics=METRICS)
    python = peer_python(options, "sklearn")
    if python is not None:
        with tempfile.TemporaryDirectory() as folder:
            path, out = save_log(Path(folder) / "log.npz", split.train), Path(folder) / "items.npz"
            script = Path(__file__).parent / "hpfrec_poisson.py"
            seconds["hpfrec"] = child(python, script, path, FACTORS, options.sweeps, options.threads, out)["seconds"]
            stored = np.load(out)
        peer = PoissonFactorization(len(split.catalog), PoissonFactorizationConfig(n_components=FACTORS))
        peer.item_shape.copy_(torch.from_numpy(stored["shape"]))
        peer.item_rate.copy_(torch.from_numpy(stored["rate"]))
        evaluations["hpfrec"] = evaluate(peer, split.test, metrics=METRICS)
    test = {
        name: {metric: float(one.values(metric).mean()) for metric in (*METRICS, "log_likelihood_per_item")}
        for name, one in evaluations.items()
    }
    write(
        options.json,
        "poisson",
        settings={"data": "ml-1m-strong", "factors": FACTORS, "sweeps": options.sweeps},
        figures={"seconds": seconds, "test": test, "tests": compare_models(evaluations, METRICS)},
        ratios={
            name: seconds["hpfrec"] / seconds[of]
            for name, of in (("hpfrec", "ours"), ("hpfrec_coordinate", "coordinate"))
            if "hpfrec" in seconds
        },
    )


if __name__ == "__main__":
    main()
