"""The bound report of Mult-VAE and RecVAE on `ml-1m-strong`: where every nat goes, and how long the report takes."""

import time
from pathlib import Path
from typing import Any

import torch
from harness import arguments, write

from foldin.data import Source
from foldin.experiment import train
from foldin.models import config_class

SETTINGS: dict[str, dict[str, Any]] = {
    "multvae": {"hidden_dims": (), "epochs": 150, "batch_size": 250, "beta": 0.05, "dropout": 0.3, "latent_dim": 400},
    "recvae": {"kl_weight.gamma": 0.005, "batch_size": 250, "epochs": 100},
}


def main() -> None:
    options = arguments(
        __doc__,
        name="explain",
        folder=Path(__file__).parent,
        threads=2,
        users=500,
        draws=500,
        annealed=50,
        temperatures=1000,
        tiny={"users": 8, "draws": 5, "annealed": 2, "temperatures": 5},
    )
    torch.set_num_threads(options.threads)
    source = Source(path=str(options.data / "ml-1m-strong"))
    split = source.split()
    figures: dict[str, Any] = {}
    for name, settings in SETTINGS.items():
        epochs = 1 if options.tiny else None
        one = train(split, config_class(name)().with_settings(settings), epochs=epochs, patience=15)
        start = time.perf_counter()
        content = one.explain(
            users=options.users, draws=options.draws, annealed=options.annealed, temperatures=options.temperatures
        ).content
        keys = ("config", "log_likelihood_per_item", "perplexity", "bounds", "calibration")
        figures[name] = {key: content[key] for key in keys} | {"seconds": time.perf_counter() - start}
    write(
        options.json,
        "explain",
        settings={"data": "ml-1m-strong"}
        | {key: getattr(options, key) for key in ("users", "draws", "annealed", "temperatures")},
        figures=figures,
    )


if __name__ == "__main__":
    main()
