"""The test likelihood of a VAE and of one with a VampPrior on Fashion-MNIST with dynamic binarization, IWAE with 5,000 draws.

Where published figures are comparable: 40 latent dimensions, two gated layers of 300 on either side, Adam of 5e-4, batches
of 100, 500 pseudo-inputs, β rising over the first epochs, the best epoch by the bound on 10,000 training pictures that are held
out. A training picture is drawn anew in black and white each time it is read; the test pictures are drawn once.

The mean of the 5,000-draw bound over all test pictures is that of the 500-draw bound over all of them plus the mean difference of
the two bounds over the first thousand, which has the same expectation at a fifth of the draws.

`--keep FOLDER` saves each trained model there, or reads it from there instead of training it.

Departures from the published training: fewer epochs (theirs goes on until 50 without a better bound), and weights as foldin
begins them.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import arguments, pictures_of, write

from foldin.data import Examples
from foldin.generative import VAE, DynamicBernoulli, VAEConfig, VampPrior, binarize, load_model, save_model
from foldin.inference import iwae_bound, log_normal, reparameterize
from foldin.training import EpochRecord, Progress, RisingOverShare, fit

NETWORK: dict[str, Any] = {
    "hidden_dims": (300, 300),
    "latent_dim": 40,
    "activation": "gated",
    "likelihood": DynamicBernoulli(),
    "learning_rate": 5e-4,
}
MODELS: dict[str, dict[str, Any]] = {
    "normal prior": {},
    "VampPrior": {"prior": VampPrior(n_components=500)},
}
PAPER = {"normal prior": 228.70, "VampPrior": 227.35}  # as tabulated beside the exemplar VAE (norouzi2020, table 2)
ROWS = 4000  # rows of z that are decoded at once


def log_prior(model: VAE, z: torch.Tensor, data: Examples) -> torch.Tensor:
    """log p(z); of a mixture by products in double precision, thousands of draws against hundreds of components at once."""
    if model.prior is None:
        return model.log_prior(z, data)
    log_weights, mu, logvar = (one.double() for one in model.prior.components())
    precision, z = torch.exp(-logvar), z.double()
    forms = z.square() @ precision.T - 2 * z @ (mu * precision).T + (mu.square() * precision + logvar).sum(dim=1)
    return torch.logsumexp(log_weights - 0.5 * (forms + z.shape[1] * math.log(2 * math.pi)), dim=1)


@torch.no_grad()
def bounds(model: VAE, data: Examples, draws: int, generator: torch.Generator) -> np.ndarray:
    """The importance-weighted bound with `draws` draws of each picture, nats."""
    found = []
    step = max(1, ROWS // draws)
    for at in range(0, len(data), step):
        part = data.rows(at, at + step)
        mu, logvar = model.posterior(part)
        weights: list[torch.Tensor] = []
        for first in range(0, draws, ROWS):
            count = min(ROWS, draws - first)
            m, v = mu.repeat(count, 1), logvar.repeat(count, 1)
            many = Examples(part.values.repeat(count, 1, 1))
            z = reparameterize(m, v, generator)
            terms = model.log_likelihood(z, many) + log_prior(model, z, many) - log_normal(z, m, v)
            weights.append(terms.double().view(count, len(part)))
        found.append(iwae_bound(torch.cat(weights)).numpy())
    return np.concatenate(found)


class Said(Progress):
    """A line an epoch."""

    def epoch(self, record: EpochRecord) -> None:
        print(record.epoch, record.terms, record.metric, f"{record.seconds:.1f} s", file=sys.stderr, flush=True)


def main() -> None:
    options = arguments(
        __doc__,
        name="vae_likelihood",
        folder=Path(__file__).parent,
        threads=2,
        epochs=150,
        warm_up=50,
        patience=20,
        models=",".join(MODELS),
        few=500,
        many=5000,
        some=1000,
        keep="",
        tiny={"epochs": 1, "few": 4, "many": 8, "some": 10},
    )
    torch.set_num_threads(options.threads)
    pictures = pictures_of(options)
    once = torch.Generator().manual_seed(0)
    order = torch.randperm(len(pictures.train), generator=once).numpy()
    held = min(10_000, len(order) // 6)
    validation = binarize(pictures.train.select(order[:held]), once)
    test = binarize(pictures.test, once)
    train = pictures.train.select(order[held:])
    figures: dict[str, Any] = {}
    for name in options.models.split(","):
        rising = RisingOverShare(share=min(1.0, options.warm_up / options.epochs))
        config = VAEConfig(**NETWORK, **MODELS[name], epochs=options.epochs, beta_schedule=rising)

        def bound(model: VAE) -> float:
            return float(model.elbo(validation, torch.Generator().manual_seed(1)).bound.double().mean())

        kept = Path(options.keep) / f"{name.replace(' ', '-')}.safetensors" if options.keep else None
        if kept is not None and kept.is_file():
            model, how = load_model(kept), json.loads(kept.with_suffix(".json").read_text(encoding="utf-8"))
            assert isinstance(model, VAE)
        else:
            model = VAE(train.shape, config)
            result = fit(model, train, validation=bound, patience=options.patience, progress=Said())
            how = {"best_epoch": result.best_epoch, "epochs": len(result.records), "seconds": result.seconds}
            if kept is not None:
                save_model(kept, model)
                kept.with_suffix(".json").write_text(json.dumps(how), encoding="utf-8")
        draws = torch.Generator().manual_seed(2)
        few = bounds(model, test, options.few, draws)
        some = test.rows(0, options.some)
        more = bounds(model, some, options.many, draws) - bounds(model, some, options.few, draws)
        elbo = model.elbo(test, draws).bound.double().numpy()
        figures[name] = {
            "nll": float(-few.mean() - more.mean()),
            "nll_se": float(math.hypot(few.std() / math.sqrt(len(few)), more.std() / math.sqrt(len(more)))),
            "nll_few": float(-few.mean()),
            "gain_of_many": float(more.mean()),
            "gain_of_many_se": float(more.std() / math.sqrt(len(more))),
            "negative_elbo": float(-elbo.mean()),
            **how,
        }
        print(name, figures[name], file=sys.stderr, flush=True)
    write(
        options.json,
        "vae_likelihood",
        settings={
            "data": "fashion-mnist, dynamic binarization",
            **NETWORK,
            "likelihood": NETWORK["likelihood"].name,
            "epochs": options.epochs,
            "draws": options.many,
            "few": options.few,
            "some": options.some,
        },
        figures=figures,
        paper=PAPER,
    )


if __name__ == "__main__":
    main()
