"""The code of an earlier commit against that of today: an epoch of Mult-VAE, of RecVAE and of SASRec, and the service under load.

python benchmarks/against_commit.py                   against the last commit before ranking, trainers and rooms
python benchmarks/against_commit.py --commit ID       against another; its scripts must have the same `--child` as today's

Each measurement is a process of its own that runs the script of its commit with the code of its commit. The two go by turns, in
pairs, each first in every second pair. `ratio` is the time of today's code over the time of the earlier one: the geometric mean
over pairs, with a 95 % interval by the bootstrap of pairs; above 1, today's code is slower. The service is measured as requests
per second relative to a bare application in the same run.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, arguments, save_log, write
from sasrec_epoch import read
from synthetic import synthetic_log

BEFORE = "edfc753"
SUBJECTS = "multvae,recvae,sasrec,service"


def unpacked(commit: str, folder: Path) -> Path:
    """The source and the benchmarks of a commit, in a new folder."""
    archive = subprocess.run(["git", "archive", commit, "src", "benchmarks"], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def run(tree: Path, script: str, *more: object) -> dict[str, Any]:
    """The JSON object that a script of a tree prints, run with the code of that tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, str(tree / "benchmarks" / script), *map(str, more)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def served(tree: Path, scratch: Path, options: Any) -> float:
    """Time of a request, in those of the bare application."""
    tiny = ["--tiny"] if options.tiny else []
    where = scratch / "served.json"
    more = ("--repeats", 1, "--seconds", options.seconds, "--data", options.data, "--json", where)
    figures = run(tree, "serve_load.py", *more, *tiny)["figures"]
    return float(figures["bare"]["per_second"] / figures["ours"]["per_second"])


def interval(logs: np.ndarray) -> list[float]:
    """Of the geometric mean, from the logarithms of the ratios."""
    rng = np.random.default_rng(0)
    means = rng.choice(logs, (10_000, len(logs))).mean(axis=1)
    return [float(np.exp(one)) for one in np.quantile(means, (0.025, 0.975))]


def main() -> None:
    options = arguments(
        __doc__,
        name="against_commit",
        folder=Path(__file__).parent,
        commit=BEFORE,
        pairs=10,
        threads=2,
        users=40_000,
        items=20_000,
        seconds=5.0,
        subjects=SUBJECTS,
        tiny={"commit": "HEAD", "pairs": 2, "users": 600, "items": 200, "seconds": 0.3},
    )
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        trees = {"earlier": unpacked(options.commit, scratch / "earlier"), "today": ROOT}
        synthetic = save_log(scratch / "synthetic.npz", synthetic_log(users=options.users, items=options.items))
        beauty = save_log(scratch / "beauty.npz", read("beauty", options.data))
        more = ("--threads", options.threads, "--log")
        measured: dict[str, Callable[[Path], float]] = {
            "multvae": lambda tree: run(tree, "multvae_epoch.py", *more, synthetic, "--child", "ours")["seconds"],
            "recvae": lambda tree: run(
                tree, "recvae_epoch.py", *more, synthetic, "--users", options.users, "--child", "ours"
            )["seconds"],
            "sasrec": lambda tree: run(tree, "sasrec_epoch.py", *more, beauty, "--child", "beauty")["seconds"],
            "service": lambda tree: served(tree, scratch, options),
        }
        for subject in options.subjects.split(","):
            times: dict[str, list[float]] = {name: [] for name in trees}
            for pair in range(options.pairs):
                for name in list(trees)[:: 1 if pair % 2 else -1]:
                    times[name].append(measured[subject](trees[name]))
            logs = np.log(times["today"]) - np.log(times["earlier"])
            figures[subject] = {"ratio": float(np.exp(logs.mean())), "interval": interval(logs), "times": times}
            print(subject, figures[subject]["ratio"], figures[subject]["interval"], file=sys.stderr, flush=True)
    write(
        options.json,
        "against_commit",
        settings={"earlier": options.commit, "pairs": options.pairs, "users": options.users, "items": options.items},
        figures=figures,
        ratios={subject: 1.0 / found["ratio"] for subject, found in figures.items()},
    )


if __name__ == "__main__":
    main()
