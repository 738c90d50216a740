"""Training the VAE of Kingma & Welling (2014) on Fashion-MNIST binarized at 128: foldin, pythae through its own trainer, and the
machine's limit: the same number of steps of nothing but matrix products and Adam, in float32.

foldin four times: in float32, as pythae; with its products in bfloat16 (`precision`), whose bound is told in float32 likewise;
and both again through PyTorch's compiler (`compiled`), the wait for which is in the first epoch and told by itself.
784–500–20–500–784, tanh, Bernoulli, Adam of 1e-3, batches of 100, 60,000 pictures. Each trains in a process of its own and they
take turns, an epoch each, so that what else the machine does falls on all alike. Rates are medians over the epochs of all
repeats but everybody's first; ratios are medians of the ratios round by round, with their quartiles.
The ELBO of the 10,000 test pictures at the end, one draw of z each, is averaged over repeats, whose seeds differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import arguments, peer_python, write
from picture_data import pictures_of


def _by_turns(pythons: dict[str, str], folder: str, options: argparse.Namespace, seed: int) -> dict[str, dict]:
    """Seconds of each epoch and the final bound of each, which train one epoch after the other."""
    script = Path(__file__).parent / "pythae_vae.py"
    running = {}
    for name, python in pythons.items():
        nothing_compiled = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/compiled-{len(running)}-{seed}"}
        command = [python, script, name, folder, options.epochs, seed, options.threads]
        running[name] = subprocess.Popen(
            [str(part) for part in command],
            env=nothing_compiled,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        _line(name, running[name])
    found = {}
    for _ in range(options.epochs):
        for name, process in running.items():
            assert process.stdin is not None
            print("go", file=process.stdin, flush=True)
            found[name] = _line(name, process)  # "ready" for the next, or what it found
    for process in running.values():
        process.communicate()
    return {name: json.loads(line) for name, line in found.items()}


def _line(name: str, process: subprocess.Popen) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit(f"{name} ended with {process.wait()}")
    return line


def main() -> None:
    options = arguments(
        __doc__,
        name="aevb",
        folder=Path(__file__).parent,
        threads=2,
        repeats=3,
        epochs=6,
        tiny={"repeats": 1, "epochs": 2},
    )
    torch.set_num_threads(options.threads)
    # The compiler alone takes longer than all else of a tiny run.
    ours = ("ours", "bfloat16", *(() if options.tiny else ("compiled", "compiled, bfloat16")))
    peer = peer_python(options, "pythae")
    pythons = {**dict.fromkeys(ours, sys.executable), "limit": sys.executable}
    if peer is not None:
        pythons["pythae"] = peer
    found: dict[str, list[dict]] = {name: [] for name in pythons}
    pictures = pictures_of(options)
    with tempfile.TemporaryDirectory() as folder:
        for part, examples in (("train", pictures.train), ("test", pictures.test)):
            np.save(Path(folder) / f"{part}.npy", ((examples.values >= 128).to(torch.uint8) * 255).numpy())
        for seed in range(options.repeats):
            for name, run in _by_turns(pythons, folder, options, seed).items():
                found[name].append(run)
                print(name, run, file=sys.stderr, flush=True)
    seconds = {name: np.concatenate([run["seconds"][1:] for run in runs]) for name, runs in found.items()}
    rates = {name: len(pictures.train) / float(np.median(of_epoch)) for name, of_epoch in seconds.items()}
    pairs = {f"{name}, pythae": seconds["pythae"] / seconds[name] for name in ours if peer is not None}
    pairs["ours, limit"] = seconds["limit"] / seconds["ours"]
    waits = {name: [run["seconds"][0] - np.median(run["seconds"][1:]) for run in found[name]] for name in ours[2:]}
    by_seed = {name: [run["test_elbo"] for run in found[name]] for name in found if name != "limit"}
    write(
        options.json,
        "aevb",
        settings={"epochs": options.epochs, "repeats": options.repeats, "data": "fashion-mnist, binarized at 128"},
        figures={
            "samples_per_second": rates,
            "test_elbo": {name: float(np.mean(bounds)) for name, bounds in by_seed.items()},
            "test_elbo_by_seed": by_seed,
            "compiler_seconds": {name: float(np.median(of_run)) for name, of_run in waits.items()},
            "ratio_quartiles": {name: np.quantile(of_round, (0.25, 0.75)).tolist() for name, of_round in pairs.items()},
            "seconds_by_epoch": {name: [run["seconds"] for run in runs] for name, runs in found.items()},
        },
        ratios={name: float(np.median(of_round)) for name, of_round in pairs.items()},
    )


if __name__ == "__main__":
    main()
