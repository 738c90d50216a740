"""The wheel alone, without extras, in an empty environment."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a core without extras must do: a file in, a list out, saved, loaded, from the command line too.
USE = """
import polars as pl
import foldin

rows = [(f"u{u}", f"i{(u + k) % 8}") for u in range(40) for k in range(5)]
log = foldin.read_log(pl.DataFrame(rows, schema=["user", "item"], orient="row"))
run = foldin.train(foldin.split(log, "strong"), foldin.MultVAE(hidden_dims=(), latent_dim=2), epochs=1)
print(run)
assert run.recommend(["u1"], k=2).height == 2
run.save("run", histories=True)
assert foldin.load("run").recommend(["u1"], k=2).equals(run.recommend(["u1"], k=2))
try:
    foldin.fit_all(log, foldin.ALS())
except foldin.FoldinError as error:
    assert "pip install 'foldin[als]'" in str(error), error
else:
    raise AssertionError("ALS needs an extra")
"""


@pytest.mark.long
def test_it_works_in_an_empty_environment(tmp_path):
    def run(*command: object) -> None:
        subprocess.run([str(part) for part in command], check=True, cwd=tmp_path)

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("foldin-*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    constrained = ("install", "--quiet", "--constraint", ROOT / "constraints.txt")
    run(python, "-m", "pip", *constrained, "torch")
    run(python, "-m", "pip", *constrained, wheel)
    run(python, "-c", USE)
    run(python, "-m", "foldin", "recommend", "run", "--history", "i1,i2", "-k", "2")
