"""What is compiled learns the same, and says what it lacks.

Each in a process of its own: PyTorch's compiler cannot read through the checks of shapes that tests run with.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from foldin.data import Examples
from foldin.errors import FitError
from foldin.generative import VAE, VAEConfig
from foldin.training import fit

SCRIPT = """
import json, sys, torch
from foldin.data import Examples
from foldin.generative import VAE, VAEConfig
from foldin.training import fit

texts = json.loads(sys.argv[1])
data = Examples(torch.rand((50, 4, 3), generator=torch.Generator().manual_seed(1)))  # batches of 20, 20 and 10
for compiled in (False, True):
    config = VAEConfig(hidden_dims=(8,), latent_dim=2, batch_size=20, compiled=compiled).with_texts(texts)
    model = VAE((4, 3), config, seed=3)
    before = {name: value.clone() for name, value in model.state().items()}
    result = fit(model, data, epochs=2)
    moved = torch.cat([(value - before[name]).flatten() for name, value in model.state().items()])
    print(json.dumps({"terms": result.records[-1].terms, "moved": moved.tolist()}), flush=True)
"""
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


def run(settings, **environment):
    command = [sys.executable, "-c", SCRIPT, json.dumps(settings)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.long
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bfloat16"},
        {"likelihood": "gaussian", "prior": "vamp", "prior.n_components": "3", "n_draws": "2"},
    ],
)
def test_compiled_it_learns_the_same(settings):
    done = run(settings)
    assert done.returncode == 0, done.stderr
    plain, compiled = map(json.loads, done.stdout.splitlines())
    assert compiled["terms"] == pytest.approx(plain["terms"], rel=2e-3)
    assert compiled["moved"] == pytest.approx(plain["moved"], abs=2e-4)
    assert max(map(abs, plain["moved"])) > 4e-3  # six steps of Adam


def test_without_a_compiler_it_says_so_and_what_to_do(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    model = VAE((4, 3), VAEConfig(compiled=True))
    with pytest.raises(
        FitError, match=r"VAE: compiled: there is no C\+\+ compiler 'no-such-compiler' here; install one"
    ):
        fit(model, Examples(torch.rand(50, 4, 3)), epochs=1)


@pytest.mark.long
def test_a_compiler_that_fails_is_named(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho out of paper >&2\nexit 1\n")
    broken.chmod(0o755)
    done = run({}, CXX=str(broken), TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode != 0
    assert "foldin.errors.FitError: VAE: compiled: PyTorch's compiler failed" in done.stderr
