"""The wheel in an empty environment: alone, and with the extras that the README's first example asks for."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.docs.test_first_example import first_example

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


def run(folder: Path, *command: object) -> str:
    """What a command prints, which sees nothing of this repository; it must end well."""
    parts = [str(part) for part in command]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(parts, check=True, cwd=folder, env=alone, stdout=subprocess.PIPE, encoding="utf-8").stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (found,) = folder.glob("foldin-*.whl")
    return found


@pytest.fixture
def python(tmp_path) -> Path:
    """The interpreter of an environment with nothing but PyTorch, at the pinned version."""
    venv.create(tmp_path / "env", with_pip=True)
    found = tmp_path / "env" / "bin" / "python"
    install(found, "torch")
    return found


def install(python: Path, what: str) -> None:
    run(python.parent, python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", what)


@pytest.mark.long
def test_it_works_in_an_empty_environment(wheel, python, tmp_path):
    install(python, str(wheel))
    run(tmp_path, python, "-c", USE)
    run(tmp_path, python, "-m", "foldin", "recommend", "run", "--history", "i1,i2", "-k", "2")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_first_example_of_the_readme_works_with_the_extras_that_it_names(wheel, python, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    extras = re.search(r"^pip install 'foldin(\[.*\])'$", readme, flags=re.MULTILINE)[1]
    install(python, f"{wheel}{extras}")
    printed = run(tmp_path, python, "-c", first_example()).splitlines()
    assert printed[-6].split() == ["user", "rank", "item", "title", "score"]
    assert [line.split()[1:3] for line in printed[-5:]] == [["anna", str(rank)] for rank in range(1, 6)]
