"""Which golden numbers the code of earlier commits gave already, so that quality figures measured there stand.

python -m tests.golden.earlier COMMIT…      add commits to earlier.json; cases whose files this machine rounds like are compared

The cases of `record.py`, as it was when the golden files were made, are trained by the code of each commit. A case is the same
when the losses of its first 50 steps are equal to the bit, and so is every metric of every test user that both have. Of the
generative models, the terms of all epochs are compared and the figure of each example. The cases of `later.py` are recorded by
that file as it is today, with the code of each commit, and everything in them is compared.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.golden.record import FOLDER, machine

__all__ = ["EARLIER", "PROVENANCE"]

EARLIER, PROVENANCE = FOLDER / "earlier.json", FOLDER / "provenance.json"
ROOT = FOLDER.parents[1]
RECORDER = "edfc753"  # the commit that added the golden files: its record.py speaks the language of its time
# Run in the folder of an earlier commit: names that `record.py` imports and that were not there yet are added.
DRIVER = """
import sys, typing, numpy as np
sys.path[:0] = ["src", "."]
import foldin.models as models
try:
    import foldin.training
except ModuleNotFoundError:
    import foldin.fit
    sys.modules["foldin.training"] = sys.modules["foldin.fit"]
@typing.runtime_checkable
class Described(typing.Protocol):
    def describe(self, catalog): ...
models.Described = getattr(models, "Described", Described)
models.Posterior = ()
import tests.golden.record as record
from foldin.evaluation import evaluate
record.torch.set_num_threads(1)
record.CASES["sasrec-plain-bce"] = ("sasrec", {**record.SEQUENCE, "loss": "bce"})  # a golden file made afterwards
for name in record.CASES:
    try:
        model, found, split = record.trained(name)
        metrics = evaluate(model, split.test, metrics=("ndcg@10", "recall@5", "map@10"))
    except Exception as error:  # a model or a setting of later
        print(name, type(error).__name__, error, file=sys.stderr, flush=True)
        continue
    kept = {"steps": found["steps"]} | {f"metric/{key}": metrics.values(key) for key in metrics.metrics}
    np.savez(f"{name}.npz", **kept)
"""

# The cases of `generative.py`, in the words of the commits before their names were changed.
GENERATIVE_DRIVER = """
import sys, numpy as np, torch
sys.path.insert(0, "src")
from foldin import generative
from foldin.data import Examples
from foldin.training import fit
torch.set_num_threads(1)
vae = {"hidden": (9,), "latent": 3, "batch_size": 20, "epochs": 4, "learning_rate": 0.01}
vqvae = {"width": 8, "residual": 4, "blocks": 1, "codes": 6, "code_width": 4, "batch_size": 16, "learning_rate": 5e-3}
noise = {"time": 8, "batch_size": 16, "epochs": 4, "steps": 20}
prior = {"codes": 5, "width": 8, "heads": 2, "blocks": 2, "batch_size": 20, "epochs": 4, "dropout": 0.0}
unet = {"schedule": "linear", "variance": "learned", "hidden": (4, 8), "average": 0.9}
cases = {
    "generative-vae": ("VAE", "pictures", vae),
    "generative-vae-logistic": ("VAE", "pictures", {**vae, "likelihood": "logistic"}),
    "generative-vqvae": ("VQVAE", "pictures", {**vqvae, "epochs": 4, "decay": 0.5}),
    "generative-code-prior": ("CodePrior", "codes", prior),
    "generative-diffusion": ("Diffusion", "pictures", {**noise, **unet}),
    "generative-diffusion-mlp": ("Diffusion", "vectors", {**noise, "network": "mlp", "hidden": (12,)}),
}
for name, (kind, data, settings) in cases.items():
    generator = torch.Generator().manual_seed(1)
    rows = Examples({
        "pictures": lambda: torch.randint(0, 256, (50, 8, 8), generator=generator, dtype=torch.uint8),
        "codes": lambda: torch.randint(0, 5, (50, 7), generator=generator),
        "vectors": lambda: torch.randn(50, 6, generator=generator),
    }[data]())
    try:
        model = getattr(generative, kind)(rows.shape, getattr(generative, kind + "Config")(**settings), seed=3)
        result = fit(model, rows, seed=5)
    except Exception as error:  # a model or a setting of later
        print(name, type(error).__name__, error, file=sys.stderr, flush=True)
        continue
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        figure = {
            "VAE": lambda: model.elbo(rows, generator).bound,
            "Diffusion": lambda: model.bound(rows, generator, draws=3).bound,
            "VQVAE": lambda: model.log_likelihood(rows),
            "CodePrior": lambda: model.log_prob(rows.values),
        }[kind]().numpy()
    epochs = [[float(one.terms[term]) for term in sorted(one.terms)] for one in result.records]
    np.savez(f"{name}.npz", epochs=np.concatenate(epochs), figure=figure)
"""

# Run with the code of an earlier commit and the cases of today.
LATER_DRIVER = """
import sys, numpy as np
sys.path[:0] = ["src", "."]
import foldin.data as data
for name in ("EventWeights", "cold_items"):  # which were not there yet
    setattr(data, name, getattr(data, name, None))
import tests.golden.later as later
for name in sys.argv[1:]:
    try:
        np.savez(f"{name}.npz", **later.record(name))
    except Exception as error:  # a model or a setting of later
        print(name, type(error).__name__, error, file=sys.stderr, flush=True)
"""


def _unpack(folder: Path, commit: str, *paths: str) -> None:
    archive = subprocess.run(["git", "archive", commit, *paths], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def same_cases(commit: str) -> list[str]:
    """The cases whose losses and metrics the code of a commit gives to the bit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _unpack(folder, commit, "src", "tests/conftest.py", "tests/__init__.py")
        _unpack(folder, RECORDER, "tests/golden/record.py", "tests/golden/__init__.py")
        subprocess.run([sys.executable, "-c", DRIVER], cwd=folder, check=True)
        subprocess.run([sys.executable, "-c", GENERATIVE_DRIVER], cwd=folder, check=False)  # there may be none yet
        return sorted(
            path.stem
            for path in folder.glob("*.npz")
            if (FOLDER / path.name).is_file() and _same(np.load(path), np.load(FOLDER / path.name))
        )


def same_later(commit: str, names: Sequence[str]) -> list[str]:
    """Those of these cases of `later.py` that the code of a commit gives to the bit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _unpack(folder, commit, "src")
        shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
        subprocess.run([sys.executable, "-c", LATER_DRIVER, *names], cwd=folder, check=True)
        return [
            name
            for name in names
            if (folder / f"{name}.npz").is_file()
            and _equal(np.load(folder / f"{name}.npz"), np.load(FOLDER / f"{name}.npz"))
        ]


def _equal(found: np.lib.npyio.NpzFile, golden: np.lib.npyio.NpzFile) -> bool:
    return set(found.files) == set(golden.files) and all(
        np.array_equal(found[key], golden[key], equal_nan=golden[key].dtype.kind == "f") for key in golden.files
    )


def _same(found: np.lib.npyio.NpzFile, golden: np.lib.npyio.NpzFile) -> bool:
    both = [key for key in found.files if key in golden.files]
    assert {"epochs", "figure"} <= set(both) or ("steps" in both and any(key.startswith("metric/") for key in both))
    return all(np.array_equal(found[key], golden[key], equal_nan=True) for key in both)


def main() -> None:
    provenance = json.loads(PROVENANCE.read_text(encoding="utf-8"))
    later = [name for name, made in provenance["later"].items() if made["machine"] == machine()]
    kept = json.loads(EARLIER.read_text(encoding="utf-8")) if EARLIER.is_file() else {}
    for commit in sys.argv[1:]:
        found = same_cases(commit) if provenance["machine"] == machine() else []
        found += same_later(commit, later) if later else []
        kept[commit] = sorted({*kept.get(commit, ()), *found})
        print(commit, found, flush=True)
        EARLIER.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
