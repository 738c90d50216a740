"""Searches with Optuna 4, which the extra `tune` admits; all other tests run with the pinned version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_studies_work_with_optuna_4(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path)]
    subprocess.run([*pip, "optuna>=4,<5"], check=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    version = [sys.executable, "-c", "import optuna; print(optuna.__version__)"]
    assert subprocess.run(version, check=True, capture_output=True, text=True, env=environment).stdout.startswith("4.")
    tests = [f"tests/experiment/test_{name}.py" for name in ("study", "proposing")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout
