"""Training the VAE of Kingma & Welling (2014) on Fashion-MNIST binarised at 128: foldin, pythae through its own trainer, and the
machine's limit: the same number of steps of nothing but matrix products and Adam, in float32.

foldin twice: in float32, as pythae, and with its products in bfloat16 (`precision`), whose bound is reported in float32 likewise.
784–500–20–500–784, tanh, Bernoulli, Adam of 1e-3, batches of 100, 60,000 pictures. Each trains in a process of its own, in turn.
Times are medians over the epochs of all repeats, without whatever comes before the first epoch; the ELBO of the 10,000 test
pictures at the end, one draw of z each, is averaged over repeats, whose seeds differ.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import ROOT, arguments, write

from foldin.data import load_pictures


def main() -> None:
    options = arguments(__doc__, name="aevb", folder=Path(__file__).parent, threads=2, repeats=3, epochs=5)
    torch.set_num_threads(options.threads)
    pythons = {
        "ours": sys.executable,
        "ours, bfloat16": sys.executable,
        "pythae": str(ROOT / ".bench/pythae/bin/python"),
        "limit": sys.executable,
    }
    found: dict[str, list[dict]] = {name: [] for name in pythons}
    pictures = load_pictures("fashion-mnist")
    with tempfile.TemporaryDirectory() as folder:
        for part, examples in (("train", pictures.train), ("test", pictures.test)):
            np.save(Path(folder) / f"{part}.npy", ((examples.values >= 128).to(torch.uint8) * 255).numpy())
        for seed in range(options.repeats):
            for name, python in pythons.items():
                script = Path(__file__).parent / "pythae_vae.py"
                command = [python, script, name, folder, options.epochs, seed, options.threads]
                run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
                if run.returncode:
                    sys.exit(run.stderr[-2000:])
                found[name].append(json.loads(run.stdout))
                print(name, found[name][-1], file=sys.stderr, flush=True)
    rates = {
        name: len(pictures.train) / float(np.median([one for run in runs for one in run["seconds"]]))
        for name, runs in found.items()
    }
    by_seed = {name: [run["test_elbo"] for run in found[name]] for name in found if name != "limit"}
    write(
        options.json,
        "aevb",
        settings={"epochs": options.epochs, "repeats": options.repeats, "data": "fashion-mnist, binarised at 128"},
        figures={
            "samples_per_second": rates,
            "test_elbo": {name: float(np.mean(bounds)) for name, bounds in by_seed.items()},
            "test_elbo_by_seed": by_seed,
            "seconds_by_epoch": {name: [run["seconds"] for run in runs] for name, runs in found.items()},
        },
        ratios={
            "pythae": rates["ours"] / rates["pythae"],
            "pythae, bfloat16": rates["ours, bfloat16"] / rates["pythae"],
            "limit": rates["ours"] / rates["limit"],
        },
    )


if __name__ == "__main__":
    main()
